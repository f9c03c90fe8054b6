"""XML that makes a reader open or expand nothing else: shared by the scanners of labels and of Office documents.

Rules. A document type, entities, processing instructions, inclusions, deep nesting and a declared encoding that is not
the text's are findings of the rule `xml`. Nothing is kept in memory: elements are handed to a callback as they begin.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from xml.parsers import expat

from casemate.airlock.report import Finding
from casemate.store.texts import Decoded

OnStart = Callable[[str, dict[str, str]], None]
OnText = Callable[[str], None]
_XINCLUDE = "http://www.w3.org/2001/XInclude"
_MAX_FINDINGS = 20


@dataclass
class _Watch:
    """What the parser met that may not be there."""

    max_nesting: int
    instructions: frozenset[str]
    on_start: OnStart | None
    encoding: Decoded
    findings: list[Finding] = field(default_factory=list)
    depth: int = 0

    def on_doctype(self, name: str, *_: object) -> None:
        """`<!DOCTYPE …>`: the door to entities."""
        self._note("no document type", f"<!DOCTYPE {name}>")

    def on_entity(self, name: str, *_: object) -> None:
        """`<!ENTITY …>`."""
        self._note("no entities", f"<!ENTITY {name}>")

    def on_instruction(self, target: str, _data: str) -> None:
        """`<?target …?>`: style sheets and the like."""
        if target not in self.instructions:
            self._note("no processing instructions", f"<?{target}?>")

    def on_declaration(self, _version: str, encoding: str | None, _standalone: int) -> None:
        """`<?xml … encoding=…?>`."""
        if encoding and not self.encoding.is_in(encoding):
            self._note(self.encoding.encoding, f"the encoding {encoding}")

    def on_element(self, name: str, attributes: dict[str, str]) -> None:
        """An element begins."""
        self.depth += 1
        if self.depth == self.max_nesting + 1:
            self._note(f"at most {self.max_nesting} levels of nesting", "more")
        if _XINCLUDE in attributes.values():
            self._note("no inclusion of other files", f"XInclude in <{name}>")
        if self.on_start is not None:
            self.on_start(name, attributes)

    def on_end(self, _name: str) -> None:
        """An element ends."""
        self.depth -= 1

    def _note(self, expected: str, found: str) -> None:
        if len(self.findings) < _MAX_FINDINGS:
            self.findings.append(Finding("xml", expected, found))


def parse(
    pieces: Iterable[bytes],
    *,
    max_nesting: int,
    on_start: OnStart | None = None,
    on_text: OnText | None = None,
    instructions: frozenset[str] = frozenset(),
    encoding: Decoded | None = None,
) -> list[Finding]:
    """What is wrong with XML that comes in pieces of UTF-8.

    `instructions` are processing instructions that may stand in it, `encoding` is what it was in before.
    """
    watch = _Watch(max_nesting, instructions, on_start, encoding or Decoded(""))
    parser = expat.ParserCreate("UTF-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = watch.on_doctype
    parser.EntityDeclHandler = watch.on_entity
    parser.ProcessingInstructionHandler = watch.on_instruction
    parser.XmlDeclHandler = watch.on_declaration
    parser.StartElementHandler = watch.on_element
    parser.EndElementHandler = watch.on_end
    if on_text is not None:
        parser.CharacterDataHandler = on_text
    try:
        for piece in pieces:
            parser.Parse(piece, False)
            if watch.findings:
                return watch.findings  # nothing that is refused is expanded further
        parser.Parse(b"", True)
    except expat.ExpatError as why:
        watch.findings.append(Finding("xml", "well-formed XML", str(why)))
    return watch.findings
