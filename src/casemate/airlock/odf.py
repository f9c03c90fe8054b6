"""OpenDocument (odt, ods, odp): what its packages may hold, after OASIS OpenDocument 1.3 part 2.

Rules. `mimetype` stands first, plain, and agrees with the file's ending; the manifest lists every part. Scripts, event
listeners, embedded programs, encryption, links to other programs and whatever is fetched from elsewhere are refused.
Charts and formulas inside are held to the same rules.
"""

from __future__ import annotations

import re

from casemate.airlock.limits import ScanLimits
from casemate.airlock.office_parts import PartReader, Rules
from casemate.airlock.report import Finding
from casemate.airlock.zips import StrictZip

_KIND = "application/vnd.oasis.opendocument."
_MIMETYPES = {"odt": f"{_KIND}text", "ods": f"{_KIND}spreadsheet", "odp": f"{_KIND}presentation"}
_MANIFEST = "META-INF/manifest.xml"
_XML = re.compile(r"(?:Object \d+/)*(?:content|styles|meta|settings)\.xml|manifest\.rdf|META-INF/[\w-]+\.xml")
_OTHER = re.compile(r"(?:Object \d+/)?(?:Pictures|media|Thumbnails|Fonts)/[^/]+")
_REPLACEMENT = re.compile(r"ObjectReplacements/[^/]+|layout-cache|Object \d+/layout-cache")
_RULES = Rules(
    elements={
        "script": "a script", "event-listener": "a script that an event starts", "dde-source": "a link to a program",
        "dde-connection-decl": "a link to a program", "dde-link": "a link to a program", "applet": "a program",
        "plugin": "a program that plays", "floating-frame": "a frame from elsewhere",
        "object-ole": "an embedded object (OLE)", "section-source": "text from elsewhere",
        "table-source": "a table from elsewhere", "cell-range-source": "cells from elsewhere",
        "connection-data-source": "a connection to data", "database-source-sql": "a connection to data",
        "database-source-query": "a connection to data", "database-source-table": "a connection to data",
    },
    followed=frozenset({"a"}),
    told=frozenset({"template"}),
)  # fmt: skip
_UNREAD_BYTES = 64 << 20


def check(archive: StrictZip, end: str, limits: ScanLimits) -> list[Finding]:
    """What is wrong with a package whose name ends in `end`."""
    reader = PartReader(archive, limits, _RULES)
    _check_mimetype(reader, end)
    if _MANIFEST not in archive or "content.xml" not in archive:
        return [*reader.findings, Finding("part", f"{_MANIFEST} and content.xml, which every document has", "none")]
    listed = _listed(reader)
    if any(finding.rule == "encryption" for finding in reader.findings):
        return reader.findings
    for name in archive.members:
        if name not in listed and name != "mimetype" and not name.startswith("META-INF/"):
            reader.refuse("part", "parts that the manifest lists", f"{name!a}")
        _check_part(reader, name)
    return reader.findings


def _check_mimetype(reader: PartReader, end: str) -> None:
    expected = _MIMETYPES[end]
    first = next(iter(reader.archive.members), "")
    if first != "mimetype" or reader.archive.members[first].deflated or reader.archive.members[first].start != 38:
        reader.refuse("content type", "mimetype first in the archive, plain", f"{first!a}")
        return
    found = reader.archive.read("mimetype", at_most=255).decode("latin-1")
    if found != expected:
        reader.refuse("content type", f"{expected} for a name ending in .{end}", f"{found!a}")


def _listed(reader: PartReader) -> set[str]:
    listed: set[str] = set()

    def on_start(local: str, attributes: dict[str, str]) -> None:
        if local == "file-entry":
            listed.update(value for key, value in attributes.items() if key.rpartition(":")[2] == "full-path")
        if local == "encryption-data":
            reader.refuse("encryption", "a document that can be read", "an encrypted one")

    reader.xml(_MANIFEST, on_start)
    return listed


def _check_part(reader: PartReader, name: str) -> None:
    size = reader.archive.members[name].size
    if name in {"mimetype", _MANIFEST}:
        return
    if name.startswith("Configurations2/") and size == 0:
        reader.archive.read(name, at_most=0)
    elif _XML.fullmatch(name):
        reader.xml(name)
    elif _REPLACEMENT.fullmatch(name):
        reader.archive.read(name, at_most=_UNREAD_BYTES)
        reader.findings.append(Finding("part", "parts that are read here", "previews and layout", note=True))
    elif _OTHER.fullmatch(name):
        reader.other(name)
    else:
        reader.refuse("part", "text, styles, pictures and charts", f"{name!a}")
