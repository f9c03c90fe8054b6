"""Orders at the airlock: asked by one person, decided by two others, carried out by who asked.

Rules. An order is an entry, so that only those see it who may read what it is about. Its state is read from what was
made from it: decisions, and the bundle entry that says what passed. Who carries it out checks every decision again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from casemate.airlock import orders
from casemate.airlock.bundle import BundleManifest
from casemate.airlock.ledger import Place
from casemate.airlock.orders import Action, Order
from casemate.airlock.waiting import Waiting
from casemate.catalog import Entry, NewEntry
from casemate.catalog.text import NAME_LIMIT
from casemate.errors import AirlockClosed, BadInput, CasemateError, DigestMismatch, NotAllowed
from casemate.factory import locks
from casemate.factory.desk import Desk
from casemate.factory.policies import SITE_PROJECT
from casemate.factory.receipts import new_receipt
from casemate.markings import Marking
from casemate.signing import Envelope
from casemate.signing.decision import Decision
from casemate.store import get_bytes, put_bytes

_DONE = frozenset({"bundle", "lowering", "spill"})  # what is registered when an order was carried out


@dataclass(frozen=True)
class Placed:
    """An order on record."""

    entry: Entry
    order: Order


def ask(
    desk: Desk, action: Action, title: str, marking: Marking, facts: Mapping[str, Any],
    *, parents: Sequence[Entry] = (), identifier: str = "", authors: Sequence[str] = (),
) -> Placed:  # fmt: skip
    """Put an order on record; its marking is at least that of everything that it names.

    Whose work passes does not decide: the authors of `parents`, and `authors` where it was made elsewhere.
    """
    authors = tuple(sorted({entry.author for entry in parents if entry.kind in orders.AUTHORED} | set(authors)))
    order = Order(action, desk.person.name, authors, desk.now().replace(microsecond=0), str(marking), facts)
    digest = put_bytes(desk.store, order.to_json())
    ids, identifier = tuple(entry.id for entry in parents), identifier or desk.catalog.new_id()
    # By its identifier: the same may be asked for twice, within one second too.
    name = f"{action}: {title}".replace("/", "-")[:150] + f" ({identifier[:8]})"
    new = NewEntry("order", name, SITE_PROJECT, marking, digest, ids, {"action": action, **_told(facts)}, identifier)
    return Placed(desk.catalog.register(new, by=desk.reader, reason=str(facts["reason"]), sign=desk.sign), order)


def find(desk: Desk, text: str, *actions: Action) -> Placed:
    """The order that `text` names; BadInput if it asks for another action."""
    entry = desk.view.find(text, kind="order")
    order = Order.from_json(get_bytes(desk.store, entry.digest), thing=f"order {entry.name}")
    if actions and order.action not in actions:
        raise BadInput(f"order {entry.name}", expected=f"an order to {' or '.join(actions)}", found=order.action)
    return Placed(entry, order)


def decide(desk: Desk, text: str, *, reason: str, refuse: bool = False, role: str | None = None) -> dict[str, Any]:
    """Sign one's decision on an order; not for who asked, nor for the authors of what passes."""
    with desk.act("airlock.decide", f"order {text}"):
        placed = find(desk, text)
        return _decide(desk, placed, reason, role, refuse=refuse)


def _decide(desk: Desk, placed: Placed, reason: str, role: str | None, *, refuse: bool) -> dict[str, Any]:
    thing, name = f"order {placed.entry.name}", _lock_of(placed)
    # While it is carried out it is too late for a no, and too early to say that it is done.
    with locks.alone_or_no(desk.site.channels, name, thing, doing="carries it out", shared=True):
        if done_by(desk, placed.entry):
            raise AirlockClosed(thing, expected="an order to be decided", found="one carried out")
        if not refuse:
            _refuse_own_copy(desk, placed)
            refuse_known_higher(desk, _coming_in(placed.order), placed.entry.marking, thing)
        chosen = role or _role(desk)
        envelope = orders.decide(
            placed.order, desk.pen, role=chosen, reason=reason, trust=desk.trust, now=desk.now(),
            word="reject" if refuse else "approve",
        )  # fmt: skip
        digest = put_bytes(desk.store, envelope.to_json())
        word = "refused" if refuse else "approved"
        facts = {"decision": word, "reason": reason, "order": placed.entry.id, "role": chosen}
        mark = f" {word} by {desk.person.name} ({digest.hex[:8]})"  # people change their minds, and change them back
        name = placed.entry.name[: NAME_LIMIT - len(mark)] + mark
        marking, parents = placed.entry.marking, (placed.entry.id,)
        new = NewEntry("approval", name, SITE_PROJECT, marking, digest, parents, facts)
        answer = [_answer(desk, placed)] if refuse and "manifest" in placed.order.facts else []
        desk.catalog.register_all([new, *answer], by=desk.reader, reason=reason, sign=desk.sign)
        return row(desk, placed)


def _answer(desk: Desk, placed: Placed) -> NewEntry:
    """The receipt that tells the sender of a bundle that people here did not let it in; their reasons stay here."""
    facts = placed.order.facts
    file = Waiting(desk.site.waiting).objects(placed.entry.id).parent / "manifest.json"
    manifest = BundleManifest.from_json(file.read_bytes())
    if manifest.digest.hex != facts["manifest"]:
        raise DigestMismatch("manifest.json of the delivery", expected=facts["manifest"], found=manifest.digest.hex)
    channel = desk.site.policy.parse(str(facts["channel"]))
    where = Place(manifest.label.sequence, late=bool(facts["late"]), missing=tuple(facts["missing"]))
    entries = {entry.id: "refused" for entry in manifest.entries}
    return new_receipt(desk, manifest, channel, where, "refused", "not let in by those who decide", entries)


