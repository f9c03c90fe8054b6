"""Word documents: paragraphs, headings and tables in order, then notes; what stands above and below pages once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.text import cut
from casemate.modalities.language.documents.source import Found, Source, iso_date, row_text

_W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
_WORDS_DRAWN = "{urn:schemas-microsoft-com:vml}textpath"
_FALLBACK = "{http://schemas.openxmlformats.org/markup-compatibility/2006}Fallback"


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a document."""
    import docx

    with source.open() as stream:
        document = docx.Document(stream)
        found.title = document.core_properties.title or ""
        found.date = iso_date(document.core_properties.modified or document.core_properties.created)
        headings = _headings(document)
        yield from _around_pages(document, headings)
        for child in document.element.body.iterchildren():
            yield from _blocks(child, headings)
        yield from _notes(document, headings)


def _headings(document: Any) -> frozenset[str]:
    """The identifiers of the styles of headings, by their names, in English or French."""
    named = ("heading", "title", "titre", "subtitle", "sous-titre")
    return frozenset(s.style_id for s in document.styles if (s.name or "").lower().startswith(named))


def _around_pages(document: Any, headings: frozenset[str]) -> Iterator[Block]:
    """Headers and footers: markings often stand there."""
    seen: set[str] = set()
    for section in document.sections:
        parts = (
            section.header, section.first_page_header, section.even_page_header,
            section.footer, section.first_page_footer, section.even_page_footer,
        )  # fmt: skip
        for part in parts:
            if part.is_linked_to_previous:
                continue
            for drawn in part._element.iter(_WORDS_DRAWN):  # noqa: SLF001  a watermark has its words in an attribute
                text = drawn.get("string", "")
                if text.strip() and text not in seen:
                    seen.add(text)
                    yield from cut(text)
            for child in part._element.iterchildren():  # noqa: SLF001  python-docx has no other way in order
                for block in _blocks(child, headings):
                    if block.text not in seen:
                        seen.add(block.text)
                        yield block


def _notes(document: Any, headings: frozenset[str]) -> Iterator[Block]:
    from lxml import etree

    for part in document.part.package.iter_parts():
        name = str(part.partname)
        if name.endswith(("/footnotes.xml", "/endnotes.xml", "/comments.xml")):
            parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
            for note in etree.fromstring(part.blob, parser):
                if note.get(f"{_W}type") not in {"separator", "continuationSeparator", "continuationNotice"}:
                    for child in note:
                        yield from _blocks(child, headings)


def _blocks(element: Any, headings: frozenset[str]) -> Iterator[Block]:
    if element.tag == f"{_W}p":
        text = _text(element)
        style = element.find(f"{_W}pPr/{_W}pStyle")
        heading = style is not None and style.get(f"{_W}val") in headings
        if text.strip():
            yield from cut(text, kind="heading" if heading else "paragraph")
        for boxed in element.iter(f"{_W}txbxContent"):
            if not any(parent.tag == _FALLBACK for parent in boxed.iterancestors()):
                for child in boxed:
                    yield from _blocks(child, headings)
    elif element.tag == f"{_W}tbl":
        rows = (_row(row) for row in element.iterchildren(f"{_W}tr"))
        text = "\n".join(row for row in rows if row)
        if text:
            yield from cut(text, kind="table")
    elif element.tag in {f"{_W}sdt", f"{_W}sdtContent", f"{_W}ins", f"{_W}customXml"}:
        for child in element:
            yield from _blocks(child, headings)


def _row(row: Any) -> str:
    cells = [cell for cell in row.iter(f"{_W}tc") if next(cell.iterancestors(f"{_W}tr")) is row]
    return row_text([" ".join(_text(p) for p in cell.iter(f"{_W}p")) for cell in cells])


def _text(paragraph: Any) -> str:
    """The text of a paragraph, without what a box within it holds or what was deleted."""
    out = []
    for node in paragraph.iter(f"{_W}t", f"{_W}tab", f"{_W}br", f"{_W}cr", f"{_W}noBreakHyphen"):
        if next(node.iterancestors(f"{_W}p")) is not paragraph:
            continue
        local = node.tag.removeprefix(_W)
        out.append({"t": node.text or "", "noBreakHyphen": "-", "tab": " "}.get(local, "\n"))
    return "".join(out)
