"""The way in, second half: what two people let in enters the store and the catalog, in one act.

Rules. What was decided is held against policy and trust as they are now. Objects move first, verified once more; then
one transaction registers the entries, the bundle and the receipt: before it nothing has entered, after it all has. An
entry from elsewhere has an identifier of this site, and says where it was made. It is marked at least as at its origin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from casemate.airlock.bundle import BundleManifest, Carried, Head, objects_of, verify_head
from casemate.airlock.exchange import Peer
from casemate.airlock.ledger import Link, place
from casemate.airlock.waiting import Waiting
from casemate.catalog import Channel, Entry, NewEntry, Passage
from casemate.catalog.text import NAME_LIMIT
from casemate.errors import DigestMismatch, NotFound
from casemate.factory import lowering, passage, peers, receipts, spills
from casemate.factory.admissible import kept_facts, parents_first
from casemate.factory.desk import Desk, Progress
from casemate.factory.inspecting import INSPECTION
from casemate.factory.passage import Placed
from casemate.factory.policies import SITE_PROJECT
from casemate.factory.reading import entry_row
from casemate.markings import Marking
from casemate.signing import Envelope
from casemate.store import Digest, Manifest, put_bytes

CONTENT = "content.json"  # the manifest of a delivery that is no bundle


def carry_out(desk: Desk, order: str, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Carry out a decided order to come in, to lower or to restore; killed anywhere, it can be given again."""
    with desk.act("airlock.take", f"order {order}"):
        placed = passage.find(desk, order, "in", "lower", "restore")
    if placed.order.action == "lower":
        return [entry_row(lowering.lower(desk, placed.entry.id))]
    if placed.order.action == "restore":
        return [entry_row(entry) for entry in spills.restore(desk, placed.entry.id)]
    return take(desk, placed.entry.id, progress=progress)


