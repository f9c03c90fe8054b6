"""OpenDocument texts, sheets and presentations: their content in order; each sheet or slide is a page."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from datetime import date
from typing import Any

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.csv import tables
from casemate.modalities.language.documents.readers.text import cut
from casemate.modalities.language.documents.readers.xml import parsed
from casemate.modalities.language.documents.source import Found, Source, UnreadableError, row_text

_NS = "urn:oasis:names:tc:opendocument:xmlns:"
_TEXT, _TABLE = f"{{{_NS}text:1.0}}", f"{{{_NS}table:1.0}}"
_DRAW, _OFFICE, _STYLE = f"{{{_NS}drawing:1.0}}", f"{{{_NS}office:1.0}}", f"{{{_NS}style:1.0}}"
_META, _DC = f"{{{_NS}meta:1.0}}", "{http://purl.org/dc/elements/1.1/}"
_LOEXT = "{urn:org:documentfoundation:names:experimental:office:xmlns:loext:1.0}"
_AROUND_PAGES = tuple(
    f"{space}{place}{which}"
    for space in (_STYLE, _LOEXT) for place in ("header", "footer") for which in ("", "-left", "-first")
)  # fmt: skip
_REPEAT = 100  # cells and rows that a file says are repeated: more are empty space


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a document."""
    with source.open() as stream, zipfile.ZipFile(stream) as archive:
        content = _part(archive, "content.xml", found)
        if content is None:
            raise UnreadableError("an OpenDocument file with its content", "no content.xml")
        meta = _part(archive, "meta.xml", found)
        if meta is not None:
            found.title = meta.findtext(f".//{_DC}title") or ""
            found.date = _date(meta.findtext(f".//{_DC}date") or meta.findtext(f".//{_META}creation-date") or "")
        styles = _part(archive, "styles.xml", found)
        for element in styles.iter(*_AROUND_PAGES) if styles is not None else ():
            yield from _blocks(element, 0, found)
        body = content.find(f"{_OFFICE}body")
        for part in body if body is not None else ():
            yield from _blocks(part, 0, found)


def _part(archive: zipfile.ZipFile, name: str, found: Found) -> Any:
    if name not in archive.namelist():
        return None
    if archive.getinfo(name).file_size > found.limits.max_unpacked_bytes:
        raise UnreadableError(f"at most {found.limits.max_unpacked_bytes} bytes in {name}", "more")
    return parsed(archive.read(name))


def _date(text: str) -> str:
    try:
        return date.fromisoformat(text[:10]).isoformat()
    except ValueError:
        return ""


def _blocks(element: Any, page: int, found: Found) -> Iterator[Block]:
    for child in element:
        if child.tag in {f"{_TEXT}h", f"{_TEXT}p"}:
            text = _words(child)
            if text.strip():
                yield from cut(text, page=page, kind="heading" if child.tag == f"{_TEXT}h" else "paragraph")
            yield from _framed(child, page, found)
        elif child.tag == f"{_TABLE}table":
            yield from _sheet(child, page, found)
        elif child.tag == f"{_DRAW}page":
            found.pages += 1
            found.on_page()
            yield from _blocks(child, found.pages, found)
        elif child.tag not in {f"{_TEXT}tracked-changes", f"{_OFFICE}annotation"}:
            yield from _blocks(child, page, found)


def _framed(paragraph: Any, page: int, found: Found) -> Iterator[Block]:
    """Text in frames that a paragraph holds: boxes of text."""
    for frame in paragraph.iter(f"{_DRAW}text-box"):
        yield from _blocks(frame, page, found)


def _sheet(table: Any, page: int, found: Found) -> Iterator[Block]:
    """A table of a text, or a sheet of a workbook, which has a name and is a page."""
    if table.getparent().tag == f"{_OFFICE}spreadsheet":
        found.pages += 1
        page = found.pages
        found.on_page()
        yield Block(table.get(f"{_TABLE}name", "")[:1000], page, kind="heading")
    rows = (_row(row) for row in table.iter(f"{_TABLE}table-row") if next(row.iterancestors(f"{_TABLE}table")) is table)
    yield from tables((row for row in rows if row_text(row)), found, page)


def _row(row: Any) -> list[str]:
    cells: list[str] = []
    for cell in row.iterchildren(f"{_TABLE}table-cell", f"{_TABLE}covered-table-cell"):
        text = " ".join(_words(p) for p in cell.iter(f"{_TEXT}p"))
        times = cell.get(f"{_TABLE}number-columns-repeated", "1")
        cells += [text] * (min(int(times[:9]), _REPEAT) if times.isdecimal() else 1)
    return cells


def _words(paragraph: Any) -> str:
    """The text of a paragraph, without what a box within it holds."""
    out = [paragraph.text or ""]
    for child in paragraph:
        if child.tag == f"{_TEXT}s":
            out.append(" ")
        elif child.tag in {f"{_TEXT}tab", f"{_TEXT}line-break"}:
            out.append(" " if child.tag.endswith("tab") else "\n")
        elif child.tag == f"{_TEXT}note":
            out += [f" ({' '.join(_words(p) for p in child.iter(f'{_TEXT}p')).strip()})"]
        elif child.tag not in {f"{_DRAW}frame", f"{_OFFICE}annotation"}:
            out.append(_words(child))
        out.append(child.tail or "")
    return "".join(out)
