"""A lower marking, by the signed decision of two people: a copy of an entry at the marking that they decided.

Rules. Nothing is lowered in place and nothing silently: the original stays, the copy is another entry, the order with
its reason and both decisions stay as high as the original. A spill that raises the original finds the copy.
"""

from __future__ import annotations

from typing import Any

from casemate.catalog import Entry, NewEntry
from casemate.errors import BadInput, NameTaken
from casemate.factory import passage
from casemate.factory.desk import Desk
from casemate.factory.policies import SITE_PROJECT

_FACTS_THAT_TELL = frozenset({"inspection", "inspection_signed", "run", "plan"})  # objects that stay with the original


def ask_lower(desk: Desk, entry: str, *, marking: str, project: str, reason: str) -> dict[str, Any]:
    """Ask for a copy of an entry at a lower marking, in a project that is not above it."""
    with desk.act("airlock.lower", f"entry {entry} to {marking}"):
        found = desk.view.find(entry)
        desk.project_marking(found.project)
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
        facts = placed.order.facts
        before = passage.done_by(desk, placed.entry)
        if before is not None:
            return desk.view.get(str(before.facts["lowered"]))
        passage.require_decided(desk, placed)
        original = desk.view.get(str(facts["entry"]))
        if str(original.marking) != facts["from"]:
            thing = f"marking of {original.kind} {original.name}"
            raise BadInput(thing, expected=f"{facts['from']}, as it was decided", found=original.marking)
        made = _copy(desk, original, str(facts["to"]), str(facts["project"]), str(facts["reason"]))
        done = {"order": placed.entry.id, "lowered": made.id}
        name, parents = f"lowering {placed.entry.id[:8]}", (placed.entry.id, original.id)
        new = NewEntry("lowering", name, SITE_PROJECT, placed.entry.marking, placed.entry.digest, parents, done)
        desk.catalog.register(new, by=desk.reader, reason=str(facts["reason"]), sign=desk.sign)
        return made


def _copy(desk: Desk, original: Entry, marking: str, project: str, reason: str) -> Entry:
    lower_ = desk.site.policy.parse(marking)
    kept = {key: value for key, value in original.facts.items() if key not in _FACTS_THAT_TELL}
    new = NewEntry(original.kind, original.name, project, lower_, original.digest, facts=kept)
    try:
        return desk.catalog.register_lowered(new, of=original.id, by=desk.reader, reason=reason, sign=desk.sign)
    except NameTaken:  # made by this order, before it was cut
        made = desk.view.find(f"{project}/{original.name}", kind=original.kind)
        if made.digest != original.digest or made.marking != lower_:
            raise
        return made
