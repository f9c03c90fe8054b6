"""Strips, letters, pages: cut out, laid straight, spelled; read as they lie and told where they stand."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from casemate.modalities.language.documents.ocr.letters import Letters, decoded
from casemate.modalities.language.documents.ocr.page import Recogniser, lean
from casemate.modalities.language.documents.ocr.rectangles import Rectangle
from casemate.modalities.language.documents.ocr.regions import Detector
from casemate.modalities.language.documents.ocr.strips import Turner, padded, strip
from tests.modalities.language.documents.ocr import toys
from tests.modalities.language.documents.ocr.test_regions import dark

SIGNS = ["", "A", "é", " "]
BARS = tuple((100, 200 + 60 * i, 700 - 40 * i, 230 + 60 * i) for i in range(4))


def upright(batch: np.ndarray) -> np.ndarray:
    return np.array([[1.0, 0.0]], np.float32)


def begun(batch: np.ndarray) -> np.ndarray:
    """Says that a strip stands on its head where its left half is the lighter one."""
    half = batch.shape[3] // 2
    wrong = float(batch[..., :half].mean() > batch[..., half:].mean())
    return np.array([[1 - wrong, wrong]], np.float32)


def spelled(batch: np.ndarray) -> np.ndarray:
    """One A for a strip; the surer the darker its left end is."""
    sure = 0.6 + 0.3 * float(batch[0, :, :, :16].mean() < 0)
    return np.array([[[0.0, sure, 0, 0], [1, 0, 0, 0]]], np.float32)


def recogniser(*, turner: Turner | None = None) -> Recogniser:
    return Recogniser(Detector(dark), turner or Turner(upright), Letters(spelled, SIGNS))


def test_letters_are_told_once_where_they_are_not_told_apart() -> None:
    steps = [1, 1, 0, 1, 2, 2, 3, 0, 0, 1]
    likelihoods = np.full((len(steps), 4), 0.1, np.float32)
    likelihoods[range(len(steps)), steps] = 0.7
    assert decoded(likelihoods, SIGNS) == ("AAé A", pytest.approx(0.7))


def test_a_line_that_says_nothing_is_not_sure() -> None:
    assert decoded(np.array([[0.9, 0.1, 0, 0]] * 3, np.float32), SIGNS) == ("", 0.0)


@pytest.mark.parametrize("degrees", [0, 5, -12])
def test_a_strip_is_straight_and_of_one_height(degrees: float) -> None:
    quad = Rectangle(450, 500, np.radians(degrees), 500, 40).quad()
    sheet = Image.new("RGB", (900, 1000), "white")
    x, y = np.meshgrid(np.arange(900) - 450, np.arange(1000) - 500)
    angle = np.radians(degrees)
    inside = (abs(x * np.cos(angle) + y * np.sin(angle)) < 250) & (abs(y * np.cos(angle) - x * np.sin(angle)) < 20)
    sheet.paste("black", mask=Image.fromarray(inside))
    cut = strip(sheet, quad)
    assert cut.height == 48
    assert cut.width == pytest.approx(600, abs=16)
    assert np.asarray(cut).mean() < 12


def test_a_tall_quad_is_laid_down_against_the_clock() -> None:
    sheet = toys.page((100, 100, 130, 400))
    sheet.paste("red", (100, 100, 131, 150))  # its top
    cut = strip(sheet, np.array([(100.0, 100), (130, 100), (130, 400), (100, 400)]))
    assert cut.width > 4 * cut.height
    assert cut.getpixel((20, 24)) == (255, 0, 0)
    assert cut.getpixel((cut.width - 20, 24)) == (0, 0, 0)


def test_a_strip_is_never_wider_than_memory_allows() -> None:
    assert strip(toys.page(size=(4000, 40)), np.array([(0.0, 10), (3999, 10), (3999, 14), (0, 14)])).size == (9600, 48)


def test_a_short_strip_is_padded_with_nothing() -> None:
    seen = padded(Image.new("RGB", (10, 48), "white"), 320)
    assert seen.shape == (1, 3, 48, 320)
    assert (seen[..., :10] == 1).all()
    assert (seen[..., 10:] == 0).all()


def test_lines_of_a_straight_page_are_told_from_top_to_bottom_in_their_places() -> None:
    lines = recogniser().read(np.asarray(toys.page(*BARS[::-1])))
    assert [line.text for line in lines] == ["A"] * 4
    for line, bar in zip(lines, BARS, strict=True):
        assert line.place == pytest.approx(line.box)
        assert line.box[0] < bar[0] < bar[2] < line.box[2]
        assert line.box[1] < bar[1] < bar[3] < line.box[3]


@pytest.mark.parametrize("degrees", [4.0, -4.0])
def test_a_leaning_page_is_read_as_if_straight_and_placed_as_it_leans(degrees: float) -> None:
    page = toys.page(*BARS).rotate(degrees, Image.Resampling.BICUBIC, fillcolor="white")
    lines = recogniser().read(np.asarray(page))
    assert len(lines) == 4
    straight = max(line.box[3] - line.box[1] for line in lines)
    placed = max(line.place[3] - line.place[1] for line in lines)
    assert straight < 90 < placed
    ink = np.argwhere(np.asarray(page.convert("L")) < 128)
    assert min(line.place[1] for line in lines) < ink[:, 0].min()
    assert max(line.place[3] for line in lines) > ink[:, 0].max()


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_a_page_that_lies_or_stands_on_its_head_is_read_as_if_turned(quarters: int) -> None:
    page = toys.page(*BARS)
    for left, top, right, low in BARS:
        page.paste((90, 90, 90), ((left + right) // 2, top, right + 1, low + 1))
    there = recogniser().read(np.asarray(page))
    found = recogniser(turner=Turner(begun)).read(np.asarray(page.rotate(-90 * quarters, expand=True)))
    assert [line.box for line in found] == [pytest.approx(line.box, abs=6) for line in there]
    width, height = page.size if quarters == 2 else page.size[::-1]
    assert all(
        0 <= line.place[0] < line.place[2] < width and 0 <= line.place[1] < line.place[3] < height for line in found
    )
    tall = [line.place[3] - line.place[1] > line.place[2] - line.place[0] for line in found]
    assert tall == [quarters != 2] * 4


def test_a_line_that_seems_overturned_on_an_upright_page_is_read_both_ways() -> None:
    heads = iter([False] * 4 + [True, False, False, False])  # asked of all, then of each

    def network(batch: np.ndarray) -> np.ndarray:
        wrong = float(next(heads))
        return np.array([[1 - wrong, wrong]], np.float32)

    read: list[np.ndarray] = []

    def letters(batch: np.ndarray) -> np.ndarray:
        read.append(batch)
        return np.array([[[0.0, 0.9, 0.0, 0]]] if len(read) == 1 else [[[0.0, 0, 0.8, 0]]], np.float32)

    lines = Recogniser(Detector(dark), Turner(network), Letters(letters, SIGNS)).read(np.asarray(toys.page(*BARS)))
    assert sorted(line.text for line in lines) == ["A", "é", "é", "é"]
    assert len(read) == 5


def test_what_is_read_without_being_sure_is_left_out() -> None:
    def letters(batch: np.ndarray) -> np.ndarray:
        return np.array([[[0.1, 0.4, 0.3, 0.2]]], np.float32)

    assert Recogniser(Detector(dark), Turner(upright), Letters(letters, SIGNS)).read(np.asarray(toys.page(*BARS))) == []


def test_a_page_leans_as_its_long_lines_do() -> None:
    quads = [Rectangle(450, 200 + 60 * i, np.radians(2), 600, 30).quad() for i in range(5)]
    blots = [Rectangle(450, 700 + 60 * i, np.radians(-9), 40, 30).quad() for i in range(9)]
    assert np.degrees(lean([*quads, *blots])) == pytest.approx(2)
    assert lean(blots) == lean([]) == 0
    assert lean([Rectangle(450, 200, np.radians(0.1), 600, 30).quad()]) == 0
