"""A lower marking, by the signed decision of two people: a copy of an entry at the marking that they decided.

Rules. Nothing is lowered in place and nothing silently: the original stays, the copy is another entry, the order with
its reason and both decisions stay as high as the original. A spill that raises the original finds the copy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from casemate.airlock.orders import AUTHORED
from casemate.catalog import Entry, NewEntry
from casemate.catalog.text import is_id
from casemate.errors import BadInput
from casemate.factory import passage
from casemate.factory.desk import Desk
from casemate.factory.passage import Placed
from casemate.factory.policies import SITE_PROJECT

_FACTS_THAT_TELL = frozenset({"inspection", "inspection_signed", "run", "plan"})  # objects that stay with the original


def ask_lower(desk: Desk, entry: str, *, marking: str, project: str, reason: str) -> dict[str, Any]:
    """Ask for a copy of an entry at a lower marking, in a project that is not above it."""
    with desk.act("airlock.lower", f"entry {entry} to {marking}"):
        found = desk.view.find(entry)
        desk.project_marking(found.project)
        if found.kind not in AUTHORED:
            raise BadInput(f"{found.kind} {found.name}", expected=f"a {', '.join(sorted(AUTHORED))}", found=found.kind)
        lower = desk.admitted_marking(marking, f"{found.kind} {found.name}")
        if found.marking.within(lower):
            thing = f"marking of {found.kind} {found.name}"
            raise BadInput(thing, expected=f"one lower than {found.marking}", found=lower)
        floor = desk.project_marking(project)
        if not floor.within(lower):
            raise BadInput(f"project {project}", expected=f"one within {lower}", found=floor)
        facts = {
            "reason": reason, "entry": found.id, "kind": found.kind, "name": found.name, "digest": str(found.digest),
            "from": str(found.marking), "to": str(lower), "project": project,
        }  # fmt: skip
        title = f"{found.kind} {found.name} from {found.marking} to {lower}"
        return passage.row(desk, passage.ask(desk, "lower", title, found.marking, facts, parents=[found]))


def lower(desk: Desk, order: str) -> Entry:
    """Carry a decided lowering out; by a sponsor or an officer."""
    with desk.act("airlock.take", f"order {order}"):
        placed = passage.find(desk, order, "lower")
        with passage.carrying_out(desk, placed):
            before = passage.done_by(desk, placed.entry)
            if before is not None:
                return desk.view.get(str(before.facts["lowered"]))
            passage.require_decided(desk, placed)
            return _lower(desk, placed)


def _lower(desk: Desk, placed: Placed) -> Entry:
    """The copy, and the line that says that the order was carried out: both, or neither."""
    facts = placed.order.facts
    original = desk.view.get(str(facts["entry"]))
    if str(original.marking) != facts["from"]:
        thing = f"marking of {original.kind} {original.name}"
        raise BadInput(thing, expected=f"{facts['from']}, as it was decided", found=original.marking)
    copy = NewEntry(
        original.kind, original.name, str(facts["project"]), desk.site.policy.parse(str(facts["to"])), original.digest,
        facts=_told_lower(original.facts), id=desk.catalog.new_id(),
    )  # fmt: skip
    done = {"order": placed.entry.id, "lowered": copy.id}
    name, parents = f"lowering {placed.entry.id[:8]}", (placed.entry.id, original.id)
    told = NewEntry("lowering", name, SITE_PROJECT, placed.entry.marking, placed.entry.digest, parents, done)
    return desk.catalog.register_lowered(
        copy, of=original.id, by=desk.reader, reason=str(facts["reason"]), sign=desk.sign, also=[told]
    )


def _told_lower(facts: Mapping[str, Any]) -> dict[str, Any]:
    """The facts of a copy: without what names other things, here or where it came from, which stay where they are."""
    kept = {key: value for key, value in facts.items() if key not in _FACTS_THAT_TELL}
    kept = {key: value for key, value in kept.items() if not (isinstance(value, str) and is_id(value))}
    return kept | ({"origin": {**kept["origin"], "parents": []}} if "origin" in kept else {})
