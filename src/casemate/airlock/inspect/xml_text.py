"""XML labels: elements, attributes and text, and nothing that makes a reader open or expand anything else.

A document type, entities, processing instructions and inclusions are findings.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import read_text

_XINCLUDE = "http://www.w3.org/2001/XInclude"


class _Watch:
    """What the parser met that may not be there."""

    def __init__(self, max_nesting: int) -> None:
        self.findings: list[Finding] = []
        self._depth, self._max_nesting = 0, max_nesting

    def on_doctype(self, name: str, *_: object) -> None:
        """`<!DOCTYPE …>`: the door to entities."""
        self._note("no document type", f"<!DOCTYPE {name}>")

    def on_entity(self, name: str, *_: object) -> None:
        """`<!ENTITY …>`."""
        self._note("no entities", f"<!ENTITY {name}>")

    def on_instruction(self, target: str, _data: str) -> None:
        """`<?target …?>`: style sheets and the like."""
        self._note("no processing instructions", f"<?{target}?>")

    def on_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        """`<?xml … encoding=…?>`."""
        if encoding and encoding.upper() not in {"UTF-8", "UTF8", "US-ASCII", "ASCII"}:
            self._note("UTF-8", f"the encoding {encoding}")

    def on_start(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self._depth += 1
        if self._depth == self._max_nesting + 1:
            self._note(f"at most {self._max_nesting} levels of nesting", "more")
        if _XINCLUDE in attributes.values():
            self._note("no inclusion of other files", f"XInclude in <{name}>")

    def on_end(self, _name: str) -> None:
        """An element ends."""
        self._depth -= 1

    def _note(self, expected: str, found: str) -> None:
        self.findings.append(Finding("xml", expected, found))


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"expat": expat.EXPAT_VERSION.removeprefix("expat_"), "xml_text": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is plain XML, whole."""
    text, findings = read_text(file, limits)
    if findings:
        return findings
    watch = _Watch(limits.max_nesting)
    parser = expat.ParserCreate("UTF-8")
    parser.StartDoctypeDeclHandler = watch.on_doctype
    parser.EntityDeclHandler = watch.on_entity
    parser.ProcessingInstructionHandler = watch.on_instruction
    parser.XmlDeclHandler = watch.on_declaration
    parser.StartElementHandler = watch.on_start
    parser.EndElementHandler = watch.on_end
    try:
        parser.Parse(text.encode(), True)
    except expat.ExpatError as why:
        watch.findings.append(Finding("xml", "well-formed XML", str(why)))
    return watch.findings
