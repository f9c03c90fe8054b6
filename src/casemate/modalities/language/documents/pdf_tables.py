"""Tables of PDF pages that have ruling lines, by pdfplumber, which is opened for the first such page only."""

from __future__ import annotations

import io
from types import TracebackType
from typing import Any, Self

from casemate.modalities.language.documents.block import MAX_TEXT, Block
from casemate.modalities.language.documents.source import Found, Source, row_text

_LINES = 4  # ruling lines each way that make a page worth looking at
_THIN = 2.5
_MOST_OBJECTS = 3000
_EVERY = 50  # pages after which the reader is opened afresh, so that what it keeps of pages goes


def ruled(page: Any) -> bool:
    """Whether a page has lines across and down, as tables have; one that is mostly drawings does not count."""
    across = down = seen = 0
    for item in page.get_objects(max_depth=2):
        if item.type != 2:  # a path
            continue
        seen += 1
        left, bottom, right, top = item.get_bounds() if hasattr(item, "get_bounds") else item.get_pos()
        wide, high = right - left, top - bottom
        across += wide > 20 and (high < _THIN or high > 6)
        down += high > 6 and (wide < _THIN or wide > 20)
        if seen > _MOST_OBJECTS:
            return False
    return across >= _LINES and down >= 2


class Tables:
    """The tables of one document."""

    def __init__(self, source: Source) -> None:
        """Nothing is opened yet."""
        self._source, self._used = source, 0
        self._open: Any = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def on(self, number: int, found: Found) -> list[Block]:
        """The tables of a page, as blocks; none, and a note, where they cannot be read."""
        import pdfplumber
        from pdfminer.pdfexceptions import PDFException

        try:
            if self._open is None:
                self._open = pdfplumber.open(self._source.path or io.BytesIO(self._source.data))
            page = self._open.pages[number - 1]
            blocks = [block for table in page.find_tables() if (block := _block(table, page, number))]
            page.close()
        except (PDFException, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as why:
            found.note(f"page {number}: tables not read as tables ({type(why).__name__})")
            blocks = []
        self._used += 1
        if self._used % _EVERY == 0:
            self._close()
        return blocks

    def _close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _block(table: Any, page: Any, number: int) -> Block | None:
    rows = [row_text([cell or "" for cell in row]) for row in table.extract()]
    text = "\n".join(row for row in rows if row)
    if len([row for row in rows if row]) < 2 or max(len(row) for row in table.extract()) < 2 or len(text) > MAX_TEXT:
        return None
    left, top, right, bottom = table.bbox
    x0, y0 = page.bbox[0], page.bbox[1]
    return Block(text, number, (left - x0, top - y0, right - x0, bottom - y0), "table")
