"""PDF: lines with their boxes from pdfium, tables of ruled pages from pdfplumber, pages without text recognised.

Rules. A page at a time: nothing of a page is kept once it is read. A page whose letters are mostly not letters is read
as a picture, as is one without text but with something on it. Where no model recognises print, such a page is noted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any

from casemate.modalities.language.documents.block import Block, Box
from casemate.modalities.language.documents.layout import Line, ordered, paragraphs
from casemate.modalities.language.documents.pdf_lines import lines_of
from casemate.modalities.language.documents.pdf_tables import Tables, ruled
from casemate.modalities.language.documents.readers.image import recognised
from casemate.modalities.language.documents.source import Found, Source, UnreadableError

_DATE = re.compile(r"(?:D:)?(\d{4})(\d{2})(\d{2})")
_FEW = 25  # characters: a page with fewer and a picture over most of it is a scan with a stamp
_ODD = re.compile("[\ufffd\x00-\x08\x0e-\x1f\ue000-\uf8ff]")
_POINTS = 72


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a document."""
    document = opened(source)
    try:
        found.title = document.get_metadata_value("Title") or ""
        found.date = _date(document)
        found.pages = len(document)
        if found.pages > found.limits.max_pages:
            raise UnreadableError(f"at most {found.limits.max_pages} pages", str(found.pages))
        with Tables(source) as tables:
            for number in range(1, found.pages + 1):
                found.on_page()
                page = document[number - 1]
                yield from _page(page, number, tables, found)
                page.close()
    finally:
        document.close()


def opened(source: Source) -> Any:
    """A document open in pdfium."""
    import pypdfium2

    try:
        return pypdfium2.PdfDocument(source.data if source.path is None else source.path)
    except pypdfium2.PdfiumError as why:
        encrypted = "password" in str(why).lower()
        raise UnreadableError("a PDF that opens", "one that is encrypted" if encrypted else str(why)) from why


def _date(document: Any) -> str:
    for name in ("ModDate", "CreationDate"):
        stamp = _DATE.match(document.get_metadata_value(name) or "")
        if stamp:
            try:
                return date(int(stamp[1]), int(stamp[2]), int(stamp[3])).isoformat()
            except ValueError:
                continue
    return ""


def _page(page: Any, number: int, tables: Tables, found: Found) -> Iterator[Block]:
    lines = lines_of(page)
    text = "".join(line.text for line in lines)
    if _garbled(text):
        yield from _recognised(page, number, found, "letters that cannot be read")
        return
    if len(text.strip()) < _FEW and _pictured(page, alone=not text.strip()):
        blocks = list(_recognised(page, number, found, "no text"))
        if blocks or not text.strip():
            yield from blocks
            return
    if not ruled(page):
        yield from paragraphs(ordered(lines), number)
        return
    cut = tables.on(number, found)
    outside = [line for line in lines if not any(_within(line, table.box) for table in cut)]
    blocks = [*paragraphs(ordered(outside), number), *cut]
    yield from _placed(blocks, len(cut))


def _placed(blocks: list[Block], tables: int) -> list[Block]:
    """Tables put before the first text that begins below their top."""
    placed, cut = blocks[: len(blocks) - tables], blocks[len(blocks) - tables :]
    for table in cut:
        top = table.box[1] if table.box else 0.0
        below = (i for i, block in enumerate(placed) if block.box and block.kind != "table" and block.box[1] > top)
        placed.insert(next(below, len(placed)), table)
    return placed


def _within(line: Line, box: Box | None) -> bool:
    across = (line.box[0] + line.box[2]) / 2
    return box is not None and box[0] - 2 <= across <= box[2] + 2 and box[1] - 1 <= line.middle <= box[3] + 1


def _garbled(text: str) -> bool:
    """Whether most of a page's characters stand for nothing, as fonts without a table of characters give."""
    plain = text.replace(" ", "")
    return len(plain) > 20 and len(_ODD.findall(plain)) + plain.count("(cid:") * 5 > 0.2 * len(plain)


def _pictured(page: Any, *, alone: bool) -> bool:
    """Whether a picture covers much of the page; where there is no text at all, whether there is anything on it."""
    width, height = page.get_size()
    for item in page.get_objects(max_depth=3):
        if alone:
            return True
        if item.type == 3:  # a picture
            left, bottom, right, top = item.get_bounds() if hasattr(item, "get_bounds") else item.get_pos()
            if (right - left) * (top - bottom) > 0.5 * width * height:
                return True
    return False


def _recognised(page: Any, number: int, found: Found, why: str) -> Iterator[Block]:
    if found.recogniser is None:
        found.note(f"page {number}: {why}, not read: no OCR model")
        return
    scale = scale_of(page, found)
    picture = page.render(scale=scale, rev_byteorder=True, draw_annots=True).to_pil().convert("RGB")
    yield from recognised(picture, number, found, 1 / scale)


def scale_of(page: Any, found: Found) -> float:
    """Pixels a point at which a page is rendered."""
    return float(min(found.limits.dpi / _POINTS, found.limits.max_side_px / max(*page.get_size(), 1.0)))
