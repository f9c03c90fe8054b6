"""Where a delivery waits, object by object, between its inspection and the decision of two people.

Rules. A place appears whole, by rename, under the identifier of its order, and holds `objects/ab/cdef…`: files that
their owner alone can read, known by their digests. What is let in is hashed again as it moves into the store. Moving
may be cut anywhere and given again: an object is in one of the two places. A place whose order is not on record, and
that no living process holds (flock on the folder itself), is nobody's: it is swept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from casemate.errors import DigestMismatch, NotFound
from casemate.store.copying import settle
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import Digest
from casemate.store.folders import list_files
from casemate.store.manifest import Manifest, ManifestFile
from casemate.store.objects import KeepsFiles, ObjectStore
from casemate.store.staging import full_disk_named, staging, sweep

OBJECTS = "objects"
_PARTIAL, _GONE = ".partial-", ".gone-"
_BATCH = 4096


def shelve(folder: Path, known: Mapping[str, Digest], objects: Path) -> Manifest:
    """Move the files below `folder` to `objects`, by digest, with the manifest that lists them.

    `known` are digests computed moments ago by relative path; what is not in it is hashed.
    """
    files = []
    for found in list_files(folder):
        digest = known.get(found.path) or Digest.of_file(Path(found.file))
        files.append(ManifestFile(found.path, found.facts.st_size, digest))
        Path(found.file).rename(_made(objects, digest))
    manifest = Manifest(tuple(files))
    keep_bytes(objects, manifest.to_json())
    return manifest


def keep_bytes(objects: Path, data: bytes) -> Digest:
    """One more object of a delivery."""
    digest = Digest.of_bytes(data)
    with full_disk_named(objects):
        _made(objects, digest).write_bytes(data)
    return digest


def object_path(objects: Path, digest: Digest) -> Path:
    """Where an object of a delivery lies."""
    return objects / digest.hex[:2] / digest.hex[2:]


def _made(objects: Path, digest: Digest) -> Path:
    path = object_path(objects, digest)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    return path


class Waiting:
    """The deliveries that wait below one folder of a site."""

    def __init__(self, root: Path) -> None:
        """`root` is made when something first waits."""
        self._root = root

    def preparing(self) -> AbstractContextManager[Path]:
        """A private folder on the same file system, removed at the end unless `keeping` took what is in it."""
        self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        return staging(self._root, _PARTIAL)

    def keep(self, prepared: Path, order: str) -> None:
        """Let what was prepared (a folder with `objects`) wait under the identifier of its order."""
        with full_disk_named(self._root):
            settle((Path(found.file) for found in list_files(prepared)), self._root)
            prepared.rename(self._root / order)
            settle([self._root], self._root)

    @contextmanager
    def keeping(self, prepared: Path, order: str) -> Iterator[None]:
        """Let it wait, and hold it while its order is put on record; what has none in the end is removed."""
        fd = os.open(prepared, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            self.keep(prepared, order)
            try:
                yield
            except BaseException:
                self.discard(order)
                raise
        finally:
            os.close(fd)

    def sweep(self, on_record: Callable[[Collection[str]], Collection[str]]) -> None:
        """Remove what was left by those who were cut off before its order was on record, or while they removed it."""
        sweep(self._root, _PARTIAL)
        for gone in self._root.glob(f"{_GONE}*"):
            shutil.rmtree(gone, ignore_errors=True)
        left = self.waiting()
        for order in set(left) - set(on_record(left)):
            try:
                fd = os.open(self._root / order, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not on_record([order]):  # not put on record since, by who held it a moment ago
                    self.discard(order)
            except BlockingIOError:
                continue
            finally:
                os.close(fd)

    def objects(self, order: str) -> Path:
        """The objects of a delivery that waits."""
        return self._root / order / OBJECTS

    def take(
        self, order: str, digests: Iterable[Digest], store: ObjectStore, *, progress: Progress | None = None
    ) -> None:
        """Move objects of a delivery into `store`; DigestMismatch for one that changed, NotFound for one missing."""
        wanted = sorted(set(digests))
        tally = Tally(progress, len(wanted), "objects")
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            self._take(order, [digest for digest in batch if self._is_here(order, digest, store)], store)
            tally.add(len(batch))

    def discard(self, order: str) -> None:
        """Remove a delivery that was taken in or refused; nothing where none waits."""
        place, gone = self._root / order, self._root / f"{_GONE}{order}"
        if place.exists():
            place.rename(gone)
        if gone.exists():
            shutil.rmtree(gone)

    def waiting(self) -> list[str]:
        """Identifiers of the orders for which something lies here."""
        places = self._root.iterdir() if self._root.is_dir() else ()
        return sorted(place.name for place in places if not place.name.startswith("."))

    def _is_here(self, order: str, digest: Digest, store: ObjectStore) -> bool:
        if object_path(self.objects(order), digest).is_file():
            return True
        if store.has(digest):
            return False
        raise NotFound(f"object {digest}", expected="an object of the delivery, or of the store", found="nothing")

    def _take(self, order: str, batch: list[Digest], store: ObjectStore) -> None:
        objects = self.objects(order)
        if batch and isinstance(store, KeepsFiles) and _renames_into(store, objects):
            for digest, found in on_all_cores(lambda d: Digest.of_file(object_path(objects, d)), batch):
                _require(digest, found)
            store.adopt([(object_path(objects, digest), digest) for digest in batch])
            return
        for digest in batch:
            with object_path(objects, digest).open("rb") as stream:
                _require(digest, store.put(stream))
            object_path(objects, digest).unlink()


def _renames_into(store: KeepsFiles, objects: Path) -> bool:
    with store.staging() as place:
        return place.stat().st_dev == objects.stat().st_dev


def _require(expected: Digest, found: Digest) -> None:
    if expected != found:
        raise DigestMismatch(f"object {expected} of the delivery", expected=expected, found=found)
