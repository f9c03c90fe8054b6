"""What a courier brought, opened without trust: a bundle or a volume of it, as a folder or as an archive.

Rules. Nothing is followed and nothing is extracted: files are opened name by name below a descriptor, an archive's
headers are compared with what they must be. What a bundle of that manifest cannot hold is refused before a byte of it
is copied: other names, other sizes, links, devices, names twice or in another order, anything after the end.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from casemate.airlock.bundle.head import Head
from casemate.airlock.bundle.manifest import ENVELOPE, MANIFEST
from casemate.airlock.bundle.terms import FileFacts
from casemate.airlock.bundle.ustar import BLOCK, END, claimed, padding, taken
from casemate.airlock.bundle.volumes import VOLUME, Volume, own_files, read_volume
from casemate.airlock.limits import Limits
from casemate.airlock.walk import look, open_below, open_source, shown
from casemate.errors import BadInput, DigestMismatch, InspectionRefused, NotFound
from casemate.store.digest import CHUNK_BYTES, kind_of

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_FOLDERS = ("parts", "statements")
HEAD_BYTES_MAX = 64 << 20
"""How large a manifest, or another of the small files in front, may be."""


@dataclass(frozen=True)
class Span:
    """A range of an open file; `name` is what an error calls it."""

    fd: int
    at: int
    size: int
    name: str

    def read(self, count: int, offset: int) -> bytes:
        """Up to `count` bytes from `offset` on; NotFound naming the file where its medium fails."""
        try:
            return os.pread(self.fd, max(0, min(count, self.size - offset)), self.at + offset)
        except OSError as why:
            raise NotFound(self.name, expected="bytes that can be read", found=why.strerror) from why

    def stream(self) -> BinaryIO:
        """All of it from its start, to be read in order."""
        return cast("BinaryIO", io.BufferedReader(_SpanReader(self), CHUNK_BYTES))


class _SpanReader(io.RawIOBase):
    def __init__(self, span: Span) -> None:
        self._span, self._at = span, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        view = memoryview(buffer).cast("B")
        data = self._span.read(len(view), self._at)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


Opening = Callable[[], AbstractContextManager[Span]]
"""A file of a bundle, to be opened when it is read: there may be more of them than a process may hold open."""


class Delivery:
    """An open source: its head, the volume it says to be, the files of its share that are there, and what is not."""

    def __init__(self, name: str, head: Head, volume: Volume | None, files: _Files) -> None:
        self.name, self.head, self.volume, self._files = name, head, volume, files
        share = volume.files if volume else tuple(head.manifest.files())
        self.files = tuple(file for file in share if file.path in files.paths)
        whole = [path for path, _ in own_files(head, volume)] + [file.path for file in share]
        self.missing = tuple(path for path in whole if path not in files.paths)

    @contextmanager
    def open(self, path: str) -> Iterator[Span]:
        """One of its files."""
        with self._files.open(path) as span:
            yield span


class _Files:
    """The files of a source, whichever kind it is."""

    def __init__(self, fd: int, paths: Mapping[str, tuple[int, int]], prefix: str, *, is_tar: bool) -> None:
        self.fd, self.paths, self._prefix, self._is_tar = fd, paths, prefix, is_tar

    def name(self, path: str) -> str:
        """What an error calls one of them."""
        return shown(f"{self._prefix}{path}")

    @contextmanager
    def open(self, path: str) -> Iterator[Span]:
        at, size = self.paths[path]
        name = self.name(path)
        if self._is_tar:
            yield Span(self.fd, at, size, name)
            return
        fd = open_below(self.fd, path, directory=False)
        try:
            found = os.fstat(fd)
            if found.st_size != size or (found.st_mode & 0o170000) != 0o100000:
                raise InspectionRefused(
                    name, expected=f"a file of {size} bytes, as listed", found=kind_of(found.st_mode)
                )
            yield Span(fd, 0, size, name)
        finally:
            os.close(fd)

    def whole(self, path: str) -> bytes:
        try:
            size = self.paths[path][1]
        except KeyError as why:
            raise NotFound(self.name(path), expected="a file of the bundle", found="nothing") from why
        if size > HEAD_BYTES_MAX:
            raise BadInput(self.name(path), expected=f"at most {HEAD_BYTES_MAX} bytes", found=f"{size} bytes")
        with self.open(path) as span:
            data = span.read(size, 0)
        if len(data) != size:
            raise DigestMismatch(self.name(path), expected=f"{size} bytes", found=f"{len(data)} bytes")
        return data


def read_head(source: Path) -> Head:
    """The head of a bundle folder, an archive of one, or a volume; nothing in it is trusted yet."""
    fd = open_source(source)
    try:
        if source.is_dir():
            where = f"{source.name}/"
            return Head.read(_Files(fd, _Looked(fd), where, is_tar=False).whole, where=where)
        return Head.read(_Front(fd, source.name).next, where=f"{source.name}: ")
    finally:
        os.close(fd)


@contextmanager
def open_delivery(source: Path, head: Head, limits: Limits) -> Iterator[Delivery]:
    """A source of the bundle with this head, looked through; a refusal names the file that should not be there."""
    with ExitStack() as opened:
        fd = open_source(source)
        opened.callback(os.close, fd)
        if source.is_dir():
            found = look(source, fd, limits)
            paths = {file.path: (0, file.size) for file in found.files}
            files = _Files(fd, paths, f"{source.name}/", is_tar=False)
            for folder in found.folders:
                if folder not in _FOLDERS:
                    raise InspectionRefused(shown(folder), expected="only what the manifest names", found="a folder")
        else:
            files = _Files(fd, _tar(fd, source, limits), f"{source.name}: ", is_tar=True)
        yield _accepted(source, head, files, in_order=not source.is_dir())


def _accepted(source: Path, head: Head, files: _Files, *, in_order: bool) -> Delivery:
    for path, ours in ((MANIFEST, head.manifest_bytes), (ENVELOPE, head.envelope_bytes)):
        if files.whole(path) != ours:
            found = "another bundle's, or damage"
            raise DigestMismatch(files.name(path), expected=f"that of bundle {head.digest}", found=found)
    volume = read_volume(files.whole(VOLUME), head, thing=files.name(VOLUME)) if VOLUME in files.paths else None
    own = own_files(head, volume)
    share: Sequence[FileFacts] = volume.files if volume else tuple(head.manifest.files())
    sizes = {path: len(data) for path, data in own} | {file.path: file.size for file in share}
    for path in files.paths:
        if path not in sizes:
            raise InspectionRefused(files.name(path), expected="only what the manifest names", found="another file")
        if files.paths[path][1] != sizes[path]:
            expected, found = f"{sizes[path]} bytes", f"{files.paths[path][1]} bytes"
            raise DigestMismatch(files.name(path), expected=expected, found=found)
    for path, data in own:
        if path in files.paths and files.whole(path) != data:  # what is missing is said by `missing`
            account = f"the manifest and {VOLUME}" if volume else "the manifest"
            raise DigestMismatch(files.name(path), expected=f"what follows from {account}", found="other bytes")
    if in_order and list(files.paths) != list(sizes):
        missing = next((path for path in sizes if path not in files.paths), "another order")
        raise DigestMismatch(source.name, expected="every file once, in order", found=f"not so: {missing}")
    return Delivery(source.name, head, volume, files)


class _Looked(dict[str, tuple[int, int]]):
    """Where files of a folder are, looked up one by one."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def __missing__(self, path: str) -> tuple[int, int]:
        try:
            return 0, os.stat(path, dir_fd=self._fd, follow_symlinks=False).st_size
        except OSError as why:
            raise KeyError(path) from why  # said to be missing by who asked