def _refuse_own_copy(desk: Desk, placed: Placed) -> None:
    """Who made something does not let a lowered copy of it pass either, though somebody else wrote the copy."""
    for parent in placed.entry.parents:
        graph = desk.view.lineage(parent)
        digest = next(node.digest for node in graph.nodes if node.id == parent)
        if any(made.digest == digest and made.author == desk.person.name for made in graph.ancestors):
            thing = f"decision by {desk.person.name}"
            raise NotAllowed(
                thing, expected="somebody other than the author", found="the author of what it is a copy of"
            )


def refuse_known_higher(desk: Desk, coming: Collection[str], marking: Marking, thing: str) -> None:
    """What comes in is no silent way to lower what is here, as far as who acts can see: lowering has its own order."""
    for entry in desk.view.walk():
        if str(entry.digest) in coming and not entry.marking.within(marking):
            expected = f"content that is not here above {marking} (or an order to lower it)"
            raise AirlockClosed(thing, expected=expected, found=entry)


def _coming_in(order: Order) -> frozenset[str]:
    """The digests of the content that an order would let in."""
    items = (order.facts.get("entries") or [order.facts]) if order.action == "in" else ()
    return frozenset(str(item["digest"]) for item in items if item["kind"] in orders.AUTHORED)


def carrying_out(desk: Desk, placed: Placed) -> AbstractContextManager[None]:
    """One at a time carries an order out, and nobody decides meanwhile: what was decided stays so until it is done."""
    return locks.alone(desk.site.channels, _lock_of(placed))


def _lock_of(placed: Placed) -> str:
    return f"order\n{placed.entry.id}"


def require_decided(desk: Desk, placed: Placed) -> tuple[Decision, ...]:
    """Every decision on an order, if they open the airlock; what comes in or goes out is for who asked to carry out."""
    order = placed.order
    if order.action in {"in", "out"} and order.asked_by != desk.person.name:
        raise NotAllowed(f"order {placed.entry.name}", expected=f"{order.asked_by}, who asked", found=desk.person.name)
    required = desk.exchange_policy().required[_rule(order.action)]
    given = [envelope for _, envelope in decisions(desk, placed.entry)]
    return orders.require_decided(order, given, required=required, trust=desk.trust, now=desk.now())


def decisions(desk: Desk, order: Entry) -> Iterator[tuple[Entry, Envelope]]:
    """The decisions on an order, each as its person gave it last."""
    latest: dict[str, Entry] = {}
    for entry in sorted(desk.view.lineage(order.id).descendants, key=lambda entry: entry.created):
        if entry.kind == "approval" and entry.facts.get("order") == order.id:
            latest[entry.author] = entry
    for entry in latest.values():
        yield entry, Envelope.from_json(get_bytes(desk.store, entry.digest), thing=f"decision {entry.name}")


def done_by(desk: Desk, order: Entry) -> Entry | None:
    """The entry that says that an order was carried out, if it was."""
    found = desk.view.lineage(order.id).descendants
    return next((e for e in found if e.kind in _DONE and e.facts.get("order") == order.id), None)


def waiting(desk: Desk, *, everything: bool = False) -> list[dict[str, Any]]:
    """The orders that wait for decisions or for being carried out; with `everything`, those that are done too."""
    rows = [row(desk, find(desk, entry.id)) for entry in desk.view.walk(kind="order")]
    return [shown for shown in rows if everything or shown["state"] not in {"done", "refused"}]


def row(desk: Desk, placed: Placed) -> dict[str, Any]:
    """An order as facts for people and machines: what is asked, by whom, and what is missing."""
    entry, order = placed.entry, placed.order
    given = [{"by": e.author, "role": e.facts["role"], "decision": e.facts["decision"], "reason": e.facts["reason"]}
             for e, _ in decisions(desk, entry)]  # fmt: skip
    state, missing = _state(desk, placed)
    return {
        "id": entry.id, "order": entry.name, "action": order.action, "asked_by": order.asked_by,
        "marking": str(entry.marking), "state": state, "missing": missing, "decisions": given,
        "facts": dict(order.facts),
    }  # fmt: skip


def _state(desk: Desk, placed: Placed) -> tuple[str, str]:
    if done_by(desk, placed.entry):
        return "done", ""
    required = desk.exchange_policy().required[_rule(placed.order.action)]
    given = [envelope for _, envelope in decisions(desk, placed.entry)]
    try:
        orders.require_decided(placed.order, given, required=required, trust=desk.trust, now=desk.now())
    except CasemateError as no:
        refused = no.found.startswith("reject")
        return ("refused" if refused else "waiting"), f"expected {no.expected}, found {no.found}"
    return "decided", ""


def _rule(action: Action) -> str:
    return "lower" if action == "restore" else action


def _role(desk: Desk) -> str:
    held = [role for role in ("officer", "sponsor") if role in desk.person.roles]
    if not held:
        found = ", ".join(sorted(desk.person.roles))
        raise NotAllowed(f"decision by {desk.person.name}", expected="the role sponsor or officer", found=found)
    return held[0]


def _told(facts: Mapping[str, Any]) -> dict[str, Any]:
    """What an order's entry shows without opening it: its small facts."""
    return {key: value for key, value in facts.items() if isinstance(value, str | int | bool)}
