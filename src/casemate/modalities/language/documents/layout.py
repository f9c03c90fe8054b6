"""Lines on a page put into reading order and gathered into paragraphs and headings. Pure.

Rules. A page is read down its columns where it has them: a gutter that few lines cross, with prose on both sides; what
crosses it (titles, wide figures' words) cuts the page into bands. Without columns, from top to bottom. Lines make a
paragraph when they follow closely, in one size. A heading is larger than most of the page, or short and bold.
Coordinates are points from the top left.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from casemate.modalities.language.documents.block import Block, Box, Kind

_BULLET = re.compile(r"(?:[•‣▪◦●○■□–—*➢✓]|-|\d{1,3}[.)°]|[a-z][.)]|[IVX]{1,5}[.)])\s+\S")
_SENTENCE_END = re.compile(r"[.!?:;…]['\"»”)\]]*$")
_MOST_HEADING_WORDS = 25
_LARGER = 1.15
_COLUMN_LINES = 3
_PROSE_WORDS = 2.5


@dataclass(frozen=True)
class Line:
    """A line of text: its box, the height of its letters in points, whether it is bold.

    `place` is where it stands on the page, where that is not its box: a page that lies askew is read as if straight.
    """

    text: str
    box: Box
    size: float
    bold: bool = False
    place: Box | None = None

    @property
    def middle(self) -> float:
        """Its height on the page."""
        return (self.box[1] + self.box[3]) / 2


def ordered(lines: Sequence[Line]) -> list[Line]:
    """The lines as people read them."""
    gutter = _gutter(lines)
    if gutter is None:
        return _rows(lines)
    left = [line for line in lines if line.box[2] <= gutter]
    right = [line for line in lines if line.box[0] >= gutter]
    across = sorted((line for line in lines if line.box[0] < gutter < line.box[2]), key=lambda line: line.middle)
    read: list[Line] = []
    for wide in (*across, None):
        above = [[x for x in side if wide is None or x.middle < wide.middle] for side in (left, right)]
        left = [line for line in left if line not in above[0]]
        right = [line for line in right if line not in above[1]]
        for side in above:
            read += ordered(side)
        if wide is not None:
            read.append(wide)
    return read


def _gutter(lines: Sequence[Line]) -> float | None:
    """Where the page is cut into columns; None where it has but one."""
    if len(lines) < 2 * _COLUMN_LINES:
        return None
    left, right = min(line.box[0] for line in lines), max(line.box[2] for line in lines)
    best: tuple[int, float] | None = None
    for x in {line.box[0] - 2.0 for line in lines if left + 20 < line.box[0] < right - 20}:
        crossing = sum(line.box[0] < x < line.box[2] for line in lines)
        before = [line for line in lines if line.box[2] <= x]
        after = [line for line in lines if line.box[0] >= x]
        if crossing > len(lines) * 0.3 or not (_is_column(before) and _is_column(after)):
            continue
        if _overlap(before, after) and (best is None or (crossing, x) < best):
            best = (crossing, x)
    return None if best is None else best[1]


def _is_column(lines: Sequence[Line]) -> bool:
    words = sum(len(line.text.split()) for line in lines)
    return len(lines) >= _COLUMN_LINES and words >= _PROSE_WORDS * len(lines)


def _overlap(left: Sequence[Line], right: Sequence[Line]) -> bool:
    """Whether two columns stand beside one another for at least a third of the shorter one."""
    spans = [(min(x.box[1] for x in side), max(x.box[3] for x in side)) for side in (left, right)]
    shared = min(spans[0][1], spans[1][1]) - max(spans[0][0], spans[1][0])
    return shared > min(end - start for start, end in spans) / 3


def _rows(lines: Sequence[Line]) -> list[Line]:
    """From top to bottom; what stands on one line is one, from left to right."""
    rows: list[list[Line]] = []
    for line in sorted(lines, key=lambda line: (line.middle, line.box[0])):
        if rows and abs(rows[-1][0].middle - line.middle) < 0.4 * min(rows[-1][0].size, line.size):
            rows[-1].append(line)
        else:
            rows.append([line])
    return [_joined(row) for row in rows]


def _joined(row: list[Line]) -> Line:
    parts = sorted(row, key=lambda line: line.box[0])
    longest = max(parts, key=lambda line: len(line.text))
    text = " ".join(part.text for part in parts)
    place = around(part.place or part.box for part in parts) if any(part.place for part in parts) else None
    return Line(text, around(part.box for part in parts), longest.size, all(part.bold for part in parts), place)


def around(boxes: Iterable[Box]) -> Box:
    """The box around boxes."""
    edges = list(zip(*boxes, strict=True))
    return (min(edges[0]), min(edges[1]), max(edges[2]), max(edges[3]))


def paragraphs(lines: Sequence[Line], page: int) -> list[Block]:
    """The blocks of a page whose lines are in reading order."""
    body = _body_size(lines)
    gathered: list[list[Line]] = []
    for line in lines:
        if gathered and _follows(gathered[-1], line, body):
            gathered[-1].append(line)
        else:
            gathered.append([line])
    return [_block(part, page, body) for part in gathered]


def _body_size(lines: Sequence[Line]) -> float:
    sizes: Counter[float] = Counter()
    for line in lines:
        sizes[round(line.size * 2) / 2] += len(line.text)
    return max(sizes, key=lambda size: (sizes[size], size)) if sizes else 0.0


def _follows(part: list[Line], line: Line, body: float) -> bool:
    last = part[-1]
    gap = line.box[1] - last.box[3]
    if abs(line.size - last.size) > 0.12 * last.size or _kind([last], body) != _kind([line], body):
        return False
    if not -1.2 * last.size < gap < 0.75 * last.size or _BULLET.match(line.text):
        return False
    beside = min(last.box[2], line.box[2]) - max(last.box[0], line.box[0])
    if beside <= 0:
        return False
    right = max(each.box[2] for each in part)
    ended = bool(_SENTENCE_END.search(last.text)) and last.box[2] < right - 4 * last.size
    indented = line.box[0] > last.box[0] + 0.8 * line.size and bool(_SENTENCE_END.search(last.text))
    return not (ended or indented)


def _kind(lines: Sequence[Line], body: float) -> Kind:
    words = sum(len(line.text.split()) for line in lines)
    if words > _MOST_HEADING_WORDS or not any(c.isalpha() for line in lines for c in line.text):
        return "paragraph"
    larger = all(line.size > _LARGER * body for line in lines)
    bold = all(line.bold for line in lines) and words <= 15 and not lines[-1].text.rstrip().endswith((".", ";", ","))
    return "heading" if larger or bold else "paragraph"


def _block(lines: Sequence[Line], page: int, body: float) -> Block:
    text = lines[0].text
    for line in lines[1:]:
        text = text[:-1] + line.text if text.endswith("\u2010") else f"{text} {line.text}"
    return Block(
        text.replace("\u2010", "-"), page, around(line.place or line.box for line in lines), _kind(lines, body)
    )
