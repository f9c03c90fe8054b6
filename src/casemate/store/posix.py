"""A store in a directory: `objects/ab/cdef…`, read-only files named by their SHA-256, checkable with sha256sum.

Rules. Written beside, made durable, renamed into place, name made durable. Renaming over an object of the same name is
right: the bytes are the same, and a damaged one is healed. Deleting and renaming exclude one another by a lock between
processes, so a deletion sees whether the object was put again a moment ago. The age of an object is its ctime, which
every rename sets and nobody can set back.
"""

from __future__ import annotations

import fcntl
import os
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

from casemate.errors import BadInput
from casemate.store import staging as places
from casemate.store.copying import READ_ONLY, settle, write_digested
from casemate.store.digest import CHUNK_BYTES, Digest, open_regular
from casemate.store.objects import missing, verified

_HEX = frozenset("0123456789abcdef")


class PosixStore:
    """Objects as files under `root`; several processes may use it at once."""

    def __init__(self, root: Path) -> None:
        """Open the store at `root`, make it where there is none, and sweep what dead processes left."""
        self._objects, self._tmp, self._lock = root / "objects", root / "tmp", root / "lock"
        for folder in (self._objects, self._tmp):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        places.sweep(self._tmp)

    def put(self, stream: BinaryIO) -> Digest:
        """Keep what is left in `stream`; it is durable when this returns."""
        with self.staging() as place:
            file = place / "object"
            with places.full_disk_named(self._tmp):
                fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READ_ONLY)
                try:
                    digest = write_digested(lambda: stream.read(CHUNK_BYTES), fd)
                finally:
                    os.close(fd)
            self.adopt([(file, digest)])
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        """A verified stream of an object."""
        if not self.has(digest):
            raise missing(digest)
        fd, facts = open_regular(self.path(digest))
        return verified(os.fdopen(fd, "rb", buffering=0), facts.st_size, digest)

    def has(self, digest: Digest) -> bool:
        """Whether there is an object of that name."""
        return self.path(digest).exists()

    def digests(self) -> Iterator[Digest]:
        """The names of all objects, in order; files that are no objects are passed over."""
        for fan in _names(self._objects):
            if len(fan) == 2 and set(fan) <= _HEX:
                for rest in _names(self._objects / fan):
                    if len(rest) == 62 and set(rest) <= _HEX:
                        yield Digest(fan + rest)

    def delete(self, digest: Digest, *, idle_s: float = 0.0) -> bool:
        """Delete an object unless it was put within the last `idle_s` seconds."""
        path = self.path(digest)
        with self._locked(fcntl.LOCK_EX):
            try:
                if idle_s > 0 and time.time() - path.stat().st_ctime < idle_s:
                    return False
                path.unlink()
            except FileNotFoundError:
                return False
            return True

    def staging(self) -> AbstractContextManager[Path]:
        """A folder on the store's file system for files on their way in."""
        return places.staging(self._tmp)

    def adopt(self, files: Sequence[tuple[Path, Digest]]) -> None:
        """Make finished files objects: their data is durable before their names appear, the names when this returns."""
        with places.full_disk_named(self._objects):
            for file, _ in files:
                _make_read_only(file)
            settle((file for file, _ in files), self._objects)
            folders = self._make_folders(digest for _, digest in files)
            with self._locked(fcntl.LOCK_SH):
                for file, digest in files:
                    os.rename(file, self._name(digest))  # noqa: PTH104  see _name
            settle(folders, self._objects)

    def path(self, digest: Digest) -> Path:
        """Where an object is, or would be."""
        return self._objects / digest.hex[:2] / digest.hex[2:]

    def _name(self, digest: Digest) -> str:
        # A plain string: building a Path costs more than the rename itself, and there may be millions.
        return f"{self._objects}/{digest.hex[:2]}/{digest.hex[2:]}"

    def _make_folders(self, digests: Iterable[Digest]) -> list[Path]:
        folders = [self._objects / fan for fan in sorted({digest.hex[:2] for digest in digests})]
        for folder in folders:
            folder.mkdir(exist_ok=True, mode=0o700)
        return [*folders, self._objects]

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        fd = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(fd, how)
            yield
        finally:
            os.close(fd)


def open_backend(root: Path | None) -> PosixStore:
    """The store at `root`."""
    if root is None:
        raise BadInput("store posix", expected="a folder to keep objects in", found="none")
    return PosixStore(root)


def _names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def _make_read_only(file: Path) -> None:
    mode = os.lstat(file).st_mode
    if not stat.S_ISREG(mode):
        raise BadInput(file, expected="a regular file", found="something else")
    if stat.S_IMODE(mode) != READ_ONLY:
        file.chmod(READ_ONLY)
