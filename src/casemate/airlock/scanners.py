"""What a scanner is, and which there are: the files of `inspect/`, found by listing the folder.

A scanner reads one file and answers with findings; none means clean. It runs only inside the child process, may raise
anything (a scanner that breaks is a refusal of the file it was reading) and keeps no state between files. It is named
by a format, whose files it reads; or it says `READS_EVERY_FILE = True`, and reads every file of an allowed type after
the scanner of the format. A scanner may have `prepare(rules)`, which is told the site's rules, as a text, before its
process is confined, and raises BadInput where they cannot be used.
"""

from __future__ import annotations

import importlib
from importlib import resources
from pathlib import Path
from typing import Protocol, cast

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.errors import NotFound


class Scanner(Protocol):
    """What each file of `inspect/` has."""

    def versions(self) -> dict[str, str]:
        """Its own version and those of the decoders that it uses."""

    def scan(self, file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
        """Read one file whose bytes begin like `type_name`, whole, and say what is wrong with it."""


def names() -> list[str]:
    """The scanners of this installation."""
    files = resources.files("casemate.airlock.inspect").iterdir()
    return sorted(f.name.removesuffix(".py") for f in files if f.name.endswith(".py") and f.name != "__init__.py")


def find(name: str) -> Scanner:
    """A scanner by its name."""
    known = names()
    if name not in known:
        raise NotFound(f"scanner {name}", expected=" or ".join(known), found="no such file in inspect/")
    return cast("Scanner", importlib.import_module(f"casemate.airlock.inspect.{name}"))


def of_every_file() -> list[str]:
    """The scanners that read every file, whatever its format."""
    return [name for name in names() if getattr(find(name), "READS_EVERY_FILE", False)]
