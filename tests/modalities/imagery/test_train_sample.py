from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.imagery import augment, sample
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage
from casemate.modalities.imagery.sample import Sample, Sampler, Setting, pixels_reader
from casemate.modalities.imagery.taxonomy import Taxonomy
from tests.modalities.imagery.training_runs import squares

TAXONOMY = Taxonomy.shipped().restricted(["airplane", "vessel"])


def white_square(height: int = 120, width: int = 160) -> tuple[np.ndarray, np.ndarray]:
    """A dark picture, asymmetric, with one bright rectangle, and its box."""
    image = np.full((height, width, 3), 20, np.uint8)
    image[30:50, 60:92] = 240
    return image, np.array([[60, 30, 92, 50]], np.float32)


def bright(crop: np.ndarray) -> np.ndarray:
    """The box round the bright pixels of a crop."""
    rows, columns = np.nonzero(crop[..., 0] > 130)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)


@settings(deadline=None, max_examples=60)
@given(st.floats(-20, 60), st.floats(-20, 30), st.floats(60, 150), st.sampled_from([64, 96, 160]), st.integers(0, 7))
def test_boxes_stay_on_their_pixels_whatever_the_view_and_the_symmetry(
    x0: float, y0: float, side: float, crop_px: int, which: int
) -> None:
    image, boxes = white_square()
    view = augment.View(x0, y0, side, crop_px)
    moved, seen, cut_off = augment.boxes_in(view, boxes)
    crop, turned = augment.symmetry(augment.cut(image, view), moved, which)
    if not seen[0] or cut_off[0]:
        return
    crop = np.where(crop == 127, 0, crop)  # beyond the picture is grey
    assert np.abs(bright(crop) - turned[0]).max() <= 1.5 + crop_px / side


def test_eight_symmetries_are_eight_different_pictures() -> None:
    crop = np.arange(16 * 16 * 3, dtype=np.uint8).reshape(16, 16, 3)
    assert len({augment.symmetry(crop, np.zeros((0, 4), np.float32), which)[0].tobytes() for which in range(8)}) == 8


def test_a_box_mostly_out_of_the_crop_is_not_taught() -> None:
    boxes = np.array([[0, 0, 20, 20], [45, 0, 65, 20], [60, 0, 80, 20], [200, 0, 220, 20]], np.float32)
    clipped, seen, cut_off = augment.boxes_in(augment.View(0, 0, 64, 64), boxes)
    assert seen.tolist() == [True, True, True, False]
    assert cut_off[:3].tolist() == [False, False, True]
    assert clipped[1].tolist() == [45, 0, 64, 20]


def test_weather_changes_the_picture_and_strength_zero_does_not() -> None:
    crop = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert augment.weather(crop, np.random.default_rng(1), 0.0) is crop
    changed = [augment.weather(crop, np.random.default_rng(seed), 1.0) for seed in range(40)]
    assert all(c.shape == crop.shape and c.dtype == np.uint8 for c in changed)
    assert len({c.tobytes() for c in changed}) == 40


def sampler(folder: Path, **changes: object) -> Sampler:
    datasets = {"planes": squares(folder / "planes"), "ships": squares(folder / "ships", labels=("vessel",), seed=1)}
    return Sampler(datasets, TAXONOMY, Setting(crop_px=64, **changes), pixels_reader())  # type: ignore[arg-type]


def same(one: Sample, other: Sample) -> bool:
    return (
        one.crop_HWC.tobytes() == other.crop_HWC.tobytes()
        and one.boxes_xyxy_px.tobytes() == other.boxes_xyxy_px.tobytes()
    )


def test_a_crop_depends_on_seed_step_and_place_and_on_nothing_before(tmp_path: Path) -> None:
    fresh, used = sampler(tmp_path), sampler(tmp_path)
    for step in range(5):
        used.sample(9, step, 0)
    assert same(fresh.sample(0, 3, 1), used.sample(0, 3, 1))
    others = [used.sample(1, 3, 1), used.sample(0, 4, 1), used.sample(0, 3, 2)]
    assert not any(same(fresh.sample(0, 3, 1), other) for other in others)


def test_sources_are_drawn_by_their_weights(tmp_path: Path) -> None:
    drawn = sampler(tmp_path, source_weights={"planes": 1.0, "ships": 4.0})
    counts = Counter(drawn.sample(0, step, 0).source for step in range(300))
    assert 3 < counts[1] / counts[0] < 5.5


def test_classes_are_balanced_and_small_boxes_come_first() -> None:
    boxes = (
        [Box(0, 0, 40, 40, "airplane")] * 30
        + [Box(50, 50, 62, 62, "airplane")] * 30
        + [Box(9, 9, 19, 19, "vessel")] * 3
    )
    dataset = ImageryDataset(Path(), (LabelledImage("a.png", 99, 99, tuple(boxes)),), TAXONOMY, frozenset())
    shares = sample._source("a", dataset, TAXONOMY).share_of
    assert shares[60] / shares[0] > 4
    assert shares[30] > shares[0]
    assert shares.sum() == pytest.approx(1)


def test_a_large_image_is_read_in_windows_and_gives_the_same_crop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = [sampler(tmp_path, scale_min=1.0, scale_max=1.0).sample(0, step, 0) for step in range(6)]
    monkeypatch.setattr(sample, "WHOLE_PX", 100)
    parts = [sampler(tmp_path, scale_min=1.0, scale_max=1.0).sample(0, step, 0) for step in range(6)]
    for one, other in zip(whole, parts, strict=True):
        assert np.abs(one.crop_HWC.astype(int) - other.crop_HWC).max() <= 1
        np.testing.assert_array_equal(one.boxes_xyxy_px, other.boxes_xyxy_px)


def test_pixels_that_no_longer_fit_are_let_go(tmp_path: Path) -> None:
    datasets = {"planes": squares(tmp_path / "planes", images=4)}
    one_image = 160 * 192 * 3
    drawn = Sampler(datasets, TAXONOMY, Setting(crop_px=64), pixels_reader(), keep_bytes=2 * one_image)
    for step in range(20):
        drawn.sample(0, step, 0)
    assert drawn._kept_bytes <= 2 * one_image


def test_a_set_without_a_box_that_can_be_taught_is_refused() -> None:
    difficult = LabelledImage("a.png", 99, 99, (Box(0, 0, 9, 9, "airplane", difficult=True),))
    dataset = ImageryDataset(Path(), (difficult,), TAXONOMY, frozenset())
    with pytest.raises(BadInput, match="data set a: expected at least one box that is not difficult, found none"):
        Sampler({"a": dataset}, TAXONOMY, Setting(), pixels_reader())
