"""Office Open XML (docx, xlsx, pptx): what its packages may hold, after ECMA-376 part 2.

Rules. `[Content_Types].xml` gives every part a type, and the main one agrees with the file's ending. Macros, controls,
embedded objects, add-ins, connections and whatever is fetched from elsewhere are refused, by the type of the part and
by the relationship that leads to it. A workbook inside (the data of a chart) is held to the same rules.
"""

from __future__ import annotations

import io
import re

from casemate.airlock.limits import ScanLimits
from casemate.airlock.office_parts import PartReader, Rules
from casemate.airlock.report import Finding
from casemate.airlock.zips import NotStrictError, StrictZip, open_strict

_TYPES = "[Content_Types].xml"
_OFFICE = "application/vnd.openxmlformats-officedocument."
_MAIN = {
    "docx": f"{_OFFICE}wordprocessingml.document.main+xml",
    "xlsx": f"{_OFFICE}spreadsheetml.sheet.main+xml",
    "pptx": f"{_OFFICE}presentationml.presentation.main+xml",
}
_TYPE_ALLOWED = re.compile(
    r"application/(?:vnd\.openxmlformats-[\w.-]+\+xml|vnd\.ms-[\w.-]+\+xml|xml|inkml\+xml|x-fontdata|x-font-ttf"
    r"|vnd\.openxmlformats-officedocument\.(?:spreadsheetml|wordprocessingml|presentationml)\.printerSettings"
    r"|vnd\.openxmlformats-officedocument\.(?:obfuscatedFont|vmlDrawing)"
    r"|vnd\.openxmlformats-officedocument\.spreadsheetml\.sheet)|image/[\w.+-]+|text/xml",
    re.IGNORECASE,
)
_TYPE_REFUSED = re.compile(
    r"macro|vba|activex|oleobject|toolbars|keymapcustom|externallink|connections|querytable|addin|webextension|mailmerge",
    re.IGNORECASE,
)
_RELATIONS = {
    "vbaproject": "macros", "wordvbadata": "macros", "xlmacrosheet": "macros", "xlintlmacrosheet": "macros",
    "attachedtoolbars": "macros", "keymapcustomizations": "macros", "control": "a control (ActiveX)",
    "activexcontrolbinary": "a control (ActiveX)", "oleobject": "an embedded object (OLE)",
    "externallink": "a link to another workbook", "externallinkpath": "a link to another workbook",
    "attachedtemplate": "a template from elsewhere", "frame": "a frame from elsewhere",
    "subdocument": "a document from elsewhere", "afchunk": "a foreign document inside",
    "mailmergesource": "a source of addresses", "mailmergeheadersource": "a source of addresses",
    "connections": "a connection to data", "querytable": "a connection to data", "video": "media that play",
    "audio": "media that play", "media": "media that play", "webextension": "an add-in",
    "webextensiontaskpanes": "an add-in", "taskpane": "an add-in", "extensibility": "a changed ribbon (customUI)",
    "ui": "a changed ribbon (customUI)", "rddatawebimage": "a picture from elsewhere",
}  # fmt: skip
_RULES = Rules(
    elements={
        "altChunk": "a foreign document inside", "subDoc": "a document from elsewhere",
        "ddeLink": "a link to a program", "oleLink": "a link to a program", "OLEObject": "an embedded object (OLE)",
        "customUI": "a changed ribbon (customUI)",
        "webextension": "an add-in", "mailMerge": "a source of addresses", "webPr": "a connection to data",
        "dbPr": "a connection to data", "ocx": "a control (ActiveX)",
    },
    followed=frozenset({"shape", "rect", "group"}),  # of VML drawings
    hrefs=frozenset({"href", "src"}),
)  # fmt: skip
_LINK = "hyperlink"
_EMBEDDED_BYTES = 64 << 20
_DEPTH = 2


