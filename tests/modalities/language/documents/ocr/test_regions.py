"""Where print stands: the size at which a page is seen, what hangs together, what is too little or unsure."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from casemate.modalities.language.documents.ocr.rectangles import Rectangle
from casemate.modalities.language.documents.ocr.regions import Detector, as_input, margin, regions, seen_size
from tests.modalities.language.documents.ocr import toys

SIDES = st.integers(1, 4000)


def dark(batch: np.ndarray) -> np.ndarray:
    return (1 - batch.mean(axis=1, keepdims=True)) / 2


@given(SIDES, SIDES)
def test_a_page_is_seen_in_whole_steps_and_within_memory(width: int, height: int) -> None:
    across, down = seen_size(width, height, 2000)
    assert across % 32 == down % 32 == 0
    assert 0 < across * down < 6_000_000


@pytest.mark.parametrize(
    ("size", "seen"),
    [
        ((1654, 2339), (1408, 1984)),
        ((1000, 1200), (992, 1216)),
        ((10_000, 7072), (1984, 1408)),
        ((300, 200), (1088, 736)),
        ((5, 60), (64, 960)),
    ],
)
def test_a_page_is_made_as_large_as_its_letters_need(size: tuple[int, int], seen: tuple[int, int]) -> None:
    assert seen_size(*size, 2000) == seen


@pytest.mark.parametrize(("size", "rows"), [((1654, 2339), 0), ((1200, 48), 126), ((60, 22), 19), ((1, 1), 30)])
def test_a_single_line_gets_margins(size: tuple[int, int], rows: int) -> None:
    assert margin(*size) == rows


def test_networks_are_given_blue_first_from_minus_one_to_one() -> None:
    given_ = as_input(Image.new("RGB", (2, 1), (255, 0, 51)))
    assert given_.shape == (1, 3, 1, 2)
    assert given_[0, :, 0, 0].tolist() == pytest.approx([-0.6, -1.0, 1.0])
    assert given_.dtype == np.float32


@pytest.mark.parametrize("degrees", [0.0, 3.0, -20.0])
def test_a_marked_bar_is_found_and_grown(degrees: float) -> None:
    made = Rectangle(150, 100, np.radians(degrees), 160, 20)
    x, y = np.meshgrid(np.arange(300) - 150, np.arange(200) - 100)
    along = x * np.cos(made.angle) + y * np.sin(made.angle)
    across = y * np.cos(made.angle) - x * np.sin(made.angle)
    marked = ((abs(along) <= 80) & (abs(across) <= 10)).astype(np.float32)
    (quad,) = regions(marked)
    assert quad == pytest.approx(made.grown(1.6 * 160 * 20 / 360).quad(), abs=2.5)


def test_what_is_tiny_or_unsure_is_no_region() -> None:
    marked = np.zeros((60, 200), np.float32)
    marked[10:12, 10:150] = 0.25  # under the threshold
    marked[20, 20] = 1.0
    marked[30:50, 20:180] = 0.4  # print, perhaps
    assert not list(regions(marked))
    marked[30:50, 20:180] = 0.6
    assert len(list(regions(marked))) == 1


def test_regions_that_touch_are_one_and_the_largest_come_first() -> None:
    marked = np.zeros((100, 200), np.float32)
    marked[10:20, 10:60] = marked[10:20, 61:110] = 1.0  # a pixel apart
    marked[60:70, 10:160] = 1.0
    marked[80:90, 10:30] = 1.0
    assert [round(quad[:, 1].mean()) for quad in regions(marked)] == [65, 15, 85]


def test_no_more_than_a_thousand_regions_are_told() -> None:
    marked = np.kron(np.ones((20, 60)), np.pad(np.ones((4, 8)), 2)).astype(np.float32)
    assert len(list(regions(marked))) == 1000


def test_lines_are_told_in_pixels_of_the_picture_that_was_given() -> None:
    for factor in (1, 4):
        bar = tuple(factor * edge for edge in (100, 200, 700, 230))
        (quad,) = Detector(dark).quads(toys.page(bar, size=(900 * factor, 1000 * factor)))
        grown = 1.6 * 600 * 30 / 1260 * factor
        assert quad.min(axis=0) == pytest.approx((bar[0] - grown, bar[1] - grown), abs=4 * factor)
        assert quad.max(axis=0) == pytest.approx((bar[2] + grown, bar[3] + grown), abs=4 * factor)


def test_a_line_without_a_page_is_found_in_its_place() -> None:
    sheet = Image.new("RGB", (600, 30), "white")
    sheet.paste("black", (50, 8, 400, 22))
    seen = []

    def network(batch: np.ndarray) -> np.ndarray:
        marked = dark(batch)
        rows = marked.shape[2]
        marked[:, :, : rows * 42 // 100] = marked[:, :, rows * 58 // 100 :] = 0  # the margins are dark too
        seen.append(batch.shape)
        return marked

    (quad,) = Detector(network).quads(sheet)
    assert seen[0][2] >= 736
    assert 0 <= quad[:, 1].min() < 8
    assert 22 < quad[:, 1].max() <= 29
    assert quad[:, 0].min() < 50
    assert quad[:, 0].max() > 400


def test_an_empty_page_has_no_line() -> None:
    assert Detector(dark).quads(toys.page()) == []


def test_a_page_of_fine_print_or_none_is_looked_at_again_and_larger() -> None:
    def looks(*bars: tuple[int, int, int, int]) -> list[int]:
        longest: list[int] = []

        def network(batch: np.ndarray) -> np.ndarray:
            longest.append(max(batch.shape))
            return dark(batch)

        Detector(network).quads(toys.page(*bars, size=(1654, 2339)))
        return longest

    assert looks((100, 200, 1400, 240), (100, 300, 1400, 340)) == [1280]
    assert looks((100, 200, 1400, 207), (100, 300, 1400, 307)) == [1280, 1984]
    assert looks() == [1280, 1984]
