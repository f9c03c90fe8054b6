"""The way out: entries are asked for, two people decide, and a bundle is sealed for one peer.

Rules. A bundle's marking is the join of its entries'; above the peer's ceiling it is refused, when it is asked for and
again when it is sealed, for markings and policies may have changed between. A bundle is on record before its envelope
is signed, so that nothing leaves without a trace. What travels is what the peer has not acknowledged.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

from casemate.airlock.bundle import BundleManifest, Carried, Label, objects_of, sealed_before
from casemate.airlock.bundle import seal as seal_bundle
from casemate.airlock.exchange import Peer
from casemate.airlock.ledger import next_number
from casemate.catalog import Channel, Entry, NewEntry, Passage
from casemate.errors import BadInput, BadMarking, NameTaken, NotTrusted, Unavailable
from casemate.factory import locks, passage, peers, policies
from casemate.factory.admissible import OBJECTS, TRAVELS
from casemate.factory.desk import Desk, Progress
from casemate.factory.passage import Placed
from casemate.factory.policies import SITE_PROJECT
from casemate.gates.pen import unlock
from casemate.markings import Marking
from casemate.signing.statement import instant_text
from casemate.store import Digest, get_manifest, put_bytes

_BASES = 3


def ask_out(desk: Desk, entries: Sequence[str], *, to: str, reason: str) -> dict[str, Any]:
    """Ask for entries to be sent to a peer: checked against its ceiling now, for two other people to decide."""
    with desk.act("airlock.out", f"{', '.join(entries)} to {to}"):
        if not entries:
            raise BadInput("what goes out", expected="at least one entry", found="none")
        peer = desk.exchange_policy().peer(to, "out")
        asked = [desk.view.find(text) for text in entries]
        carried = _with_companions(desk, asked)
        for entry in carried:
            _refuse_to_send(desk, entry)
            peers.require_within(desk, peer, entry.marking, f"{entry.kind} {entry.name}")
        marking = Marking.join_all(carried[0].marking, (entry.marking for entry in carried[1:]))
        peers.require_within(desk, peer, marking, f"bundle for {to}")
        facts = {"peer": to, "reason": reason, "entries": [_named(entry) for entry in carried]}
        title = f"{', '.join(entry.name for entry in asked)} to {to}"
        return passage.row(desk, passage.ask(desk, "out", title, marking, facts, parents=carried))


def seal(
    desk: Desk, order: str, into: Path, *, volume_bytes: int | None = None, as_tar: bool = False,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Seal the bundle of a decided order into a new folder; killed, it goes on where it was when given again."""
    with desk.act("airlock.seal", f"order {order}"):
        placed = passage.find(desk, order, "out")
        peer = desk.exchange_policy().peer(str(placed.order.facts["peer"]), "out")
        with (
            passage.carrying_out(desk, placed),
            locks.alone(desk.site.channels, f"{peer.name}\n{placed.entry.marking}"),
        ):
            passage.require_decided(desk, placed)
            entries = [_unchanged(desk, peer, said) for said in placed.order.facts["entries"]]
            before = passage.done_by(desk, placed.entry)
            label = _label(desk, peer.name, placed, before)
            theirs = list(acknowledged_bundles(desk, peer.name, placed.entry.marking, before))
            digest = Digest(str(before.facts["manifest"])) if before else None
            finished = digest and sealed_before(into, digest, volume_bytes=volume_bytes, as_tar=as_tar)
            sealed = finished or seal_bundle(
                desk.store, label, [_carried(desk, entry) for entry in entries], into, unlock(desk.site.site_key, None),
                statements=_statements(desk, placed, before), acknowledged=partial(_acknowledged, desk, theirs),
                bases=_bases(desk, theirs), recorded=_record(desk, placed, entries, before),
                volume_bytes=volume_bytes, as_tar=as_tar, progress=progress,
            )  # fmt: skip
        return {
            "order": placed.entry.id, "peer": peer.name, "marking": label.marking, "sequence": label.sequence,
            "manifest": str(sealed.digest), "into": str(into), "volumes": [str(v) for v in sealed.volumes],
            "objects": sealed.objects, "bytes": sealed.bytes, "sent_bytes": sealed.sent_bytes,
        }  # fmt: skip


def acknowledged_bundles(desk: Desk, peer: str, marking: Marking, before: Entry | None = None) -> Iterator[Entry]:
    """The bundles that a peer said it took in (before another was sealed), newest first.

    Only those within `marking`: what a bundle leaves out, because it was sent before, must tell of nothing above it.
    """
    taken = {
        str(receipt.facts["manifest"])
        for receipt in desk.view.walk(kind="receipt", project=SITE_PROJECT)
        if (receipt.facts["direction"], receipt.facts["peer"], receipt.facts["outcome"]) == ("in", peer, "taken")
        and (before is None or receipt.created < before.created)
    }
    for bundle in peers.bundles(desk, peer, "out"):
        if bundle.facts["manifest"] in taken and bundle.marking.within(marking):
            yield bundle


def _with_companions(desk: Desk, asked: Sequence[Entry]) -> list[Entry]:
    """A release goes with its model, report, decisions and withdrawal, so that it can be verified where it arrives."""
    found: dict[str, Entry] = {}
    for entry in asked:
        if entry.kind == "release":
            for parent in entry.parents:
                found.setdefault(parent, desk.view.get(parent))
        found.setdefault(entry.id, entry)
        if entry.kind == "release":
            below = desk.view.lineage(entry.id).descendants
            found.update({e.id: e for e in below if e.kind == "revocation"})
    return list(found.values())


