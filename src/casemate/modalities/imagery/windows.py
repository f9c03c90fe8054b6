"""How a scene of any size is cut into windows that overlap, and which window answers for which pixels.

Rules. Pure arithmetic, no I/O. Every pixel is in some window, and in exactly one window's core. Every object no larger
than the overlap is whole in the window whose core holds its centre. Windows start on multiples of `ALIGN_PX`, the
coarsest stride of a detector, so that a window and the scene in one shot sample the same grid of features. Windows are
balanced: as few as fit, then all of one size (the last of a row or column may be a little smaller), so that nothing is
computed twice beyond the overlap. An overlap is at most a quarter of a window, so that only neighbours share pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from casemate.errors import BadInput

ALIGN_PX = 32


@dataclass(frozen=True)
class Span:
    """One axis of a window: pixels [start, stop), and its core [core_start, core_stop)."""

    start: int
    stop: int
    core_start: int
    core_stop: int


@dataclass(frozen=True)
class Window:
    """A window of a scene, in pixels of the scene; `index` counts row by row from the upper left."""

    index: int
    columns: Span
    rows: Span

    @property
    def bounds_px(self) -> tuple[int, int, int, int]:
        """The window as (x0, y0, x1, y1)."""
        return self.columns.start, self.rows.start, self.columns.stop, self.rows.stop

    @property
    def core_px(self) -> tuple[int, int, int, int]:
        """The part for which this window answers, as (x0, y0, x1, y1); the cores of a scene share no pixel."""
        return self.columns.core_start, self.rows.core_start, self.columns.core_stop, self.rows.core_stop

    @property
    def area_px(self) -> int:
        """How many pixels the window has."""
        return (self.columns.stop - self.columns.start) * (self.rows.stop - self.rows.start)

    def __str__(self) -> str:
        """The window as messages name it."""
        x0, y0, x1, y1 = self.bounds_px
        return f"window {self.index} (columns {x0} to {x1}, rows {y0} to {y1})"


@dataclass(frozen=True)
class Grid:
    """All windows of one scene."""

    width: int
    height: int
    overlap_px: int
    columns: tuple[Span, ...]
    rows: tuple[Span, ...]

    def __len__(self) -> int:
        """How many windows there are."""
        return len(self.columns) * len(self.rows)

    def __getitem__(self, index: int) -> Window:
        """The window of that number, from 0."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        row, column = divmod(index, len(self.columns))
        return Window(index, self.columns[column], self.rows[row])

    def __iter__(self) -> Iterator[Window]:
        """Every window, row by row."""
        return (self[index] for index in range(len(self)))

    def neighbours(self, index: int) -> list[int]:
        """Numbers of the windows (at most 8) that share pixels with this one."""
        row, column = divmod(index, len(self.columns))
        rows = range(max(row - 1, 0), min(row + 2, len(self.rows)))
        columns = range(max(column - 1, 0), min(column + 2, len(self.columns)))
        around = [r * len(self.columns) + c for r in rows for c in columns]
        return [number for number in around if number != index]

    def meeting(self, box_px: tuple[float, float, float, float]) -> list[Window]:
        """The windows that share pixels with a box (x0, y0, x1, y1)."""
        x0, y0, x1, y1 = box_px
        columns = [i for i, span in enumerate(self.columns) if span.start < x1 and span.stop > x0]
        rows = [i for i, span in enumerate(self.rows) if span.start < y1 and span.stop > y0]
        return [self[row * len(self.columns) + column] for row in rows for column in columns]


def grid(width: int, height: int, *, window_px: int, overlap_px: int) -> Grid:
    """Cut a scene of `width` by `height` pixels into windows of at most `window_px` a side."""
    if width < 1 or height < 1:
        raise BadInput("scene", expected="at least one pixel", found=f"{width} by {height}")
    if window_px < ALIGN_PX or window_px % ALIGN_PX:
        raise BadInput("window_px", expected=f"a multiple of {ALIGN_PX}", found=window_px)
    if overlap_px < ALIGN_PX or overlap_px % ALIGN_PX or 4 * overlap_px > window_px:
        expected = f"a multiple of {ALIGN_PX}, at most a quarter of window_px ({window_px})"
        raise BadInput("overlap_px", expected=expected, found=overlap_px)
    columns = _spans(width, window_px, overlap_px)
    return Grid(width, height, overlap_px, columns, _spans(height, window_px, overlap_px))


def _spans(length: int, window_px: int, overlap_px: int) -> tuple[Span, ...]:
    """Balanced spans: as few as fit, all of one size rounded up to the alignment, the last cut at the scene's edge."""
    if length <= window_px:
        return (Span(0, length, 0, length),)
    fewest = _ceil_div(length - overlap_px, window_px - overlap_px)
    size = _ceil_div(_ceil_div(length + (fewest - 1) * overlap_px, fewest), ALIGN_PX) * ALIGN_PX
    stride = size - overlap_px
    starts = range(0, stride * _ceil_div(length - overlap_px, stride), stride)
    seams = [start + overlap_px // 2 for start in starts[1:]]
    cores = zip([0, *seams], [*seams, length], strict=True)
    return tuple(Span(s, min(s + size, length), c0, c1) for s, (c0, c1) in zip(starts, cores, strict=True))


def _ceil_div(a: int, b: int) -> int:
    return -(-a // b)
