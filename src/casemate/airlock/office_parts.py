"""The parts of an Office document, whatever its family: XML that loads nothing, pictures that are what they say.

Rules. A name's prefix is anybody's, so elements are told by what follows it. What is not XML, a picture or one of a few
known kinds is refused; those few (fonts, metafiles, printer settings) are read by nobody here, which a note says.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from casemate.airlock import html_rules, references, strict_xml
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.zips import StrictZip

# Functions of sheets that start programs or fetch, and the link to a program (`cmd|'/c calc'!A0`).
_FORMULA = re.compile(
    r"\b(?:DDE|WEBSERVICE|FILTERXML|CALL|REGISTER(?:\.ID)?|EXEC|RTD|SQL\.REQUEST|IMPORT(?:XML|DATA|FEED|HTML))\s*\("
    r"|(?<![\w|])'?[A-Za-z][\w.]*'?\|(?![|=])[^!]{0,255}!",
    re.IGNORECASE,
)
_FIELD = re.compile(
    r"(?:^|[\s{\"\\\x01])(DDE(?:AUTO)?|INCLUDETEXT|INCLUDEPICTURE|IMPORT|DATABASE|LINK|MACROBUTTON)(?=[\s\"\\\x01]|$)"
    r"|\bQUOTE\s+\d+\s+\d+",
    re.IGNORECASE,
)
_FORMULA_ELEMENTS = frozenset({"f", "definedName", "formula", "formula1", "formula2", "oldFormula"})
_PICTURES = {
    "png": "png", "jpg": "jpeg", "jpeg": "jpeg", "jfif": "jpeg", "webp": "webp", "gif": "GIF picture",
    "tif": "tiff", "tiff": "tiff", "bmp": "BMP picture",
}  # fmt: skip
_UNREAD = {
    "emf": "metafiles", "wmf": "metafiles", "svm": "metafiles", "odttf": "fonts", "fntdata": "fonts", "ttf": "fonts",
    "otf": "fonts",
}  # fmt: skip
_NESTING = 4  # Office nests deeper than labels do
_MAX_TEXT_CHARS = 1 << 20
_DRAWING_BYTES = 16 << 20
_IN_QUOTES = re.compile(r'"[^"]*"')


@dataclass(frozen=True)
class Rules:
    """What one family's XML may not hold: elements by name, and the elements whose addresses a person may follow.

    Of elements that are `told`, an address without a scheme is a note: the name of the template that a text began with.
    """

    elements: dict[str, str]
    followed: frozenset[str]
    told: frozenset[str] = frozenset()
    hrefs: frozenset[str] = frozenset({"href"})


@dataclass
class PartReader:
    """Reads the parts of one document and gathers what is wrong with them."""

    archive: StrictZip
    limits: ScanLimits
    rules: Rules
    findings: list[Finding] = field(default_factory=list)

    def refuse(self, rule: str, expected: str, found: str) -> None:
        """One more reason."""
        self.findings.append(Finding(rule, expected, found))

    def xml(self, name: str, on_start: strict_xml.OnStart | None = None) -> None:
        """A part of XML: strict, and by the family's rules."""
        member = self.archive.members[name]
        if member.size > self.limits.max_text_bytes:
            self.refuse("size", f"at most {self.limits.max_text_bytes} bytes in {name!a}", str(member.size))
            return
        part = _Part(self, name, on_start)
        found = strict_xml.parse(
            self.archive.chunks(name),
            max_nesting=_NESTING * self.limits.max_nesting,
            on_start=part.on_start,
            on_text=part.on_text,
            instructions=frozenset({"mso-contentType"}),
        )
        part.end()
        self.findings += [Finding(f.rule, f"{f.expected} in {name!a}", f.found) for f in found]

    def other(self, name: str) -> None:
        """A part that is not XML: a picture, or one of the kinds that nobody reads here."""
        end = name.rpartition(".")[2].lower()
        if end == "svg":
            drawing = html_rules.check_drawing(self.archive.read(name, at_most=_DRAWING_BYTES))
            self.findings += [Finding(f.rule, f.expected, f"{f.found} in {name!a}", f.note) for f in drawing]
            return
        pieces = self.archive.chunks(name)
        head = next(pieces, b"")
        for _ in pieces:
            pass  # its size and checksum are verified
        if end in _PICTURES or not head:
            found = references.picture_type(head)
            if head and found != _PICTURES[end]:
                self.refuse("picture", f"{_PICTURES[end]} in {name!a}", found)
        elif end in _UNREAD:
            self.findings.append(Finding("part", "parts that are read here", _UNREAD[end], note=True))
        else:
            self.refuse("part", "XML and pictures", f"{name!a}, {references.picture_type(head)}")

    def address(self, where: str, address: str, *, followed: bool) -> None:
        """An address: a person may follow a link, the document itself loads from inside only."""
        reference = references.read(address)
        if reference.kind == "link" and followed:
            self.findings.append(Finding("link", "nothing outside the document", reference.shown, note=True))
        elif reference.kind != "inside":
            self.refuse("reference", "what the document holds", f"{reference.shown!a} in {where}")