def check(archive: StrictZip, end: str, limits: ScanLimits, depth: int = 0) -> list[Finding]:
    """What is wrong with a package whose name ends in `end`."""
    reader = PartReader(archive, limits, _RULES)
    if _TYPES not in archive:
        return [Finding("part", f"{_TYPES}, which every Office document has", "none")]
    types = _types(reader)
    expected = _MAIN[end]
    mains = [type_name for type_name in types.values() if type_name.endswith("main+xml")]
    if mains != [expected]:
        reader.refuse(
            "content type", f"one main part, {expected}, for a name ending in .{end}", ", ".join(mains) or "none"
        )
    for name in archive.members:
        if name != _TYPES:
            _check_part(reader, name, types.get("/" + name.lower()) or types.get(_ending(name)), depth)
    return reader.findings


def _ending(name: str) -> str:
    return name.rpartition(".")[2].lower()


def _types(reader: PartReader) -> dict[str, str]:
    """The type of every part: by its name (with a slash before it) or by its ending."""
    types: dict[str, str] = {}

    def on_start(local: str, attributes: dict[str, str]) -> None:
        key = attributes.get("Extension") if local == "Default" else attributes.get("PartName")
        if local in {"Default", "Override"} and key:
            if key.lower() in types:
                reader.refuse("content type", "one type a part", f"two for {key!a}")
            types[key.lower()] = attributes.get("ContentType", "")

    reader.xml(_TYPES, on_start)
    return types


def _check_part(reader: PartReader, name: str, type_name: str | None, depth: int) -> None:
    if type_name is None:
        reader.refuse("part", f"parts that {_TYPES} gives a type", f"{name!a}")
    elif not _TYPE_ALLOWED.fullmatch(type_name) or _TYPE_REFUSED.search(type_name):
        reader.refuse("content type", "parts of text and pictures", f"{type_name[:120]!a} for {name!a}")
    elif _ending(name) == "rels":
        reader.xml(name, lambda local, attributes: _check_relation(reader, name, local, attributes))
    elif _ending(name) == "svg":
        reader.other(name)
    elif type_name.lower().endswith("printersettings"):
        reader.archive.read(name, at_most=_EMBEDDED_BYTES)
        reader.findings.append(Finding("part", "parts that are read here", "printer settings", note=True))
    elif _ending(name) == "xlsx":
        _check_embedded(reader, name, depth)
    elif type_name.lower().endswith("xml") or _ending(name) in {"xml", "vml"}:
        reader.xml(name)
    else:
        reader.other(name)


def _check_embedded(reader: PartReader, name: str, depth: int) -> None:
    if depth == _DEPTH:
        reader.refuse("part", f"at most {_DEPTH} documents inside one another", f"{name!a}")
        return
    try:
        inside = open_strict(io.BytesIO(reader.archive.read(name, at_most=_EMBEDDED_BYTES)), reader.limits)
        found = check(inside, "xlsx", reader.limits, depth + 1)
    except NotStrictError as why:
        found = [why.finding]
    reader.findings += [Finding(f.rule, f.expected, f"{f.found} in {name!a}", f.note) for f in found]


def _check_relation(reader: PartReader, name: str, local: str, attributes: dict[str, str]) -> None:
    if local != "Relationship":
        return
    kind = attributes.get("Type", "").rpartition("/")[2].lower()
    target, mode = attributes.get("Target", ""), attributes.get("TargetMode", "Internal").lower()
    if kind in _RELATIONS:
        reader.refuse(
            "active content", "a document that only shows", f"{_RELATIONS[kind]}, {target[:80]!a} in {name!a}"
        )
    elif mode == "external" and kind == _LINK:
        reader.address(name, target, followed=True)
    elif mode == "external":
        reader.refuse("reference", "what the document holds", f"{kind} {target[:80]!a} in {name!a}")
    elif ":" in target.partition("/")[0].partition("#")[0] or target.startswith(("//", "\\")) or "\\" in target:
        reader.refuse("reference", "parts of the document", f"{target[:80]!a} in {name!a}")
