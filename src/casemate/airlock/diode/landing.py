"""Where a bundle lands: a hidden folder until it is whole, then one rename.

    INTO/.diode-<session>/announcement, index, files/…      not whole yet; survives kill -9
    INTO/<session>/…                                        whole: every block and every file verified

Rules. Nothing is written but blocks whose SHA-256 is the index's, and only at paths that the index's rules let pass,
below a folder of our own. No list of what arrived is kept: what a process finds when it starts again, it verifies. A
file's room is not reserved, so that what is announced and never sent costs nothing. Whole means: every file's SHA-256
is right, its data are on the disk, and the folder is renamed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.index import Index
from casemate.airlock.diode.layout import Layout, Segment
from casemate.airlock.diode.limits import LinkLimits
from casemate.errors import BadInput, DigestMismatch
from casemate.store import digest_files
from casemate.store.copying import READ_ONLY, settle
from casemate.store.staging import full_disk_named

PREFIX = ".diode-"
_NEW = ".new"
_ANY = LinkLimits(max_files=1 << 62, max_depth=1 << 62, max_path_bytes=1 << 62)
_MAKE = os.O_RDWR | os.O_CREAT


class Landing:
    """An unfinished bundle on the disk; `missing` holds the numbers of the blocks that it lacks."""

    def __init__(self, into: Path, announcement: Announcement, index: Index) -> None:
        """Use `begin` or `resume`."""
        self.announcement, self.index = announcement, index
        self.target = into / announcement.session.hex()
        self.place = into / f"{PREFIX}{announcement.session.hex()}"
        self.missing = set(range(announcement.blocks))
        self._files = self.place / "files"
        self._layout = Layout(index.manifest, announcement.block_bytes)

    @classmethod
    def begin(cls, into: Path, announcement: Announcement, index_bytes: bytes, limits: LinkLimits) -> Landing:
        """Make the folder of a new bundle; BadInput where its index is not in order."""
        index = Index.from_bytes(index_bytes, announcement, limits)
        landing = cls(into, announcement, index)
        new = landing.place.with_name(landing.place.name + _NEW)
        with full_disk_named(into):
            shutil.rmtree(new, ignore_errors=True)
            (new / "files").mkdir(parents=True, mode=0o700)
            (new / "index").write_bytes(index_bytes)
            (new / "announcement").write_bytes(announcement.to_bytes())
            settle([new / "index", new / "announcement", new], into)
            new.rename(landing.place)
            settle([into], into)
        return landing

    @classmethod
    def resume(cls, place: Path) -> Landing:
        """Find again what an earlier process left in `place`; BadInput where it is not in order."""
        announcement = Announcement.from_bytes((place / "announcement").read_bytes())
        index_bytes = (place / "index").read_bytes()
        again = Announcement.of(
            index_bytes,
            stream_bytes=announcement.stream_bytes,
            block_bytes=announcement.block_bytes,
            symbol_bytes=announcement.symbol_bytes,
        )
        if place.name != f"{PREFIX}{again.session.hex()}":
            raise BadInput(place, expected="the bundle that it is named after", found=again.session.hex())
        landing = cls(place.parent, announcement, Index.from_bytes(index_bytes, announcement, _ANY))
        landing.verify_blocks()
        return landing

    @property
    def whole(self) -> bool:
        """Whether every block is there."""
        return not self.missing

    def write(self, block: int, data: bytes, *, durable: bool = False) -> bool:
        """Write a block if it is the index's; whether it was. `durable`: return when it is on the disk."""
        if hashlib.sha256(data).digest() != self.index.digest(block):
            return False
        with full_disk_named(self.place):
            start = 0
            for segment in self._layout.segments(block):
                self._write_segment(segment, data[start : start + segment.length], durable)
                start += segment.length
        return True

    def finish(self) -> list[str]:
        """Verify every file and put the bundle in its place; or the paths that are wrong: their blocks are missing."""
        files = self.index.manifest.files
        with full_disk_named(self.place):
            for file in files:
                if not file.size:
                    with self._opened(file.path, _MAKE):
                        pass
        expected = {self._files / file.path: file for file in files}
        wrong = [expected[path].path for path, digest in digest_files(expected) if digest != expected[path].digest]
        if wrong:
            self.verify_blocks()
            if self.whole:
                path = self._files / wrong[0]
                raise DigestMismatch(path, expected="a file that only this receiver writes", found="other bytes")
            return wrong
        for path in expected:
            path.chmod(READ_ONLY)
        with full_disk_named(self.place):
            settle([*expected, *_folders(self._files)], self.place)
            self._files.rename(self.target)
            settle([self.target.parent], self.target.parent)
        shutil.rmtree(self.place, ignore_errors=True)
        return []

    def verify_blocks(self) -> None:
        """Find out which blocks are there by reading them."""
        self.missing = {block for block in range(self.announcement.blocks) if not self._holds(block)}

    def _holds(self, block: int) -> bool:
        state = hashlib.sha256()
        for segment in self._layout.segments(block):
            try:
                with self._opened(segment.file.path, os.O_RDONLY) as fd:
                    state.update(os.pread(fd, segment.length, segment.offset))
            except FileNotFoundError:
                return False
        return state.digest() == self.index.digest(block)

    def _write_segment(self, segment: Segment, data: bytes, durable: bool) -> None:
        with self._opened(segment.file.path, _MAKE) as fd:
            view, at = memoryview(data), segment.offset
            while view:
                wrote = os.pwrite(fd, view, at)
                view, at = view[wrote:], at + wrote
            if durable:
                os.fsync(fd)

    @contextmanager
    def _opened(self, path: str, flags: int) -> Iterator[int]:
        file = self._files / path
        if flags & os.O_CREAT:
            file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fd = os.open(file, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


def _folders(place: Path) -> list[Path]:
    return [Path(folder) for folder, _, _ in os.walk(place)]
