"""However a scene is cut, every pixel is looked at and every small object is whole somewhere."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.imagery.windows import ALIGN_PX, Grid, grid

SIDES = st.integers(1, 3000)
CUTS = st.integers(4, 20).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n // 4)))


def cut(width: int, height: int, sizes: tuple[int, int]) -> Grid:
    return grid(width, height, window_px=sizes[0] * ALIGN_PX, overlap_px=sizes[1] * ALIGN_PX)


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, CUTS)
def test_every_pixel_is_in_some_window_and_in_exactly_one_core(width: int, height: int, sizes: tuple[int, int]) -> None:
    cells = cut(width, height, sizes)
    for spans, length in ((cells.columns, width), (cells.rows, height)):
        seen, owned = np.zeros(length, int), np.zeros(length, int)
        for span in spans:
            seen[span.start : span.stop] += 1
            owned[span.core_start : span.core_stop] += 1
            assert span.start <= span.core_start < span.core_stop <= span.stop
        assert seen.min() >= 1
        assert (owned == 1).all()


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, CUTS, st.data())
def test_an_object_no_larger_than_the_overlap_is_whole_in_the_window_that_owns_it(
    width: int, height: int, sizes: tuple[int, int], data: st.DataObject
) -> None:
    cells = cut(width, height, sizes)
    for spans, length in ((cells.columns, width), (cells.rows, height)):
        size = data.draw(st.integers(1, min(length, cells.overlap_px)))
        low = data.draw(st.integers(0, length - size))
        middle = low + size / 2
        owner = next(s for s in spans if s.core_start <= middle < s.core_stop)
        assert owner.start <= low
        assert low + size <= owner.stop


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, CUTS)
def test_windows_are_aligned_of_one_size_and_no_more_than_needed(
    width: int, height: int, sizes: tuple[int, int]
) -> None:
    window, overlap = sizes[0] * ALIGN_PX, sizes[1] * ALIGN_PX
    cells = cut(width, height, sizes)
    for spans, length in ((cells.columns, width), (cells.rows, height)):
        lengths = [span.stop - span.start for span in spans]
        assert max(lengths) <= window
        assert len(set(lengths[:-1])) <= 1
        assert lengths[-1] <= lengths[0]
        assert all(span.start % ALIGN_PX == 0 for span in spans)
        assert all(a.stop - b.start == overlap for a, b in pairwise(spans))
        assert len(spans) == 1 or length > overlap + (len(spans) - 1) * (window - overlap)


@settings(deadline=None, max_examples=100)
@given(SIDES, SIDES, CUTS)
def test_only_neighbours_share_pixels(width: int, height: int, sizes: tuple[int, int]) -> None:
    cells = cut(width, height, sizes)
    index = len(cells) // 2
    meeting = {window.index for window in cells.meeting(cells[index].bounds_px)}
    assert meeting == {index, *cells.neighbours(index)}


def test_windows_are_numbered_row_by_row_and_name_their_place() -> None:
    cells = grid(200, 150, window_px=128, overlap_px=32)
    assert [window.index for window in cells] == list(range(4))
    assert str(cells[3]) == "window 3 (columns 96 to 200, rows 64 to 150)"
    assert cells[3].core_px == (112, 80, 200, 150)
    assert cells[3].area_px == 104 * 86
    with pytest.raises(IndexError):
        cells[4]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ((0, 5, 128, 32), "scene: expected at least one pixel, found 0 by 5"),
        ((9, 9, 100, 32), "window_px: expected a multiple of 32, found 100"),
        ((9, 9, 128, 48), "overlap_px: expected a multiple of 32, at most a quarter of window_px (128), found 48"),
        ((9, 9, 128, 64), "overlap_px: expected a multiple of 32, at most a quarter of window_px (128), found 64"),
        ((9, 9, 128, 0), "overlap_px: expected a multiple of 32, at most a quarter of window_px (128), found 0"),
    ],
)
def test_a_cut_that_would_lose_something_is_refused(sizes: tuple[int, int, int, int], message: str) -> None:
    width, height, window, overlap = sizes
    with pytest.raises(BadInput) as refusal:
        grid(width, height, window_px=window, overlap_px=overlap)
    assert str(refusal.value) == message