class _Front:
    """The first files of an archive, one after another, whatever follows them."""

    def __init__(self, fd: int, name: str) -> None:
        self._fd, self._name, self._at = fd, name, 0

    def next(self, wanted: str) -> bytes:
        """The bytes of the next file, which must have this path."""
        front = Span(self._fd, 0, self._at + BLOCK, self._name)
        path, size = claimed(front.read(BLOCK, self._at), f"{self._name} at byte {self._at}")
        if path != wanted:
            raise BadInput(f"{self._name} at byte {self._at}", expected=wanted, found=path)
        files = _Files(self._fd, {path: (self._at + BLOCK, size)}, f"{self._name}: ", is_tar=True)
        self._at += taken(size)
        return files.whole(path)


def _tar(fd: int, source: Path, limits: Limits) -> dict[str, tuple[int, int]]:
    """Where each file of an archive is: by its headers alone, which must be spelled as bundles spell them."""
    name, at, found = source.name, 0, dict[str, tuple[int, int]]()
    whole = Span(fd, 0, os.fstat(fd).st_size, name)
    if whole.size > limits.max_bytes:
        raise InspectionRefused(name, expected=f"at most {limits.max_bytes} bytes", found=f"{whole.size} bytes")
    while (block := whole.read(BLOCK, at)) != END[:BLOCK]:
        path, size = claimed(block, f"{name} at byte {at}")
        if path in found:
            raise InspectionRefused(f"{name} at byte {at}", expected="each file once", found=f"{path} again")
        if len(found) >= limits.max_files:
            raise InspectionRefused(name, expected=f"at most {limits.max_files} files", found="more")
        if whole.read(len(padding(size)), at + BLOCK + size) != padding(size):
            raise DigestMismatch(f"{name}: {path}", expected=f"{size} bytes, then zeros", found="less, or other bytes")
        found[path] = (at + BLOCK, size)
        at += taken(size)
    if at + len(END) != whole.size or whole.read(len(END), at) != END:
        raise DigestMismatch(name, expected=f"an end at byte {at + len(END)}", found=f"{whole.size} bytes")
    return found
