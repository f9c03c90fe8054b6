"""The bundle as its sender reads it: listed once, digested once, then read block by block.

Rules. Nothing is followed: links, pipes and devices are refused. A block that is not the bytes that were digested stops
the sending, because its receiver could only throw it away. Memory is one block, whatever the bundle's size.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.index import Index
from casemate.airlock.diode.layout import Layout
from casemate.airlock.diode.missing import Missing
from casemate.airlock.limits import Limits
from casemate.airlock.walk import Source, look, open_below, open_source
from casemate.errors import BadInput, DigestMismatch
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest, ManifestFile

_READ_BYTES = 1 << 20
_AS_IT_IS = Limits(links_from_outside=True, max_expansion=1 << 62)


class Bundle:
    """A folder, cut into blocks."""

    def __init__(self, folder_fd: int, index: Index, announcement: Announcement) -> None:
        """Use `open_bundle`."""
        self.index, self.announcement = index, announcement
        self.index_bytes = index.to_bytes()
        self._folder_fd = folder_fd
        self._layout = Layout(index.manifest, announcement.block_bytes)

    def block(self, block: int) -> bytes:
        """The bytes of a block, the same as were digested."""
        parts = [self._read(part.file.path, part.offset, part.length) for part in self._layout.segments(block)]
        data = b"".join(parts)
        if hashlib.sha256(data).digest() != self.index.digest(block):
            paths = ", ".join(ascii(part.file.path) for part in self._layout.segments(block))[:200]
            raise DigestMismatch(paths, expected="the bytes that were listed", found="a file that changed since")
        return data

    def index_block(self, block: int) -> bytes:
        """The bytes of a block of the index."""
        start = block * self.announcement.block_bytes
        return self.index_bytes[start : start + self.announcement.block_bytes]

    def _read(self, path: str, offset: int, length: int) -> bytes:
        fd = open_below(self._folder_fd, path, directory=False)
        try:
            return os.pread(fd, length, offset)  # too little is seen by the digest
        finally:
            os.close(fd)


@contextmanager
def open_bundle(
    folder: Path, *, block_bytes: int, symbol_bytes: int, on_bytes: Callable[[int], None] | None = None
) -> Iterator[Bundle]:
    """List and digest a folder; `on_bytes` hears of what is read."""
    if not folder.is_dir() or folder.is_symlink():
        raise BadInput(folder, expected="a folder", found="a link" if folder.is_symlink() else "none")
    folder_fd = open_source(folder)
    try:
        source = look(folder, folder_fd, _AS_IT_IS)
        if source.dropped:
            raise BadInput(folder, expected="files of a bundle only", found=", ".join(source.dropped[:3]))
        index = _digest(folder_fd, source, block_bytes, on_bytes)
        announcement = Announcement.of(
            index.to_bytes(), stream_bytes=index.manifest.size, block_bytes=block_bytes, symbol_bytes=symbol_bytes
        )
        yield Bundle(folder_fd, index, announcement)
    finally:
        os.close(folder_fd)


def wanted(bundle: Bundle, only: Missing | None) -> Sequence[int]:
    """The blocks to send; BadInput where the list of missing blocks is not about this bundle."""
    announcement = bundle.announcement
    if only is None:
        return range(announcement.blocks)
    if only.session != announcement.session:
        expected = f"session {announcement.session.hex()}: this folder, cut in this way"
        raise BadInput("missing blocks", expected=expected, found=only.session.hex())
    return list(only.blocks(announcement.blocks))


def _digest(folder_fd: int, source: Source, block_bytes: int, on_bytes: Callable[[int], None] | None) -> Index:
    files: list[ManifestFile] = []
    digests = bytearray()
    block, room = hashlib.sha256(), block_bytes
    for found in source.files:
        whole, size = hashlib.sha256(), 0
        for chunk in _chunks(folder_fd, found.path):
            view = memoryview(chunk)
            whole.update(view)
            size += len(view)
            while len(view) >= room:
                block.update(view[:room])
                digests += block.digest()
                view, block, room = view[room:], hashlib.sha256(), block_bytes
            block.update(view)
            room -= len(view)
            if on_bytes:
                on_bytes(len(chunk))
        files.append(ManifestFile(found.path, size, Digest(whole.hexdigest())))
    if room < block_bytes:
        digests += block.digest()
    return Index(Manifest(tuple(files)), bytes(digests))


def _chunks(folder_fd: int, path: str) -> Iterator[bytes]:
    fd = open_below(folder_fd, path, directory=False)
    try:
        while chunk := os.read(fd, _READ_BYTES):
            yield chunk
    finally:
        os.close(fd)
