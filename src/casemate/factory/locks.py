"""Locks between the processes of a site: who carries an order out, receives a bundle or takes the next number is alone.

Rules. The kernel lets go of a lock at the end of its process, kill -9 included. A lock is an empty file that stays, so
that nobody holds one which another cannot see.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.errors import Unavailable


@contextmanager
def alone(folder: Path, name: str) -> Iterator[None]:
    """Hold the lock `name` of `folder` alone, once whoever holds it let go."""
    fd = _opened(folder, name)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


@contextmanager
def alone_or_no(folder: Path, name: str, thing: str, *, doing: str, shared: bool = False) -> Iterator[None]:
    """Hold it alone, or together with others who share it, or Unavailable: `doing` is what they do with `thing`."""
    fd = _opened(folder, name)
    try:
        try:
            fcntl.flock(fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError as why:
            raise Unavailable(thing, expected=f"nobody who {doing} now", found="somebody who does") from why
        yield
    finally:
        os.close(fd)


def _opened(folder: Path, name: str) -> int:
    folder.mkdir(mode=0o700, exist_ok=True)
    file = folder / hashlib.sha256(name.encode()).hexdigest()
    return os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