def take(desk: Desk, order: str, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Take in what a decided order asked for."""
    with desk.act("airlock.take", f"order {order}"):
        placed = passage.find(desk, order, "in")
        with passage.carrying_out(desk, placed):
            if passage.done_by(desk, placed.entry) is None:
                passage.require_decided(desk, placed)
                _take(desk, placed, progress)
            done = passage.done_by(desk, placed.entry)
            Waiting(desk.site.waiting).discard(placed.entry.id)
        return [
            entry_row(desk.view.get(parent)) for parent in (done.parents if done else ()) if parent != placed.entry.id
        ]


def _take(desk: Desk, placed: Placed, progress: Progress | None) -> None:
    waiting = Waiting(desk.site.waiting)
    folder = waiting.objects(placed.entry.id).parent
    if not folder.is_dir():
        raise NotFound(f"delivery of order {placed.entry.name}", expected="one that waits here", found="none")
    passed = None
    if "manifest" in placed.order.facts:
        news, passed = _of_bundle(desk, placed, folder)
    else:
        news = _of_folder(desk, placed)
    waiting.take(placed.entry.id, _objects(folder, placed), desk.store, progress=progress)
    # Without the order's reason: these lines may be marked lower than the order, whose words it is in.
    desk.catalog.register_all(news, by=desk.reader, sign=desk.sign, passed=passed)


def _objects(folder: Path, placed: Placed) -> Iterator[Digest]:
    """The digests of all that was inspected, as the order's own list says."""
    facts = placed.order.facts
    if "manifest" in facts:
        listed = folder / "objects.jsonl"
        _require(listed.name, _manifest(folder, placed).listed.digest, Digest.of_file(listed))
        with listed.open("rb") as stream:
            yield from (line.digest for line in objects_of(stream))
        return
    content = (folder / CONTENT).read_bytes()
    yield _require(CONTENT, Digest.parse(str(facts["digest"])), Digest.of_bytes(content))
    yield from (file.digest for file in Manifest.from_json(content).files)


def _manifest(folder: Path, placed: Placed) -> BundleManifest:
    """The manifest of a bundle that waits, which must be the one that was decided."""
    data = (folder / "manifest.json").read_bytes()
    _require("manifest.json", Digest(str(placed.order.facts["manifest"])), Digest.of_bytes(data))
    return BundleManifest.from_json(data)


def _list(desk: Desk, folder: Path) -> Digest:
    """Keep the list of a bundle's objects: what its sender may build on, and leave out, from now on."""
    with (folder / "objects.jsonl").open("rb") as stream:
        return desk.store.put(stream)


def _require(name: str, expected: Digest, found: Digest) -> Digest:
    if expected != found:
        raise DigestMismatch(f"{name} of the delivery", expected=expected, found=found)
    return found


def _of_folder(desk: Desk, placed: Placed) -> list[NewEntry]:
    """What a delivery that is no bundle becomes: one entry, and the line of the ledger that says that it passed."""
    facts = placed.order.facts
    identifier = desk.catalog.new_id()
    marking = desk.site.policy.parse(str(facts["marking"]))
    content = {**facts["facts"], **{key: facts[key] for key in INSPECTION}, "delivery": facts["origin"]}
    new = NewEntry(
        str(facts["kind"]), str(facts["name"]), str(facts["project"]), marking, Digest.parse(str(facts["digest"])),
        tuple(facts.get("parents", ())), content, identifier,
    )  # fmt: skip
    passed = {"peer": "", "direction": "in", "sequence": 0, "order": placed.entry.id, "origin": facts["origin"]}
    name, parents = f"delivery {placed.entry.id[:8]}", (placed.entry.id, identifier)
    return [new, NewEntry("bundle", name, SITE_PROJECT, placed.entry.marking, placed.entry.digest, parents, passed)]


@dataclass
class _Arrivals:
    """The entries of a bundle on their way into the catalog; `seen` is what was found in each, `ids` maps
    the sender's identifiers to ours.
    """

    desk: Desk
    peer: str
    project: str
    seen: Mapping[str, Mapping[str, Any]]
    ids: dict[str, str]
    markings: dict[str, Marking] = field(default_factory=dict)
    news: list[NewEntry] = field(default_factory=list)

    def add(self, entry: Carried) -> None:
        """One more entry, after all that it was made from."""
        project = SITE_PROJECT if entry.kind == "revocation" else self.project
        floor = self.desk.site.policy.lowest if entry.kind == "revocation" else self.desk.project_marking(project)
        marking = self.desk.site.policy.parse(entry.marking).join(floor)
        parents = tuple(self.ids[p] for p in entry.parents if p in self.ids and self._below(self.ids[p], marking))
        origin = {"site": self.peer, "id": entry.id, "author": entry.author, "created": entry.created,
                  "parents": list(entry.parents)}  # fmt: skip
        facts = {**kept_facts(entry, self.ids), **self.seen[entry.id], "origin": origin}
        name = self._free(entry.kind, entry.name, project, marking)
        new = NewEntry(entry.kind, name, project, marking, entry.digest, parents, facts, self.ids[entry.id])
        self.markings[new.id] = marking
        self.news.append(new)

    def _below(self, parent: str, marking: Marking) -> bool:
        """Whether a parent's marking is within this one's: an entry that was lowered has left its parent behind."""
        above = self.markings.get(parent) or self.desk.view.get(parent).marking
        return above.within(marking)

    def _free(self, kind: str, name: str, project: str, marking: Marking) -> str:
        taken = {e.name for e in self.desk.view.walk(kind=kind, project=project, text=name) if e.marking == marking}
        taken |= {new.name for new in self.news if (new.kind, new.project, new.marking) == (kind, project, marking)}
        if name not in taken:
            return name
        mark = f" (of {self.peer}, {self.desk.catalog.new_id()[:6]})"
        return name[: NAME_LIMIT - len(mark)].rstrip() + mark


def _of_bundle(desk: Desk, placed: Placed, folder: Path) -> tuple[list[NewEntry], Passage]:
    facts, manifest = placed.order.facts, _manifest(folder, placed)
    label, marking = manifest.label, desk.site.policy.parse(manifest.label.marking)
    channel = Channel(label.source, "in", marking)
    peer = _vouched(desk, folder, manifest, marking)
    link, taken = Link(manifest.digest.hex, label.previous), peers.channel(desk, peer.name, "in", marking)
    where = place(taken, label.sequence, link, channel=str(channel))
    known = {str(e.facts["origin"]["id"]): e.id for e in desk.view.walk() if _came_from(e, peer.name)}
    ids = known | {entry.id: desk.catalog.new_id() for entry in manifest.entries}
    # What inspection counted here goes before what the peer says of it.
    seen = {str(e["id"]): {**e["facts"], **{key: e[key] for key in INSPECTION}} for e in facts["entries"]}
    arrivals = _Arrivals(desk, peer.name, str(facts["project"]), seen, ids)
    for entry in parents_first(manifest.entries):
        arrivals.add(entry)
    passed = {**peers.passed(manifest, "in"), "order": placed.entry.id, "objects": str(_list(desk, folder))}
    parents = (placed.entry.id, *(new.id for new in arrivals.news))
    name, digest = f"from {peer.name} {label.sequence} ({link.manifest[:8]})", put_bytes(desk.store, manifest.to_json())
    news = [
        *arrivals.news,
        NewEntry("bundle", name, SITE_PROJECT, placed.entry.marking, digest, parents, passed),
        receipts.new_receipt(
            desk, manifest, marking, where, "taken", "", {entry.id: "taken" for entry in manifest.entries}
        ),
    ]
    return news, Passage(channel, label.sequence, link.manifest, label.previous)


def _vouched(desk: Desk, folder: Path, manifest: BundleManifest, marking: Marking) -> Peer:
    """The peer that a bundle came from, if it still may send it, and the key that signed it still holds."""
    label, envelope = manifest.label, (folder / "manifest.dsse.json").read_bytes()
    head = Head(manifest, manifest.to_json(), Envelope.from_json(envelope, thing="manifest.dsse.json"), envelope, {})
    peer = desk.exchange_policy().peer(label.source, "in")
    verify_head(head, peers.trust_of(desk, peer, None), desk.now())
    peers.require_within(desk, peer, marking, f"bundle {label.sequence} of {peer.name}")
    return peer


def _came_from(entry: Entry, peer: str) -> bool:
    return peers.site_of(entry) == peer
