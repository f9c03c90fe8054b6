"""A file that is there whole or as it was before, even when the machine stops.

Rules. It is written beside, made durable and renamed into place, and so is its name. A full disk leaves nothing behind
and is DiskFull; a folder that cannot be written is BadInput.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from casemate.errors import BadInput
from casemate.store.staging import full_disk_named


@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A file that appears at `path` complete and on the disk, or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with full_disk_named(path.parent):
            with _opened(beside, path.name) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            put_in_place(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file of these bytes so that it is there whole or not at all."""
    with written_whole(path) as file:
        file.write(data)


def put_in_place(beside: Path, path: Path) -> None:
    """Rename a finished file into place, and make that durable."""
    beside.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _opened(beside: Path, name: str) -> BinaryIO:
    try:
        return beside.open("wb")
    except (FileNotFoundError, NotADirectoryError, PermissionError) as why:
        raise BadInput(name, expected="a folder that can be written", found=why.strerror) from why
