"""Rebuilding: the objects of a bundle that arrived whole, each as a file named by its digest.

Rules. An object appears under its name only once its bytes were verified. A rebuilding that was cut is done again: what
it left is written over, as nothing tells what a loss of power left of it. Nothing here is made durable: the store does
that when it adopts the files.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import BinaryIO

from casemate.airlock.bundle.bases import base_opener, require_bases
from casemate.airlock.bundle.delivery import Span
from casemate.airlock.bundle.lines import LIST, ObjectLine, bounded_lines, read_lines
from casemate.airlock.bundle.manifest import BundleManifest
from casemate.airlock.bundle.reading import Opened, Sink, read_objects
from casemate.store.cores import Progress, Tally
from casemate.store.digest import Digest, open_regular
from casemate.store.objects import ObjectStore
from casemate.store.staging import full_disk_named

_WORK = ".rebuild"


def rebuild(
    folder: Path, manifest: BundleManifest, store: ObjectStore, into: Path, progress: Progress | None = None
) -> None:
    """Write every object of the bundle in `folder` to its place below `into`; `store` holds what it builds on."""
    work = into / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)
    tally = Tally(progress, manifest.size, "bytes")
    with ExitStack() as opened, full_disk_named(into):
        opened.callback(shutil.rmtree, work)
        for fan in range(256):
            (into / f"{fan:02x}").mkdir(exist_ok=True, mode=0o700)
        require_bases(store, manifest, objects_of(folder))
        parts = [partial(_part, folder, part.path) for part in manifest.parts]
        kept = _Kept(into, work, tally)
        read_objects(Opened(parts, base_opener(store, work)), manifest, objects_of(folder), kept.sink)


def rebuilt_path(into: Path, digest: Digest) -> Path:
    """Where `rebuild` puts an object."""
    return into / digest.hex[:2] / digest.hex[2:]


def objects_of(listed: Path | BinaryIO) -> Iterator[ObjectLine]:
    """The objects in the list of a bundle's folder, or in a list by itself (path or stream), sorted by digest."""
    if not isinstance(listed, Path):
        yield from read_lines(bounded_lines(listed.readline))
        return
    fd, _ = open_regular(listed / LIST if listed.is_dir() else listed)
    with os.fdopen(fd, "rb") as stream:
        yield from read_lines(bounded_lines(stream.readline))


@contextmanager
def _part(folder: Path, path: str) -> Iterator[Span]:
    fd, facts = open_regular(folder / path)
    try:
        yield Span(fd, 0, facts.st_size, path)
    finally:
        os.close(fd)


class _Kept:
    """Makes the sinks of a rebuilding."""

    def __init__(self, into: Path, work: Path, tally: Tally) -> None:
        self._into, self._work, self._tally = str(into), str(work), tally
        self._numbers, self._lock = count(), threading.Lock()

    def sink(self, line: ObjectLine) -> Sink:
        with self._lock:
            number = next(self._numbers)
        name = line.digest.hex
        return _File(f"{self._work}/{number}", f"{self._into}/{name[:2]}/{name[2:]}", line, self._tally)


class _File:
    """An object on its way to a file."""

    def __init__(self, partial: str, final: str, line: ObjectLine, tally: Tally) -> None:
        self._partial, self._final, self._line, self._tally = partial, final, line, tally
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        self._fd = os.open(partial, flags, 0o444)

    def write(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]

    def close(self) -> None:
        os.close(self._fd)

    def done(self) -> None:
        os.rename(self._partial, self._final)  # noqa: PTH104  there may be millions
        self._tally.add(self._line.size)
