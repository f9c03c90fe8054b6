"""Places where files wait until they are whole; a process that dies leaves only these, and the next one sweeps them.

Rules. A place is a folder with a lock file beside it, held (flock) for as long as its process lives; the kernel lets go
of it at the end of the process, kill -9 included. A place whose lock can be taken is nobody's: it is removed. A lock is
taken before its folder is made and removed after it, so a folder is never without an owner or a lock to find.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.errors import DiskFull

_LOCK = ".lock"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@contextmanager
def staging(parent: Path, prefix: str = "") -> Iterator[Path]:
    """A folder of this process alone in `parent`; whatever is left in it at the end is removed."""
    lock, fd = _own_lock(parent, prefix)
    place = lock.with_suffix("")
    try:
        place.mkdir(mode=0o700)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(fd)


def sweep(parent: Path, prefix: str = "") -> list[Path]:
    """Remove the places in `parent` whose process is gone; those of living processes stay."""
    swept = []
    for lock in sorted(parent.glob(f"{prefix}*{_LOCK}")):
        fd = _try_lock(lock)
        if fd is None:
            continue
        shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
        lock.unlink(missing_ok=True)
        os.close(fd)
        swept.append(lock.with_suffix(""))
    return swept


@contextmanager
def full_disk_named(where: Path) -> Iterator[None]:
    """Say DiskFull, with the room that is left, where the system says that it has no room, quota or file size left."""
    try:
        yield
    except OSError as why:
        if why.errno not in _FULL:
            raise
        room = os.statvfs(where)
        found = f"{os.strerror(why.errno or 0)}, {room.f_bavail * room.f_frsize} bytes free"
        raise DiskFull(where, expected="room to write", found=found) from why


def _own_lock(parent: Path, prefix: str) -> tuple[Path, int]:
    while True:
        lock = parent / f"{prefix}{secrets.token_hex(8)}{_LOCK}"
        lock.touch(mode=0o600, exist_ok=False)
        fd = _try_lock(lock)
        if fd is not None:  # None: swept between the two lines, by a process that took it for nobody's
            return lock, fd


def _try_lock(lock: Path) -> int | None:
    """A descriptor that holds `lock`, or None: somebody else holds it, or it is gone."""
    try:
        fd = os.open(lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(fd).st_nlink > 0:
            return fd
    except BlockingIOError:
        pass
    os.close(fd)
    return None
