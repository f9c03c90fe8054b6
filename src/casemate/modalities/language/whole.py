"""Files that are there whole or not at all.

Rules. A file is written beside, made durable and renamed into place; a full disk leaves nothing behind and is DiskFull.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from casemate.errors import BadInput, DiskFull


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it is there whole or not at all, even when the machine stops."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        try:
            with beside.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            put_in_place(beside, path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
    except OSError as why:
        if why.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(path.name, expected=f"room for {len(data)} bytes", found=why.strerror) from why
        raise BadInput(path.name, expected="a folder that can be written", found=why.strerror) from why


def put_in_place(beside: Path, path: Path) -> None:
    """Rename a finished file into place, and make that durable."""
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
