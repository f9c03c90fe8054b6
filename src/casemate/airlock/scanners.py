"""What a scanner is, and which there are: the files of `inspect/`, found by listing the folder.

A scanner reads one file and answers with findings; none means clean. It runs only inside the child process, may raise
anything (a scanner that breaks is a refusal of the file it was reading) and keeps no state between files. It is named
by a format, whose files it reads; or it says `READS_EVERY_FILE = True`, on a line of its own, and reads every file of
an allowed type after the scanner of the format. Heavy parsers are imported late: a process loads the scanners of the
types that a delivery can hold, and no others. A scanner may have `prepare(rules, types)`, which is told the site's
rules, as a text, and those types, before its process is confined; it imports what it needs for them, and raises
BadInput where the rules cannot be used.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol, cast

from casemate.airlock import formats
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.errors import NotFound

_READS_EVERY_FILE = re.compile(r"^READS_EVERY_FILE = True$", re.MULTILINE)


class Scanner(Protocol):
    """What each file of `inspect/` has."""

    def versions(self) -> dict[str, str]:
        """Its own version and those of the decoders that it uses."""

    def scan(self, file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
        """Read one file whose bytes begin like `type_name`, whole, and say what is wrong with it."""


def names() -> list[str]:
    """The scanners of this installation."""
    return sorted(_files())


def find(name: str) -> Scanner:
    """A scanner by its name."""
    known = names()
    if name not in known:
        raise NotFound(f"scanner {name}", expected=" or ".join(known), found="no such file in inspect/")
    return cast("Scanner", importlib.import_module(f"casemate.airlock.inspect.{name}"))


def of_every_file() -> list[str]:
    """The scanners that read every file, whatever its format."""
    said = {name: file.read_text(encoding="utf-8") for name, file in _files().items()}  # importing all takes far longer
    return sorted(name for name, text in said.items() if _READS_EVERY_FILE.search(text))


def types_of(paths: Iterable[str], allowed: Iterable[str]) -> frozenset[str]:
    """The formats of `allowed` that files of these names can be: a file of another is refused for its name, unread."""
    endings = {formats.ending(path) for path in paths}
    return frozenset(name for name in allowed if name in formats.FORMATS and endings & formats.endings_of(name))


def _files() -> dict[str, Traversable]:
    files = resources.files("casemate.airlock.inspect").iterdir()
    return {f.name.removesuffix(".py"): f for f in files if f.name.endswith(".py") and f.name != "__init__.py"}
