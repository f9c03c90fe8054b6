"""The way in, first half: a bundle of a peer is received, verified, rebuilt, inspected, and waits for two people.

Rules. Signatures and place in the channel come before any byte is copied; every object is verified before anything is
inspected; content that is refused gets a signed receipt that says why, and that says nothing of this site. A bundle is
taken for its peer's officer's word only within the ceiling that our officer gave that peer. A newer trust file is kept
whatever becomes of the bundle that brought it. The same bundle twice is harmless, and said.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.airlock import Admitted, AdmittedFile, require_clean
from casemate.airlock.bundle import BundleManifest, Carried, Head, forget, read_head, rebuild, receive, verify_head
from casemate.airlock.exchange import Peer
from casemate.airlock.ledger import Link, Place, place
from casemate.airlock.orders import AUTHORED
from casemate.airlock.waiting import OBJECTS, Waiting
from casemate.errors import BadInput, NotAllowed, NotFound, NotTrusted, Refused
from casemate.factory import locks, passage, peers, receipts
from casemate.factory.admissible import require_admissible
from casemate.factory.desk import Desk, Progress
from casemate.factory.documents import check_set
from casemate.factory.holdings import Laid, refuse_borrowed, require_theirs
from casemate.factory.inspecting import formats_of, inspected
from casemate.factory.releases import RELEASE
from casemate.gates import read_release, read_revocation
from casemate.markings import Marking
from casemate.modalities import find
from casemate.signing import Envelope, Trust
from casemate.store import Manifest
from casemate.store.staging import full_disk_named

TREE = "tree"
KEPT = ("manifest.json", "manifest.dsse.json", "objects.jsonl")  # what a bundle that waits is checked by once more


@dataclass(frozen=True)
class Arrived:
    """A bundle whose signature holds: from whom, under which trust file, where it stands in its channel."""

    head: Head
    peer: Peer
    marking: Marking
    place: Place
    trust: Trust


def take_bundle(
    desk: Desk, source: Path, *, project: str, reason: str, progress: Progress | None = None
) -> dict[str, Any]:
    """Receive a bundle, or one of its volumes; once whole and clean, it waits for the decision of two people."""
    with desk.act("airlock.in", f"bundle {source.name}"):
        floor, head, thing = desk.project_marking(project), read_head(source), f"bundle {source.name}"
        _arrived(desk, head)  # who may not bring it does not learn that somebody does
        with locks.alone_or_no(desk.site.channels, f"bundle\n{head.digest}", thing, doing="receives it"):
            arrived = _arrived(desk, head)
            # The order names the project, so it is marked at least as the project is.
            marking = desk.catalog.site.admit_from(arrived.marking.join(floor), desk.reader, thing=thing)
            known = _known(desk, arrived)
            if known:
                forget(desk.site.receiving, head)  # what a cut left of it
                Waiting(desk.site.waiting).sweep(desk.catalog.registered)
                return known
            facts = {"peer": arrived.peer.name, "reason": reason, "project": project}
            return _received(desk, arrived, source, marking, facts, progress)


def _known(desk: Desk, arrived: Arrived) -> dict[str, Any] | None:
    """What is told of a bundle that was taken in, or that waits; None for another."""
    label = arrived.head.manifest.label
    if arrived.place.replay:
        subject = f"bundle {label.sequence} of {label.source}"
        desk.catalog.journal.append(
            desk.reader, "airlock.replay", subject, marking=arrived.marking, sign=desk.sign,
            facts={"manifest": arrived.head.digest.hex},
        )  # fmt: skip
        return _told(arrived, "already taken in")
    waits = _waits(desk, arrived)
    return {**_told(arrived, "waiting"), **waits} if waits else None


def _received(
    desk: Desk, arrived: Arrived, source: Path, marking: Marking, facts: dict[str, Any], progress: Progress | None
) -> dict[str, Any]:
    """Take what the source holds; once all is here and clean, let it wait. What has no room is kept, to go on from."""
    area, head = desk.site.receiving, arrived.head
    area.mkdir(mode=0o700, exist_ok=True)
    got = receive(source, area, head, progress=progress)
    if got.missing:
        return {**_told(arrived, "incomplete"), "missing": list(got.missing_volumes or got.missing)}
    try:
        row = _prepare(desk, arrived, got.folder, marking, facts, progress)
    except (Refused, NotTrusted, NotFound):
        forget(area, head)
        raise
    forget(area, head)
    return {**_told(arrived, "waiting"), **row}


def _arrived(desk: Desk, head: Head) -> Arrived:
    """Everything that can be said of a bundle before a byte of its parts is read."""
    label = head.manifest.label
    if label.destination != desk.site.name:
        raise NotAllowed(f"bundle of {label.source}", expected=f"one for {desk.site.name}", found=label.destination)
    peer = desk.exchange_policy().peer(label.source, "in")
    offered = peers.offered(head)
    trust = peers.trust_of(desk, peer, offered)
    verify_head(head, trust, desk.now())
    marking = desk.site.policy.parse(label.marking)
    peers.require_within(desk, peer, marking, f"bundle {label.sequence} of {peer.name}")
    desk.catalog.site.admit_from(marking, desk.reader, thing=f"bundle {label.sequence} of {peer.name}")
    peers.keep_trust(desk, peer, offered)
    require_admissible(head.manifest, marking, desk.site.policy)
    link, taken = Link(head.digest.hex, label.previous), peers.channel(desk, peer.name, "in", marking)
    where = place(taken, label.sequence, link, channel=f"{peer.name} at {marking}")
    return Arrived(head, peer, marking, where, trust)


def _prepare(
    desk: Desk, arrived: Arrived, folder: Path, marking: Marking, facts: dict[str, Any], progress: Progress | None
) -> dict[str, Any]:
    manifest = arrived.head.manifest
    waiting = Waiting(desk.site.waiting)
    waiting.sweep(desk.catalog.registered)
    with waiting.preparing() as place_, full_disk_named(desk.site.waiting):
        prepared = place_ / "delivery"
        (prepared / OBJECTS).mkdir(parents=True)
        try:
            entries = _examined(desk, arrived, folder, prepared, progress)
        except Refused as no:
            receipts.refuse(desk, manifest, arrived.marking, arrived.place, str(no))
            raise
        for name in KEPT:
            shutil.copyfile(folder / name, prepared / name)
        told = {
            **facts, "manifest": arrived.head.digest.hex, "sequence": manifest.label.sequence,
            "previous": manifest.label.previous, "missing": list(arrived.place.missing),
            "channel": str(arrived.marking), "late": arrived.place.late, "entries": entries,
        }  # fmt: skip
        title = f"bundle {manifest.label.sequence} of {arrived.peer.name}"
        authors = [entry.author for entry in manifest.entries if entry.kind in AUTHORED]
        return wait(desk, waiting, prepared, title, marking, told, authors=authors)


def _examined(
    desk: Desk, arrived: Arrived, folder: Path, prepared: Path, progress: Progress | None
) -> list[dict[str, Any]]:
    """Every object of a bundle rebuilt, every entry inspected; Refused says what is wrong with the content."""
    manifest = arrived.head.manifest
    require_theirs(desk, arrived.peer.name, arrived.marking, manifest, folder)
    rebuild(folder, manifest, desk.store, prepared / OBJECTS, progress=progress)
    refuse_borrowed(desk, arrived.peer.name, arrived.marking, manifest, prepared / OBJECTS)
    numbered = enumerate(manifest.entries)
    entries = [_inspect(desk, arrived.trust, entry, prepared, number, progress) for number, entry in numbered]
    shutil.rmtree(prepared / TREE)
    return entries


def wait(
    desk: Desk, waiting: Waiting, prepared: Path, title: str, marking: Marking, facts: dict[str, Any],
    *, authors: Sequence[str] = (),
) -> dict[str, Any]:  # fmt: skip
    """Let a delivery wait, and put the order to take it in on record; `authors` do not decide on it."""
    identifier = desk.catalog.new_id()
    with waiting.keeping(prepared, identifier):
        return passage.row(desk, passage.ask(desk, "in", title, marking, facts, identifier=identifier, authors=authors))


def _inspect(
    desk: Desk, trust: Trust, entry: Carried, prepared: Path, number: int, progress: Progress | None
) -> dict[str, Any]:
    """Lay one entry out as it will be read, and inspect it; InspectionRefused with its first finding."""
    tree, source = prepared / TREE / str(number) / "files", Laid(desk.store, prepared / OBJECTS)
    tree.mkdir(parents=True)
    files = list(_files(entry, source))
    for file in files:
        (tree / file.path).parent.mkdir(parents=True, exist_ok=True)
        source.lay(file.digest, tree / file.path)
    modality = str(entry.facts.get("modality", ""))
    admitted = Admitted(tree, tuple(files))
    found = inspected(desk, admitted, formats_of(entry.kind, modality), progress=progress)
    require_clean(found.report)
    counted: dict[str, Any] = {}
    if entry.kind == "dataset":
        data = find(modality).data
        counted = data.facts(data.load_labels(tree))
    if entry.kind == "documents":
        counted = check_set(tree, (file.path for file in files))
    _require_signed(entry, tree, trust)
    return {
        "id": entry.id, "kind": entry.kind, "name": entry.name, "digest": str(entry.digest), "marking": entry.marking,
        "author": entry.author, "files": len(files), "bytes": sum(file.size for file in files),
        **found.facts(), "notes": _notes(found.report.files), "facts": counted,
    }  # fmt: skip


def _files(entry: Carried, source: Laid) -> Iterator[AdmittedFile]:
    data = source.read(entry.digest)
    if entry.shape == "single":
        yield AdmittedFile(f"{entry.kind}.dsse.json", len(data), entry.digest)
        return
    manifest = Manifest.from_json(data, source=f"{entry.kind} {entry.name}")
    if not manifest.files:
        raise BadInput(f"{entry.kind} {entry.name}", expected="at least one file", found="none")
    yield from (AdmittedFile(file.path, file.size, file.digest) for file in manifest.files)


def _require_signed(entry: Carried, tree: Path, trust: Trust) -> None:
    """A release or a withdrawal is its site's: one that the peer did not sign is not taken for the peer's."""
    thing = f"{entry.kind} {entry.name}"
    if entry.kind == "release":
        if not (tree / RELEASE).is_file():
            raise BadInput(thing, expected=f"a file {RELEASE}", found="none")
        read_release(Envelope.from_json((tree / RELEASE).read_bytes(), thing=thing), trust)
    if entry.kind == "revocation":
        read_revocation(Envelope.from_json((tree / f"{entry.kind}.dsse.json").read_bytes(), thing=thing), trust)


def _notes(files: Sequence[Any]) -> int:
    return sum(finding.note for file in files for finding in file.findings)


def _waits(desk: Desk, arrived: Arrived) -> dict[str, Any] | None:
    """The order of the same bundle, if it waits already."""
    for row in passage.waiting(desk):
        if row["action"] == "in" and row["facts"].get("manifest") == arrived.head.digest.hex:
            return row
    return None


def _told(arrived: Arrived, state: str) -> dict[str, Any]:
    manifest: BundleManifest = arrived.head.manifest
    return {
        "state": state, "peer": arrived.peer.name, "marking": str(arrived.marking),
        "sequence": manifest.label.sequence, "manifest": str(arrived.head.digest), "missing": [],
        "gap": list(arrived.place.missing), "late": arrived.place.late,
    }  # fmt: skip
