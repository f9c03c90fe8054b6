"""Upkeep of a store: what is damaged, and what nobody names any more.

Rules. Nothing is repaired silently: damage is named. Garbage is what no live name keeps and what was not put a moment
ago; a live manifest keeps every file that it lists. Where a live object is missing or damaged nobody can tell what it
keeps, so nothing at all is collected.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from casemate.errors import BadInput, DigestMismatch, NotFound
from casemate.store.cores import Progress, on_all_cores
from casemate.store.digest import CHUNK_BYTES, Digest
from casemate.store.manifest import PREFIX, Manifest
from casemate.store.objects import ObjectStore

IDLE_S = 24 * 3600.0
"""How long an object that nothing names yet is left alone: longer than any import between its bytes and its entry."""


@dataclass(frozen=True, order=True)
class Damage:
    """An object that is not what its name says."""

    digest: Digest
    expected: str
    found: str

    def __str__(self) -> str:
        return f"object {self.digest}: expected {self.expected}, found {self.found}"


def verify_store(store: ObjectStore, *, live: Iterable[Digest] = (), progress: Progress | None = None) -> list[Damage]:
    """Read every object on all cores and name each that is damaged, and each kept by `live` that is missing."""
    names = list(store.digests())
    damages = []
    for done, (_, damage) in enumerate(on_all_cores(lambda digest: _damage(store, digest), names), start=1):
        if damage is not None:
            damages.append(damage)
        if progress:
            progress(done, len(names), "objects")
    damaged = {damage.digest for damage in damages}
    return sorted(damages + list(_missing(store, set(live), damaged)))


def collect_garbage(store: ObjectStore, live: Iterable[Digest], *, idle_s: float = IDLE_S) -> list[Digest]:
    """Delete what nothing in `live` keeps and nobody put within `idle_s` seconds; the names of what was deleted."""
    keep = set(live)
    for digest in sorted(keep):
        keep.update(_kept_by(store, digest))
    return [digest for digest in store.digests() if digest not in keep and store.delete(digest, idle_s=idle_s)]


def _damage(store: ObjectStore, digest: Digest) -> Damage | None:
    try:
        with store.open(digest) as stream:
            while stream.read(CHUNK_BYTES):
                pass
    except DigestMismatch as why:
        return Damage(digest, str(digest), why.found)
    except NotFound:
        return None  # deleted since it was listed
    except (OSError, BadInput) as why:  # a failing disk, or something else than a file under that name
        return Damage(digest, "readable bytes", str(why))
    return None


def _missing(store: ObjectStore, live: set[Digest], damaged: set[Digest]) -> Iterator[Damage]:
    reported: set[Digest] = set()
    for digest in sorted(live - damaged):
        if not store.has(digest):
            yield Damage(digest, "an object that an entry names", "nothing")
            continue
        for file in sorted(_kept_by(store, digest) - reported):
            if not store.has(file):
                reported.add(file)
                yield Damage(file, f"an object that the manifest {digest} lists", "nothing")


def _kept_by(store: ObjectStore, digest: Digest) -> set[Digest]:
    """What a live object keeps besides itself: the files that it lists, if it is a manifest."""
    with store.open(digest) as stream:
        start = stream.read(len(PREFIX))
        if start != PREFIX:
            return set()
        data = start + stream.read()
    try:
        return {file.digest for file in Manifest.from_json(data).files}
    except BadInput:
        return set()  # some other JSON that begins alike
