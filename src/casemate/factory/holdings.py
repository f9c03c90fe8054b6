"""What a peer may build on here: the objects that came from that peer before, at a marking within the bundle's.

Rules. A bundle leaves out what its sender knows to be here. Whatever else this site holds is none of the sender's
business: a bundle that names the digest of something that it did not bring, and never brought, is refused, present or
not, in the same words. Otherwise a digest would be enough to have high bytes handed out low, or to learn that they are
here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.bundle import BundleManifest, objects_of
from casemate.airlock.waiting import object_path
from casemate.errors import NotFound
from casemate.factory import peers
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.store import Digest, Manifest, ObjectStore, get_bytes
from casemate.store.digest import CHUNK_BYTES
from casemate.store.objects import KeepsFiles


@dataclass(frozen=True)
class Laid:
    """The objects of a delivery, and those of the store that it leaves out."""

    store: ObjectStore
    objects: Path

    def read(self, digest: Digest) -> bytes:
        """A small object, whole."""
        path = object_path(self.objects, digest)
        return path.read_bytes() if path.is_file() else get_bytes(self.store, digest)

    def lay(self, digest: Digest, target: Path) -> None:
        """Put an object at `target`, sharing its bytes where the file system can."""
        path = object_path(self.objects, digest)
        if path.is_file():
            os.link(path, target)
            return
        if isinstance(self.store, KeepsFiles) and _linked(self.store.path(digest), target):
            return
        with self.store.open(digest) as stream, target.open("xb") as out:
            while chunk := stream.read(CHUNK_BYTES):
                out.write(chunk)


def require_theirs(desk: Desk, peer: str, marking: Marking, manifest: BundleManifest, folder: Path) -> None:
    """Refuse a bundle that builds on objects which its sender did not bring before."""
    named = set(manifest.bases) | {base for line in objects_of(folder) for base in line.bases}
    _require(desk, peer, marking, named)


def refuse_borrowed(desk: Desk, peer: str, marking: Marking, manifest: BundleManifest, objects: Path) -> None:
    """Refuse a bundle whose entries need an object that its sender neither brings nor brought before."""
    named = {digest for entry in manifest.entries for digest in (entry.digest, *entry.also)}
    _require(desk, peer, marking, _left_out(named, objects))  # before any list that is here already is read
    laid = Laid(desk.store, objects)
    lists = (laid.read(entry.digest) for entry in manifest.entries if entry.shape == "manifest")
    files = (Manifest.from_json(data, source="list of files").files for data in lists)
    _require(desk, peer, marking, _left_out({file.digest for listed in files for file in listed}, objects))


def _left_out(named: set[Digest], objects: Path) -> set[Digest]:
    return {digest for digest in named if not object_path(objects, digest).is_file()}


def _require(desk: Desk, peer: str, marking: Marking, missing: set[Digest]) -> None:
    for digest in _brought(desk, peer, marking) if missing else ():
        missing.discard(digest)
        if not missing:
            return
    for digest in sorted(missing):
        expected = f"an object that comes with the bundle, or that {peer} brought before"
        raise NotFound(f"object {digest}", expected=expected, found="neither")


def _brought(desk: Desk, peer: str, marking: Marking) -> Iterable[Digest]:
    """Every object that came from a peer in bundles within `marking`."""
    for bundle in peers.bundles(desk, peer, "in"):
        sealed_at = desk.site.policy.parse(str(bundle.facts["channel"]))
        if sealed_at.within(marking) and bundle.facts.get("objects"):
            with desk.store.open(Digest.parse(str(bundle.facts["objects"]))) as stream:
                yield from (line.digest for line in objects_of(stream))


def _linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:  # another file system, or nothing there: the store then says what is wrong
        return False
    return True
