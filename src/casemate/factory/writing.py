"""Folders that a verb writes for a person, whole or absent and nobody else's until then; small files that it reads.

Rules. What is written is marked, and may be written where others write too. So it is made in a folder of random name
that its owner alone may enter, and nothing that lies there already is followed or written over. What a courier brings
is a regular file of bounded size, or refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.errors import BadInput, NameTaken
from casemate.signing.canonical import MAX_BYTES
from casemate.store.digest import open_regular
from casemate.store.staging import full_disk_named, staging, sweep

_PARTIAL = ".casemate-"


def refuse_existing(folder: Path) -> None:
    """NameTaken if anything lies there, a link that leads nowhere included."""
    if os.path.lexists(folder):
        raise NameTaken(folder, expected="a folder that does not exist", found="one that does")


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A private folder beside `folder` to write in; it becomes `folder` at the end, or nothing does."""
    refuse_existing(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent, _PARTIAL)
    with staging(folder.parent, _PARTIAL) as place, full_disk_named(folder.parent):
        yield place
        place.rename(folder)


def small_file(file: Path) -> bytes:
    """The bytes of a signed statement that somebody brought; BadInput for a link, a device, or too large a file."""
    fd, facts = open_regular(file)
    with os.fdopen(fd, "rb") as stream:
        if facts.st_size > MAX_BYTES:
            raise BadInput(file, expected=f"at most {MAX_BYTES} bytes", found=f"{facts.st_size} bytes")
        return stream.read(MAX_BYTES)
