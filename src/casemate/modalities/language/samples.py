"""The small evaluation sets that come with Casemate: written for it, to show the way and to find gross faults.

Rules. They are ordinary data sets: they are copied out, imported, marked and versioned like any other. They are few and
public, so a model may have learned them: nobody should release on them alone.
"""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from casemate.errors import BadInput, NotFound


def names() -> list[str]:
    """The sets that there are."""
    return sorted(item.name for item in _sets().iterdir() if item.is_dir())


def write(name: str, folder: Path) -> Path:
    """Copy a set out into a new folder, to be imported from there."""
    if name not in names():
        raise NotFound(f"evaluation set {name}", expected=f"one of {', '.join(names())}", found="none of that name")
    if folder.exists():
        raise BadInput(folder, expected="a folder that does not exist yet", found="one that does")
    shutil.copytree(_sets() / name, folder)
    return folder


def _sets() -> Path:
    return Path(str(resources.files(__package__).joinpath("sample_sets")))
