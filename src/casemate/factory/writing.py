"""Folders that a verb writes for a person: whole or absent, and nobody else's until they are whole.

Rules. What is written is marked, and may be written where others write too. So it is made in a folder of random name
that its owner alone may enter, and nothing that lies there already is followed or written over.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.errors import NameTaken
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
