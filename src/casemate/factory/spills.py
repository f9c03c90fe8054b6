"""A spill: something was marked too low. All that was made from it is found, raised, withdrawn and recalled.

Rules. For an officer who is cleared for the site's ceiling, because the search stops at nothing. What is raised, what
is withdrawn and the record of both are one act; the notices are written after it, and again when it is given again
after a crash. Copies that two people lowered are found too. Undoing takes the decision of two people, and brings back
no release that was withdrawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.airlock.recall import Recall, Recalled, page, read_recall
from casemate.catalog import Entry, NewEntry, Run
from casemate.errors import BadInput, BadSignature, NotFound
from casemate.factory import judging, passage, peers, searching
from casemate.factory.desk import Desk
from casemate.factory.passage import Placed
from casemate.factory.policies import SITE_PROJECT, pretty
from casemate.factory.releases import RELEASE
from casemate.factory.writing import new_folder, refuse_existing, small_file
from casemate.gates import revoke as sign_revocation
from casemate.gates.pen import unlock
from casemate.markings import Marking
from casemate.signing import Envelope, Statement
from casemate.store import put_bytes
from casemate.store.whole import write_whole

_HANDED_OUT = frozenset({
    "get", "detect", "airlock.receipt", "ask", "summarise", "translate", "minutes", "search", "docs.page", "docs.get",
    "answer.show", "chat", "embed", "rerank",
})  # fmt: skip


@dataclass(frozen=True)
class Reach:
    """How far something has spread on this site."""

    entries: tuple[Entry, ...]
    runs: tuple[Run, ...]

    def of(self, kind: str, **facts: str) -> list[Entry]:
        """The entries of a kind with these facts."""
        return [e for e in self.entries if e.kind == kind and all(e.facts.get(k) == v for k, v in facts.items())]

    def changes(self, marking: Marking) -> dict[str, tuple[Marking, Marking]]:
        """By identifier, the marking of each thing and the one that it gets."""
        things: list[Entry | Run] = [*self.entries, *self.runs]
        return {thing.id: (thing.marking, thing.marking.join(marking)) for thing in things}


def spill(desk: Desk, entry: str, *, raise_to: str, reason: str, into: Path) -> dict[str, Any]:
    """Raise an entry and all that was made from it, withdraw releases, write notices of recall into a new folder."""
    with desk.act("spill", f"entry {entry}"):
        refuse_existing(into)
        marking = desk.admitted_marking(raise_to, f"entry {entry}")
        found = desk.view.find(entry)
        reach = _reach(desk, found)
        changes = reach.changes(marking)
        report = _report(desk, found, reach, marking, reason)
        whole = Marking.join_all(marking, (new for _, new in changes.values()))
        facts = {
            "entry": found.id, "raise_to": str(marking), "peers": sorted({str(b.facts["peer"]) for b in _sent(reach)}),
            "changes": {key: [str(old), str(new)] for key, (old, new) in changes.items()},
        }  # fmt: skip
        identifier = desk.catalog.new_id()
        record = NewEntry(
            "spill", f"spill of {found.kind} {found.id[:8]} ({identifier[:6]})", SITE_PROJECT, whole,
            put_bytes(desk.store, pretty(report)), facts=facts, id=identifier,
        )  # fmt: skip
        notices = _recalls(desk, reach, marking)
        desk.catalog.raise_markings(
            {key: new for key, (_, new) in changes.items()}, by=desk.reader, reason=reason, sign=desk.sign,
            also=[record, *_withdrawals(desk, reach, marking, reason)],
        )  # fmt: skip
        searching.forget(desk, _left(desk, found, changes))
        _write(desk, into, report, notices)
        return {"spill": record.id, "folder": str(into), **{key: len(value) for key, value in report.items()
                                                         if isinstance(value, list)}}  # fmt: skip


def _left(desk: Desk, root: Entry, changes: Mapping[str, tuple[Marking, Marking]]) -> set[Marking]:
    """The markings that things were raised from, now or by a spill of the same that was killed before its end."""
    before = [entry.facts for entry in desk.view.walk(kind="spill", project=SITE_PROJECT)]
    earlier = [pair[0] for facts in before if facts.get("entry") == root.id for pair in facts["changes"].values()]
    return {old for old, new in changes.values() if old != new} | {desk.site.policy.parse(text) for text in earlier}


def ask_restore(desk: Desk, spill_entry: str, *, reason: str) -> dict[str, Any]:
    """Ask for the markings before a spill to be set back; for two other people to decide."""
    with desk.act("airlock.restore", f"spill {spill_entry}"):
        found = desk.view.find(spill_entry, kind="spill")
        if "changes" not in found.facts:
            raise BadInput(f"spill {found.name}", expected="a spill that raised markings", found="the undoing of one")
        facts = {"reason": reason, "spill": found.id, "changes": found.facts["changes"]}
        return passage.row(desk, passage.ask(desk, "restore", found.name, found.marking, facts, parents=[found]))


def restore(desk: Desk, order: str) -> list[Entry]:
    """Set markings back as a decided order says; what was raised further, or spilled again, since stays as it is."""
    with desk.act("airlock.take", f"order {order}"):
        placed = passage.find(desk, order, "restore")
        changes: dict[str, Sequence[str]] = dict(placed.order.facts["changes"])
        with passage.carrying_out(desk, placed):
            if passage.done_by(desk, placed.entry) is None:
                passage.require_decided(desk, placed)
                _restore(desk, placed, changes)
            searching.forget(desk, [desk.site.policy.parse(new) for _, new in changes.values()])
        return [entry for entry in desk.view.walk() if entry.id in changes]


def _restore(desk: Desk, placed: Placed, changes: Mapping[str, Sequence[str]]) -> None:
    """The markings, and the line that says that the order was carried out: all, or nothing."""
    parse, now = desk.site.policy.parse, _current(desk, changes)
    moved = {key: parse(old) for key, (old, new) in changes.items() if now.get(key) == parse(new) != parse(old)}
    held = _spilled_since(desk, str(placed.order.facts["spill"]))
    back = {key: old for key, old in moved.items() if key not in held}
    done = {"order": placed.entry.id, "spill": placed.order.facts["spill"], "restored": len(back)}
    name, parents = f"spill undone {placed.entry.id[:8]}", (placed.entry.id,)
    told = NewEntry("spill", name, SITE_PROJECT, placed.entry.marking, placed.entry.digest, parents, done)
    reason = str(placed.order.facts["reason"])
    desk.catalog.restore_markings(back, by=desk.reader, reason=reason, sign=desk.sign, also=[told])


def _spilled_since(desk: Desk, spilled: str) -> set[str]:
    """What a later spill is about, unless it is undone: an order to undo an earlier one decided nothing of that."""
    since = desk.view.get(spilled).created
    spills = list(desk.view.walk(kind="spill", project=SITE_PROJECT))
    undone = {str(entry.facts["spill"]) for entry in spills if "spill" in entry.facts}
    later = [e for e in spills if "changes" in e.facts and e.created > since and e.id not in undone]
    return {key for entry in later for key in entry.facts["changes"]}


def notice(desk: Desk, file: Path) -> dict[str, Any]:
    """Verify a notice of recall from a peer, and name the entries here that it is about."""
    with desk.act("spill.notice", f"notice {file.name}"):
        envelope = Envelope.from_json(small_file(file), thing=file.name)
        claimed = Statement.from_json(envelope.payload, thing=file.name).predicate.get("sender")
        peer = desk.exchange_policy().peer(str(claimed), "in")
        recall = read_recall(envelope, peers.trust_of(desk, peer, None), now=desk.now())
        if (recall.sender, recall.receiver) != (peer.name, desk.site.name):
            expected = f"a notice of {peer.name} for {desk.site.name}"
            raise BadSignature(file.name, expected=expected, found=f"one of {recall.sender} for {recall.receiver}")
        wanted = {entry.id for entry in recall.entries}
        theirs = (entry for entry in desk.view.walk() if peers.site_of(entry) == peer.name)
        here = [entry for entry in theirs if entry.facts["origin"]["id"] in wanted]
        return {
            "peer": peer.name, "sequence": recall.sequence, "marking": recall.marking, "raise_to": recall.raise_to,
            "recalled": len(wanted), "here": [{"id": e.id, "kind": e.kind, "name": e.name} for e in here],
        }  # fmt: skip


def _reach(desk: Desk, root: Entry) -> Reach:
    """Everything made from `root`, and from what two people lowered of it; and the orders by which any of it came."""
    roots = {root.id}
    while True:
        spread = desk.catalog.spread(sorted(roots), by=desk.reader)
        came = {str(e.facts["order"]) for e in spread.entries if e.kind == "bundle" and e.facts["direction"] == "in"}
        more = ({entry.id for entry in spread.lowered} | came) - roots
        if not more:
            known = {run.id for run in spread.runs}
            made_by = {str(e.facts["run"]) for e in spread.entries if e.kind == "model" and e.facts.get("run")} - known
            return Reach(spread.entries, (*spread.runs, *_runs(desk, made_by)))
        roots |= more


def _runs(desk: Desk, identifiers: set[str]) -> Iterator[Run]:
    """The runs that made models of this site; those of models from elsewhere stayed there."""
    for identifier in sorted(identifiers):
        with suppress(NotFound):
            yield desk.view.run(identifier)


def _sent(reach: Reach) -> list[Entry]:
    return reach.of("bundle", direction="out")


def _report(desk: Desk, root: Entry, reach: Reach, marking: Marking, reason: str) -> dict[str, Any]:
    ids = {entry.id for entry in reach.entries}
    return {
        "format": "casemate-spill/1", "entry": root.id, "raise_to": str(marking), "reason": reason,
        "raised": [{"id": e.id, "kind": e.kind, "name": e.name, "marking": str(e.marking)} for e in reach.entries],
        "runs": [{"id": run.id, "kind": run.kind, "marking": str(run.marking)} for run in reach.runs],
        "withdrawn": [e.id for e in _in_force(desk, reach)],
        "sent": [{"peer": b.facts["peer"], "sequence": b.facts["sequence"], "marking": str(b.marking),
                  "entries": [p for p in b.parents if p in ids]} for b in _sent(reach)],
        "handed_out": list(_handed_out(desk, reach)),
    }  # fmt: skip


def _handed_out(desk: Desk, reach: Reach) -> Iterator[dict[str, str]]:
    """Who wrote copies, or answers made with these, as the journal tells."""
    for entry in reach.entries:
        after = None
        while True:
            lines = desk.view.journal(about=entry.id, limit=1000, after=after)
            for line in lines.lines:
                if line.act.verb in _HANDED_OUT and line.act.outcome == "done":
                    act = line.act
                    yield {"entry": entry.id, "by": act.actor, "verb": act.verb, "at": act.time, "what": act.subject}
            after = lines.after
            if after is None:
                break


def _in_force(desk: Desk, reach: Reach) -> list[Entry]:
    """The releases that nobody whose word counts here withdrew: this site, or the site that made one."""
    withdrawn = {(e.facts.get("release"), peers.site_of(e)) for e in desk.view.walk(kind="revocation")}
    known = {peer.name for peer in desk.exchange_policy().peers if "in" in peer.directions} | {""}
    return [
        entry
        for entry in reach.of("release")
        if not {(entry.id, ""), (entry.id, peers.site_of(entry))} & withdrawn
        and peers.site_of(entry) in known  # of a site that we deal with no more, nothing is loaded
    ]


def _withdrawals(desk: Desk, reach: Reach, marking: Marking, reason: str) -> Iterator[NewEntry]:
    """What withdraws each release that is in force, at the marking that it gets."""
    for entry in _in_force(desk, reach):
        released = Envelope.from_json(judging.file_of(desk, entry, RELEASE), thing=f"release {entry.name}")
        envelope = sign_revocation(
            released, f"spill: {reason}", desk.pen, trust=desk.trust, now=desk.now(),
            made_under=peers.origin_trust(desk, entry),
        )  # fmt: skip
        digest, facts = put_bytes(desk.store, envelope.to_json()), {"release": entry.id}
        name = f"{entry.name[:120]} withdrawn by {desk.person.name} ({entry.id[:6]})"
        mark = entry.marking.join(marking)
        yield NewEntry("revocation", name, SITE_PROJECT, mark, digest, (entry.id,), facts)


def _recalls(desk: Desk, reach: Reach, marking: Marking) -> list[tuple[Recall, Envelope, Marking]]:
    """A signed notice for every bundle that carried any of it, at the marking that the bundle had."""
    found, policy = [], desk.exchange_policy()
    pen = unlock(desk.site.site_key, None)
    digests = {entry.id: str(entry.digest) for entry in reach.entries}
    ceilings = {peer.name: desk.site.policy.parse(peer.ceiling) for peer in policy.peers}
    for bundle in _sent(reach):
        name = str(bundle.facts["peer"])
        told = str(marking) if name in ceilings and marking.within(ceilings[name]) else ""
        carried = tuple(Recalled(p, digests[p]) for p in bundle.parents if p in digests and _is_carried(desk, p))
        sent_at = desk.site.policy.parse(str(bundle.facts["channel"]))
        recall = Recall(
            desk.site.name, name, str(bundle.facts["manifest"]), str(sent_at), int(bundle.facts["sequence"]), carried,
            told, desk.now(),
        )  # fmt: skip
        found.append((recall, pen.sign(recall.statement()), sent_at))
    return found


def _is_carried(desk: Desk, identifier: str) -> bool:
    return desk.view.get(identifier).kind != "order"


def _write(desk: Desk, into: Path, report: dict[str, Any], notices: Sequence[tuple[Recall, Envelope, Marking]]) -> None:
    with new_folder(into) as place:
        write_whole(place / "spill.json", pretty(report))
        for recall, envelope, sent_at in notices:
            stem = f"recall-{recall.receiver}-{recall.sequence}-{recall.manifest[:8]}"
            wording = {"en": desk.site.policy.wording(sent_at, "en"), "fr": desk.site.policy.wording(sent_at, "fr")}
            write_whole(place / f"{stem}.dsse.json", envelope.to_json())
            write_whole(place / f"{stem}.html", page(recall, wording, [desk.site.name]))


def _current(desk: Desk, changes: Mapping[str, Sequence[str]]) -> dict[str, Marking]:
    found = {entry.id: entry.marking for entry in desk.view.walk() if entry.id in changes}
    for key in changes.keys() - found.keys():
        found[key] = desk.view.run(key).marking
    return found