def _refuse_to_send(desk: Desk, entry: Entry) -> None:
    if entry.kind not in TRAVELS:
        raise BadInput(f"{entry.kind} {entry.name}", expected="something that may leave a site", found=entry.kind)
    if entry.project != SITE_PROJECT:
        desk.project_marking(entry.project)


def _named(entry: Entry) -> dict[str, str]:
    return {
        "id": entry.id, "kind": entry.kind, "name": entry.name, "project": entry.project,
        "digest": str(entry.digest), "marking": str(entry.marking),
    }  # fmt: skip


def _unchanged(desk: Desk, peer: Peer, said: dict[str, str]) -> Entry:
    """The entry as it was when people decided; a marking raised since closes the airlock."""
    entry = desk.view.get(said["id"])
    if str(entry.marking) != said["marking"]:
        thing = f"marking of {entry.kind} {entry.name}"
        raise BadMarking(thing, expected=f"{said['marking']}, as it was decided", found=entry.marking)
    _refuse_to_send(desk, entry)
    peers.require_within(desk, peer, entry.marking, f"{entry.kind} {entry.name}")
    return entry


def _carried(desk: Desk, entry: Entry) -> Carried:
    objects = (Digest.parse(str(entry.facts[key])) for key in OBJECTS if entry.facts.get(key))
    also = tuple(digest for digest in objects if desk.store.has(digest))
    # What two people lowered leaves its original behind: its identifier too.
    parents = tuple(parent for parent in entry.parents if desk.view.get(parent).marking.within(entry.marking))
    return Carried(
        entry.id, entry.kind, entry.name, entry.project, str(entry.marking), entry.digest, TRAVELS[entry.kind],
        entry.author, instant_text(entry.created), entry.facts, parents, str(entry.facts.get("licence", "")), also,
    )  # fmt: skip


def _label(desk: Desk, peer: str, placed: Placed, before: Entry | None) -> Label:
    marking = placed.entry.marking
    if before is not None:  # sealed before, on a medium that was lost or not finished
        number, previous = int(before.facts["sequence"]), str(before.facts["previous"])
    else:
        number, previous = next_number(peers.channel(desk, peer, "out", marking))
    return Label(desk.site.name, peer, str(marking), number, previous, instant_text(placed.order.at))


def _statements(desk: Desk, placed: Placed, before: Entry | None) -> dict[str, bytes]:
    """What travels beside the objects: this site's trust file, and the decisions that let the bundle out.

    A bundle that is sealed again has the trust file that it had `before`: a newer one travels with the next.
    """
    trust = policies.latest(desk.view, "trust", until=before.created if before else None)
    found = {peers.TRUST_STATEMENT: policies.envelope_of(desk.store, trust)}
    for entry, envelope in passage.decisions(desk, placed.entry):
        found[f"decision-{entry.id}.dsse.json"] = envelope.to_json()
    return found


def _record(
    desk: Desk, placed: Placed, entries: Sequence[Entry], before: Entry | None
) -> Callable[[BundleManifest, Path], None]:
    """What puts a bundle on record, called with its manifest and its list of objects before anything is signed."""

    def record(manifest: BundleManifest, listed: Path) -> None:
        if before is not None:
            if before.facts["manifest"] != manifest.digest.hex:
                expected = f"the bundle that was sealed before, {before.facts['manifest']}"
                raise NotTrusted(f"bundle {manifest.label.sequence}", expected=expected, found=manifest.digest.hex)
            return
        label = manifest.label
        facts = {**peers.passed(manifest, "out"), "order": placed.entry.id, "objects": str(_kept(desk, listed))}
        name = f"to {label.destination} {label.sequence} ({manifest.digest.hex[:8]})"
        parents = (placed.entry.id, *(entry.id for entry in entries))
        digest = put_bytes(desk.store, manifest.to_json())
        new = NewEntry("bundle", name, SITE_PROJECT, placed.entry.marking, digest, parents, facts)
        try:
            channel = Channel(label.destination, "out", placed.entry.marking)
            passed = Passage(channel, label.sequence, manifest.digest.hex, label.previous)
            desk.catalog.register_all([new], by=desk.reader, sign=desk.sign, passed=passed)
        except NameTaken as why:
            raise Unavailable(name, expected="one sealing at a time on a channel", found="another was faster") from why

    return record


def _kept(desk: Desk, listed: Path) -> Digest:
    with listed.open("rb") as stream:
        return desk.store.put(stream)


def _acknowledged(desk: Desk, bundles: Sequence[Entry]) -> Iterator[Digest]:
    """What the peer has of these bundles, each object once, in order."""
    lists = [_digests(desk, Digest.parse(str(bundle.facts["objects"]))) for bundle in bundles]
    return (digest for digest, _ in groupby(heapq.merge(*lists)))


def _digests(desk: Desk, listed: Digest) -> Iterator[Digest]:
    with desk.store.open(listed) as stream:
        yield from (line.digest for line in objects_of(stream))


def _bases(desk: Desk, bundles: Sequence[Entry]) -> Callable[[Carried, str, Digest], Sequence[Digest]]:
    """For a file, the files of its path which the peer has, in the latest entries of its kind."""
    by_place: dict[tuple[str, str], list[Digest]] = {}
    for entry in (desk.view.get(parent) for bundle in bundles for parent in bundle.parents):
        for file in get_manifest(desk.store, entry.digest).files if TRAVELS.get(entry.kind) == "manifest" else ():
            by_place.setdefault((entry.kind, file.path), []).append(file.digest)
    return lambda carried, path, digest: [d for d in by_place.get((carried.kind, path), []) if d != digest][:_BASES]