class _Part:
    """Watches one part of XML go by."""

    def __init__(self, reader: PartReader, name: str, on_start: strict_xml.OnStart | None) -> None:
        self._reader, self._name, self._and_then = reader, name, on_start
        self._field: list[str] = []
        self._formula: list[str] = []
        self._kept, self._within = 0, ""

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins: what it is, and what its attributes point to."""
        self._check_formula()
        local = name.rpartition(":")[2]
        self._within = local
        if local in self._reader.rules.elements:
            self._reader.refuse("active content", "a document that only shows", self._reader.rules.elements[local])
        if local == "fldChar":
            self._keep(self._field, "\x01")
        for key, value in attributes.items():
            self._check_attribute(name, local, key.rpartition(":")[2], value)
        if self._and_then is not None:
            self._and_then(local, attributes)

    def on_text(self, text: str) -> None:
        """Text: that of fields and formulas is kept."""
        if self._within == "instrText":
            self._keep(self._field, text)
        elif self._within in _FORMULA_ELEMENTS:
            self._keep(self._formula, text)

    def end(self) -> None:
        """The part has ended: a field may be spread over all of it."""
        self._check_formula()
        found = _FIELD.search("".join(self._field))
        if found:
            what = " ".join(found[0].strip('\x01 "\\{').split())
            self._reader.refuse("field", "fields that fetch nothing", f"{what} in {self._name!a}")

    def _keep(self, where: list[str], text: str) -> None:
        self._kept += len(text)
        if self._kept <= _MAX_TEXT_CHARS or where is self._formula:
            where.append(text)
        elif self._kept - len(text) <= _MAX_TEXT_CHARS:
            self._reader.refuse("field", f"at most {_MAX_TEXT_CHARS} characters of fields", f"more in {self._name!a}")

    def _check_formula(self) -> None:
        if self._formula:
            self._check_text("".join(self._formula))
            self._kept -= sum(map(len, self._formula))
            self._formula = []

    def _check_text(self, formula: str) -> None:
        found = _FORMULA.search(_IN_QUOTES.sub('""', formula))
        if found:
            self._reader.refuse("formula", "formulas that only compute", f"{found[0][:60]!a} in {self._name!a}")

    def _check_attribute(self, name: str, local: str, key: str, value: str) -> None:
        rules, where = self._reader.rules, f"<{name}> of {self._name!a}"
        if key in rules.hrefs and local in rules.told and ":" not in value and not value.startswith(("/", "\\")):
            self._reader.findings.append(Finding("link", "nothing outside the document", value[:80], note=True))
        elif key in rules.hrefs:
            self._reader.address(where, value, followed=local in rules.followed)
        elif key == "instr":
            found = _FIELD.search(value)
            if found:
                self._reader.refuse("field", "fields that fetch nothing", f"{value[:60]!a} in {self._name!a}")
        elif key == "formula":
            self._check_text(value)
        elif (key == "action" and value.startswith("ppaction://") and not _shows(value)) or (key == "macro" and value):
            self._reader.refuse("active content", "a document that only shows", f"{key}={value[:60]!a} in {where}")


def _shows(action: str) -> bool:
    return action.removeprefix("ppaction://").partition("?")[0] in {
        "hlinkshowjump", "hlinksldjump", "customshow", "noaction",
    }  # fmt: skip
