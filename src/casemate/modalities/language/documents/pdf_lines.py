"""Lines of a PDF page with their boxes, as pdfium cuts them.

Rules. Boxes are points from the top left of the page as it is shown (its crop, its rotation). What pdfium joins over a
wide gap is cut there, since it may be two columns. A word that the end of a line cuts ends with U+2010.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from casemate.modalities.language.documents.block import Box
from casemate.modalities.language.documents.layout import Line, around

_WIDE = 1.8  # gaps between words of one line, in heights of its letters
_BOLD = 600
_ToTopLeft = Callable[[float, float, float, float], Box]


def lines_of(page: Any) -> list[Line]:
    """The lines of a page, in the order of its content."""
    text_page = page.get_textpage()
    try:
        count = text_page.count_chars()
        if count <= 0:
            return []
        text = text_page.get_text_range(0, count, errors="replace") if _plain(text_page, count) else ""
        place = to_top_left(page)
        if len(text) != count:
            text = _one_by_one(text_page, count)
        return [line for start, end in _spans(text) for line in _lines(text_page, text, start, end, place)]
    finally:
        text_page.close()


def _plain(text_page: Any, count: int) -> bool:
    del text_page
    return count < 1 << 20


def _one_by_one(text_page: Any, count: int) -> str:
    """The characters by their numbers, where some stand for two or for none."""
    import pypdfium2.raw as pdfium

    codes = (pdfium.FPDFText_GetUnicode(text_page, i) for i in range(count))
    return "".join(chr(code) if 0 < code < 0x110000 and not 0xD800 <= code < 0xE000 else "\ufffd" for code in codes)


def _spans(text: str) -> Iterator[tuple[int, int]]:
    start = 0
    for i, character in enumerate(f"{text}\n"):
        if character in "\r\n":
            if text[start:i].strip():
                yield start, i
            start = i + 1


def _lines(text_page: Any, text: str, start: int, end: int, place: _ToTopLeft) -> Iterator[Line]:
    rects = _rects(text_page, start, end - start, place)
    if not rects:
        return
    size, bold = _letters(text_page, text, start, end)
    box = around(rects)
    size = size or box[3] - box[1]
    inner = sorted(rects)
    if any(after[0] - before[2] > _WIDE * size for before, after in pairwise(inner)):
        for first, last in _cuts(text_page, text, start, end, place, size):
            cut = _rects(text_page, first, last - first, place)
            if cut and text[first:last].strip():
                yield Line(_words(text[first:last]), around(cut), size, bold)
        return
    yield Line(_words(text[start:end]), box, size, bold)


def _words(text: str) -> str:
    plain = text.strip()
    return f"{plain[:-1]}\u2010" if plain.endswith(("\ufffe", "\x02")) else plain


def _cuts(text_page: Any, text: str, start: int, end: int, place: _ToTopLeft, size: float) -> Iterator[tuple[int, int]]:
    """Where a line is cut: between letters that stand wide apart."""
    first, right = start, None
    for i in range(start, end):
        if text[i].isspace():
            continue
        box = _char_box(text_page, i, place)
        if right is not None and box is not None and (box[0] - right > _WIDE * size or box[2] < right - 10 * size):
            yield first, i
            first = i
        right = box[2] if box is not None else right
    yield first, end


def _rects(text_page: Any, start: int, count: int, place: _ToTopLeft) -> list[Box]:
    found = (text_page.get_rect(i) for i in range(text_page.count_rects(start, count)))
    return [place(left, bottom, right, top) for left, bottom, right, top in found]


def _char_box(text_page: Any, index: int, place: _ToTopLeft) -> Box | None:
    left, bottom, right, top = text_page.get_charbox(index)
    return place(left, bottom, right, top) if right > left else None


def _letters(text_page: Any, text: str, start: int, end: int) -> tuple[float, bool]:
    """The height of a line's letters, as its font has it, and whether they are bold."""
    import pypdfium2.raw as pdfium

    first = next(i for i in range(start, end) if not text[i].isspace())
    loose = pdfium.FS_RECTF()
    size = 0.0
    if pdfium.FPDFText_GetLooseCharBox(text_page, first, loose):
        size = abs(loose.top - loose.bottom)
    return size, pdfium.FPDFText_GetFontWeight(text_page, first) >= _BOLD or _named_bold(text_page, first)


def _named_bold(text_page: Any, index: int) -> bool:
    import pypdfium2.raw as pdfium

    name, flags = ctypes.create_string_buffer(128), ctypes.c_int()
    length = pdfium.FPDFText_GetFontInfo(text_page, index, name, 128, flags)
    return bool(0 < length <= 128 and (b"Bold" in name.value or b"Black" in name.value))


def to_top_left(page: Any) -> _ToTopLeft:
    """Boxes in a page's own coordinates as boxes from the top left of the page as it is shown."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    scale = 100

    def shown(x: float, y: float) -> tuple[float, float]:
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, int(width * scale), int(height * scale), 0, x, y, across, down)
        return across.value / scale, down.value / scale

    (x0, y0), (x1, y1), (x2, y2) = shown(0, 0), shown(1000, 0), shown(0, 1000)
    xx, yx, xy, yy = (x1 - x0) / 1000, (y1 - y0) / 1000, (x2 - x0) / 1000, (y2 - y0) / 1000

    def place(left: float, bottom: float, right: float, top: float) -> Box:
        corners = [(x0 + xx * x + xy * y, y0 + yx * x + yy * y) for x, y in ((left, bottom), (right, top))]
        (a, b), (c, d) = corners
        return (min(a, c), min(b, d), max(a, c), max(b, d))

    return place
