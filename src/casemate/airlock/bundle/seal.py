"""Sealing: entries of a store become a signed bundle, in a folder that a cut leaves ready to go on.

Rules. The target holds nothing else. All is made in `.seal/` inside it, which records every part that is done; sealing
the same again goes on from there, and sealing something else starts over. Without its manifest's envelope it is no
bundle, and that comes last. What the destination has acknowledged does not travel again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.airlock.bundle.closure import Bases, Closure, closure
from casemate.airlock.bundle.delivery import read_head
from casemate.airlock.bundle.head import Head, sign_manifest
from casemate.airlock.bundle.lines import LIST
from casemate.airlock.bundle.manifest import (
    ENVELOPE,
    MANIFEST,
    BundleManifest,
    SignedFile,
    kind_of_statement,
    statement_path,
)
from casemate.airlock.bundle.members import members_of
from casemate.airlock.bundle.parts import PartsWriter, Reached
from casemate.airlock.bundle.place import alone, write_whole
from casemate.airlock.bundle.publish import places_of, publish
from casemate.airlock.bundle.terms import MEMBER_BYTES, Carried, FileFacts, Label
from casemate.airlock.bundle.ustar import END, taken
from casemate.airlock.bundle.volumes import own_files, part_bytes_for, share_out
from casemate.errors import BadInput, NotFound
from casemate.signing.canonical import dump
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.store.cores import Progress, Tally
from casemate.store.digest import Digest
from casemate.store.objects import ObjectStore
from casemate.store.staging import full_disk_named

WORK = ".seal"
STATE = "state.json"
_ENVELOPE_BYTES = 8 << 10  # more than an envelope takes


@dataclass(frozen=True)
class Sealed:
    """A finished bundle: where it is (itself, or its archive or volumes in order), and what it holds.

    `objects` of `bytes` in all travel as `sent_bytes`, which counts every file of the bundle once.
    """

    folder: Path
    volumes: tuple[Path, ...]
    digest: Digest
    manifest: BundleManifest
    objects: int
    bytes: int
    sent_bytes: int


@dataclass(frozen=True)
class _Order:
    """What is to be sealed, and how."""

    label: Label
    entries: tuple[Carried, ...]
    statements: tuple[tuple[str, bytes], ...]
    volume_bytes: int | None
    as_tar: bool

    @property
    def largest_member(self) -> int:
        return min(MEMBER_BYTES, part_bytes_for(self.volume_bytes) - taken(0) - 512 - len(END))

    def fingerprint(self, work: str) -> str:
        """The SHA-256 (hex) of all that decides the bundle, but the time of its making."""
        label = {name: fact for name, fact in vars(self.label).items() if name != "created"}
        entries = [repr(sorted(vars(entry).items())) for entry in self.entries]
        statements = [[name, hashlib.sha256(data).hexdigest()] for name, data in self.statements]
        facts = [label, entries, statements, self.volume_bytes, self.as_tar, work]
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def seal(
    store: ObjectStore,
    label: Label,
    entries: Sequence[Carried],
    into: Path,
    pen: Signer,
    *,
    statements: Mapping[str, bytes] | None = None,
    acknowledged: Callable[[], Iterator[Digest]] = lambda: iter(()),
    bases: Bases | None = None,
    volume_bytes: int | None = None,
    as_tar: bool = False,
    recorded: Callable[[BundleManifest, Path], None] | None = None,
    progress: Progress | None = None,
) -> Sealed:
    """Seal `entries` of `store` into the folder `into`, signed by `pen`; call it again after a cut.

    `acknowledged` gives the digests that the destination has, sorted; `bases(entry, path, digest)` names objects among
    them that a big file may be a change of. `recorded` hears the manifest and where the list of objects lies before
    anything is signed: the list is to be kept, for it is what the destination will have acknowledged.
    """
    order = _Order(label, tuple(entries), tuple(sorted((statements or {}).items())), volume_bytes, as_tar)
    kinds = {name: kind_of_statement(data, statement_path(name)) for name, data in order.statements}
    part_bytes_for(volume_bytes)
    work = into / WORK
    work.mkdir(parents=True, exist_ok=True)
    with alone(work / "lock", "seals here"), full_disk_named(into):
        needed = closure(store, order.entries, acknowledged(), bases)
        state = _State.open(into, work, order, needed)
        if not state.signed:
            _make_parts(store, order, needed, state, progress)
            manifest = _manifest(order, needed, state, kinds)
            _refuse_too_small(order, manifest)
            if recorded is not None:
                recorded(manifest, state.bundle / LIST)
            state.sign(manifest, pen)
        head = state.head(order)
        volumes = publish(head, state.bundle, into, work, volume_bytes=volume_bytes, as_tar=as_tar, move=True)
        state.remove()
    return _sealed(into, volumes, head)


def sealed_before(into: Path, digest: Digest, *, volume_bytes: int | None, as_tar: bool) -> Sealed | None:
    """The bundle with this manifest, if `into` holds it finished and in this form; nothing that is signed is read."""
    work = into / WORK
    if not into.is_dir() or (work / STATE).exists():
        return None
    laid = [into] if volume_bytes is None and not as_tar else sorted(into.glob("*.tar" if as_tar else "volume-*"))
    try:
        head = read_head(laid[0])
    except (IndexError, BadInput, NotFound):
        return None
    volumes = (into,) if laid == [into] else places_of(head, into, volume_bytes=volume_bytes, as_tar=as_tar)
    if head.digest != digest or not all(volume.exists() for volume in volumes):
        return None
    shutil.rmtree(work, ignore_errors=True)  # what a cut left of it
    return _sealed(into, volumes, head)


class _State:
    """What `.seal/` records: for which order its parts are, how far they are, and whether the manifest is signed."""

    def __init__(self, work: Path, fingerprints: dict[str, str], reached: Reached, *, signed: bool) -> None:
        self.work, self.bundle, self.signed = work, work / "bundle", signed
        self.reached = reached
        self._fingerprints = fingerprints

    @classmethod
    def open(cls, into: Path, work: Path, order: _Order, needed: Closure) -> _State:
        """What an earlier sealing of the same left, or nothing; BadInput where the target holds something else."""
        layout = f"{needed.fingerprint()} {part_bytes_for(order.volume_bytes)}"
        prints = {"layout": layout, "whole": order.fingerprint(layout)}
        raw = _read(work / STATE)
        signed = bool(raw.get("signed")) and raw.get("whole") == prints["whole"]
        others = sorted(file.name for file in into.iterdir() if file.name != WORK)
        if others and not signed:
            if raw.get("signed"):  # cut while it was laid out: what lies there is another bundle's
                raise BadInput(into, expected="the sealing that was cut here, or an empty folder", found="another")
            shutil.rmtree(work)
            raise BadInput(into, expected="an empty folder to seal into", found=others[0])
        if signed or raw.get("layout") == layout:
            return cls(work, prints, Reached.from_json(raw["reached"]), signed=signed)
        shutil.rmtree(work / "bundle", ignore_errors=True)
        state = cls(work, prints, Reached(), signed=False)
        state.bundle.mkdir()
        state.record(state.reached)
        return state

    def record(self, reached: Reached, *, signed: bool = False) -> None:
        self.reached, self.signed = reached, signed
        facts = {**self._fingerprints, "reached": reached.to_json(), "signed": signed}
        write_whole(self.work / STATE, dump(facts))

    def sign(self, manifest: BundleManifest, pen: Signer) -> None:
        write_whole(self.work / MANIFEST, manifest.to_json())
        write_whole(self.work / ENVELOPE, sign_manifest(manifest, pen).to_json())
        self.record(self.reached, signed=True)

    def remove(self) -> None:
        """Remove all of `.seal/`, cut anywhere: with its record, it goes on; without it, nothing is missed."""
        for used in self.work.iterdir():
            if used.is_dir():
                shutil.rmtree(used)
        (self.work / STATE).unlink()
        shutil.rmtree(self.work)

    def head(self, order: _Order) -> Head:
        statements = {statement_path(name): data for name, data in order.statements}
        return Head.read(lambda path: statements[path] if path in statements else (self.work / path).read_bytes())


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_bytes())
        Reached.from_json(raw["reached"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return {}  # none, or not of this version: it starts over
    return dict(raw)


def _make_parts(store: ObjectStore, order: _Order, needed: Closure, state: _State, progress: Progress | None) -> None:
    reached = state.reached
    tally = Tally(progress, needed.size, "bytes")
    with PartsWriter(state.bundle, part_bytes_for(order.volume_bytes), reached, state.record) as parts:
        wanted, scratch = needed.since(reached.objects), state.work / "scratch"
        skipped, largest = len(reached.members), order.largest_member
        for made in members_of(store, wanted, scratch, skipped=skipped, largest=largest):
            parts.add(made)
            if made.last:
                tally.add(made.wanted.size)
        state.record(parts.finish())


def _manifest(order: _Order, needed: Closure, state: _State, kinds: Mapping[str, str]) -> BundleManifest:
    listed = state.bundle / LIST
    files = [(name, FileFacts(statement_path(name), len(d), Digest.of_bytes(d))) for name, d in order.statements]
    manifest = BundleManifest(
        label=order.label,
        entries=order.entries,
        listed=FileFacts(LIST, listed.stat().st_size, Digest.of_file(listed)),
        count=len(needed),
        size=needed.size,
        bases=state.reached.bases,
        parts=state.reached.parts,
        statements=tuple(SignedFile(file, kinds[name]) for name, file in files),
    )
    return BundleManifest.from_json(manifest.to_json())  # what its readers would refuse is refused here


def _refuse_too_small(order: _Order, manifest: BundleManifest) -> None:
    """Refuse volumes that could not hold this bundle before it is on record, and its number spent."""
    if order.volume_bytes is not None:
        unsigned = Envelope("", b"", ())
        draft = Head(manifest, manifest.to_json(), unsigned, bytes(_ENVELOPE_BYTES), dict(order.statements))
        share_out(draft, order.volume_bytes)


def _sealed(into: Path, volumes: tuple[Path, ...], head: Head) -> Sealed:
    found = head.manifest
    sent = sum(file.size for file in found.files()) + sum(len(data) for _, data in own_files(head, None))
    return Sealed(into, volumes, head.digest, found, found.count, found.size, sent)
