"""Copies that are hashed in the same pass.

Rules. The digest is of the bytes that were written, never of a second reading. A file that is not the one that was
listed, or that grows or changes while it is read, is refused. What is written can be read by its owner alone and
executed by nobody.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.walk import Found, open_below, shown
from casemate.errors import DiskFull, InspectionRefused
from casemate.store.digest import Digest

_FICLONE = 0x40049409  # linux/fs.h: share the extents of another file, where the file system can
_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_BUFFER_BYTES = 1 << 20
_PART_FILES = 64
_PART_BYTES = 64 << 20


@dataclass(frozen=True)
class AdmittedFile:
    """A file in quarantine: POSIX path below the folder, size in bytes, digest."""

    path: str
    size: int
    digest: Digest


def parts(files: Sequence[Found]) -> Iterator[list[Found]]:
    """Cut files (sorted by path) into pieces of work: neighbours in one folder, neither too many nor too large."""
    part: list[Found] = []
    size = 0
    for file in files:
        full = len(part) >= _PART_FILES or size + file.size > _PART_BYTES
        if part and (full or _folder(part[0]) != _folder(file)):
            yield part
            part, size = [], 0
        part.append(file)
        size += file.size
    if part:
        yield part


def copy_part(
    source_fd: int, part: Sequence[Found], to: Path, stop: threading.Event, on_bytes: Callable[[int], None]
) -> list[AdmittedFile]:
    """Copy files of one folder of the source into `to`; `stop` ends it early, because another part was refused."""
    is_file = stat.S_ISREG(os.fstat(source_fd).st_mode)
    folder_fd = os.dup(source_fd) if is_file else open_below(source_fd, _folder(part[0]), directory=True)
    buffer = memoryview(bytearray(_BUFFER_BYTES))
    done = []
    try:
        for file in part:
            if stop.is_set():
                break
            name = file.path.rpartition("/")[2]
            read_fd = os.dup(folder_fd) if is_file else open_below(folder_fd, name, directory=False)
            try:
                done.append(_copy(read_fd, file, to / file.path, buffer, stop))
            finally:
                os.close(read_fd)
            on_bytes(file.size)
    finally:
        os.close(folder_fd)
    return done


def _copy(read_fd: int, file: Found, to: Path, buffer: memoryview, stop: threading.Event) -> AdmittedFile:
    _check_same(read_fd, file)
    try:
        write_fd = os.open(to, _WRITE, 0o400)
        try:
            cloned = _clone(read_fd, write_fd)
            size, digest = _stream(write_fd if cloned else read_fd, None if cloned else write_fd, file, buffer, stop)
        finally:
            os.close(write_fd)
    except OSError as why:
        if why.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(shown(file.path), expected=f"room for {file.size} bytes", found=why.strerror) from why
        raise
    if size != file.size and not stop.is_set():
        raise InspectionRefused(shown(file.path), expected=f"{file.size} bytes, as listed", found=f"{size} while read")
    _check_same(read_fd, file)
    return AdmittedFile(file.path, size, digest)


def _stream(
    read_fd: int, write_fd: int | None, file: Found, buffer: memoryview, stop: threading.Event
) -> tuple[int, Digest]:
    sha256 = hashlib.sha256()
    size = 0
    while not stop.is_set() and size <= file.size and (got := os.readv(read_fd, [buffer])):
        sha256.update(buffer[:got])
        size += got
        while write_fd is not None and got:
            wrote = os.write(write_fd, buffer[:got])
            buffer[: got - wrote] = buffer[wrote:got]
            got -= wrote
    return size, Digest(sha256.hexdigest())


def _clone(read_fd: int, write_fd: int) -> bool:
    try:
        fcntl.ioctl(write_fd, _FICLONE, read_fd)
    except OSError:  # another file system, or one that cannot share extents: copy instead
        return False
    return True


def _check_same(read_fd: int, file: Found) -> None:
    now = os.fstat(read_fd)
    if not stat.S_ISREG(now.st_mode) or (now.st_dev, now.st_ino) != file.identity:
        raise InspectionRefused(shown(file.path), expected="the file that was listed", found="another in its place")
    if now.st_size != file.size or now.st_mtime_ns != file.modified_ns:
        raise InspectionRefused(
            shown(file.path), expected=f"{file.size} bytes, unchanged while read", found=f"{now.st_size}, changed"
        )


def _folder(file: Found) -> str:
    return file.path.rpartition("/")[0]
