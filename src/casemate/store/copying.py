"""Copies that cost as little as the file system allows: a reflink where it has them, else one pass that also hashes.

Rules. A copy is digested from the very bytes that were written. New files are made read-only at once: the descriptor
that makes them may still write. What is made durable is said: `settle` for files, nothing else promises it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

from casemate.store.digest import CHUNK_BYTES, Digest, of_descriptor, open_regular

_FICLONE = 0x40049409
_NO_REFLINK = {errno.EOPNOTSUPP, errno.EXDEV, errno.EINVAL, errno.ENOTTY, errno.ENOSYS, errno.EPERM, errno.ETXTBSY}
_FSYNC_EACH_MAX = 64
READ_ONLY = 0o444


def reflink(source_fd: int, target_fd: int) -> bool:
    """Let `target_fd` share the blocks of `source_fd` (btrfs, XFS, bcachefs…); False where that is not to be had."""
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as why:
        if why.errno not in _NO_REFLINK:
            raise
        return False
    return True


def copy_digested(source: Path | str, target: Path | str, *, on_bytes: Callable[[int], None] | None = None) -> Digest:
    """Copy a regular file to a new read-only file and digest what was written, in one pass."""
    source_fd, _ = open_regular(source)
    try:
        target_fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, READ_ONLY)
        try:
            if reflink(source_fd, target_fd):
                return of_descriptor(target_fd, on_bytes=on_bytes)
            return write_digested(lambda: os.read(source_fd, CHUNK_BYTES), target_fd, on_bytes=on_bytes)
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)


def write_digested(
    read: Callable[[], bytes], target_fd: int, *, on_bytes: Callable[[int], None] | None = None
) -> Digest:
    """Write chunks until `read` gives none, and digest them."""
    state = hashlib.sha256()
    while chunk := read():
        state.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[os.write(target_fd, view) :]
        if on_bytes:
            on_bytes(len(chunk))
    return Digest(state.hexdigest())


def settle(paths: Iterable[Path], folder: Path) -> None:
    """Return when the data of `paths`, all on the file system of `folder`, would survive a loss of power.

    Few files are synchronised one by one; many by one syncfs, which is one flush of the device and not one for each.
    """
    listed = list(paths)
    if len(listed) > _FSYNC_EACH_MAX:
        _with_descriptor(folder, _syncfs)
        return
    for path in listed:
        _with_descriptor(path, os.fsync)


def _with_descriptor(path: Path, act: Callable[[int], object]) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        act(fd)
    finally:
        os.close(fd)


def _syncfs(fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.syncfs(fd) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
