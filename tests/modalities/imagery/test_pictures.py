"""Pictures: the same for the same figures, never empty, and chosen by rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from casemate.modalities.imagery.album import english, french
from casemate.modalities.imagery.curves import reliability
from casemate.modalities.imagery.metrics import Curve, Interval
from casemate.modalities.imagery.outcomes import Confusion
from casemate.modalities.imagery.pictures import (
    confusion_table,
    interval_bars,
    precision_recall,
    reliability_diagram,
    robustness_bars,
)
from casemate.modalities.imagery.showcase import choose_samples, tile_window
from casemate.modalities.imagery.truth import Judged

NAN = float("nan")
NONE = np.zeros(0)


def image_of(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def judged(boxes: int, *, width: int = 300, height: int = 200) -> Judged:
    """An image with so many true boxes and no detections."""
    truth = np.zeros((boxes, 4))
    return Judged(
        "i.png", width, height, NAN, truth, np.zeros(boxes, int), np.zeros(boxes, bool), np.zeros((0, 4)),
        np.zeros((0, 3)),
    )  # fmt: skip


def test_the_same_curve_is_drawn_with_the_same_bytes(tmp_path: Path) -> None:
    recall = np.linspace(0, 0.9, 5000)
    line = Curve(recall, 1 - recall / 2, 1 - recall)
    for name in ("one.png", "two.png"):
        some = (line, Interval(0.7, 0.6, 0.8))
        precision_recall(tmp_path / name, {"car": some, "bus": some}, some, (0.7, 0.8))
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_figures_that_are_not_there_are_drawn_as_words(tmp_path: Path) -> None:
    nothing = (Curve(NONE, NONE, NONE), Interval(NAN, NAN, NAN))
    precision_recall(tmp_path / "pr.png", {"car": nothing}, nothing, None)
    interval_bars(tmp_path / "bars.png", {"sizes": {"large": Interval(NAN, NAN, NAN)}}, title="AP50", axis="AP50")
    empty = reliability(NONE, NONE.astype(bool))
    both = dict.fromkeys(("detection", "recognition", "identification"), empty)
    reliability_diagram(tmp_path / "reliability.png", both, both)
    for file in tmp_path.iterdir():
        assert image_of(file).std() > 0


def test_every_level_with_examples_has_its_panel(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    stated = chance.random(500)
    full, empty = reliability(stated, chance.random(500) < stated), reliability(NONE, NONE.astype(bool))
    widths = []
    for count, levels in ((1, (full, empty, empty)), (3, (full, full, full))):
        both = dict(zip(("detection", "recognition", "identification"), levels, strict=True))
        reliability_diagram(tmp_path / f"{count}.png", both, both)
        widths.append(image_of(tmp_path / f"{count}.png").shape[1])
    assert widths[1] > 2 * widths[0]


def test_a_table_grows_with_its_classes(tmp_path: Path) -> None:
    for size in (1, 6):
        names = tuple(f"class {i}" for i in range(size))
        counts = np.arange((size + 1) ** 2).reshape(size + 1, size + 1)
        confusion_table(tmp_path / f"{size}.png", Confusion((*names, "(nothing)"), (*names, "(missed)"), counts))
    small, large = (image_of(tmp_path / f"{size}.png").shape for size in (1, 6))
    assert small[0] < large[0]
    assert small[1] < large[1]


def test_robustness_is_drawn_against_the_unchanged_pictures(tmp_path: Path) -> None:
    rows = [
        ("blur", Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4)),
        ("noise", Interval(0, 0, 0), Interval(0.8, 0.7, 0.9)),
    ]
    robustness_bars(tmp_path / "r.png", rows, Interval(0.8, 0.7, 0.9))
    assert image_of(tmp_path / "r.png").std() > 0


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 900), st.integers(0, 900), st.integers(1, 400), st.integers(20, 1000), st.integers(20, 1000))
def test_a_tile_is_square_holds_its_box_and_stays_in_the_image(
    x: int, y: int, side: int, width: int, height: int
) -> None:
    x0, y0 = min(x, width - 1), min(y, height - 1)
    box = np.array([x0, y0, min(width, x0 + side), min(height, y0 + side)], dtype=float)
    left, top, right, bottom = tile_window(box, judged(0, width=width, height=height))
    assert right - left == bottom - top
    assert left <= box[0]
    assert top <= box[1]
    assert right >= box[2] - 1
    assert bottom >= box[3] - 1
    assert left >= 0
    assert top >= 0
    assert right <= max(width, right - left)
    assert bottom <= max(height, bottom - top)


def test_samples_go_from_the_fullest_image_to_one_with_few_and_skip_the_empty() -> None:
    images = [judged(n) for n in (0, 5, 1, 9, 3, 7)]
    assert choose_samples(images, 3) == [3, 1, 2]
    assert choose_samples(images, 9) == [3, 5, 1, 4, 2]
    assert choose_samples(images, 0) == []


@pytest.mark.parametrize(
    ("figure", "en", "fr"),
    [
        (Interval(0.5, 0.4, 0.6), "0.50 (95 %: 0.40 to 0.60)", "0,50 (95 % : 0,40 à 0,60)"),
        (Interval(0.5, NAN, NAN), "0.50", "0,50"),
    ],
)
def test_figures_are_worded_as_each_language_writes_them(figure: Interval, en: str, fr: str) -> None:
    assert (english(figure), french(figure)) == (en, fr)
