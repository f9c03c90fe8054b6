"""Office documents: text, tables, charts and pictures, and nothing that runs or is fetched.

What their packages may hold is said in `casemate.airlock.ooxml` and `casemate.airlock.odf`; how strictly the archive is
read, in `casemate.airlock.zips`.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from casemate.airlock import odf, ooxml
from casemate.airlock.distinct import distinct
from casemate.airlock.formats import ending
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.zips import NotStrictError, open_strict


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"expat": expat.EXPAT_VERSION.removeprefix("expat_"), "office_document": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Whether it is one whole document that only shows."""
    family = {"ooxml": ooxml, "odf": odf}[type_name]
    with file.open("rb") as stream:
        try:
            return distinct(family.check(open_strict(stream, limits), ending(file.name), limits))
        except NotStrictError as why:
            return [why.finding]
