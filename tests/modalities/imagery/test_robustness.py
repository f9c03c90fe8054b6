"""Worse pictures: the boxes follow the pixels."""

from __future__ import annotations

import numpy as np
import pytest

from casemate.modalities.imagery.robustness import ANGLE_DEGREES, CHANGES, crop

GROUND = 100
BY_NAME = {change.name: change for change in CHANGES}


def marked(*boxes: tuple[int, int, int, int], width: int = 160, height: int = 120) -> tuple[np.ndarray, np.ndarray]:
    """Grey ground with bright boxes."""
    picture = np.full((height, width, 3), GROUND, dtype=np.uint8)
    for x0, y0, x1, y1 in boxes:
        picture[y0:y1, x0:x1] = 250
    return picture, np.array(boxes, dtype=np.float32).reshape(-1, 4)


def bright(picture: np.ndarray) -> np.ndarray:
    """The box round what is bright."""
    ys, xs = np.nonzero(picture[..., 0] > 175)
    return np.array([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_the_box_is_still_round_its_pixels(name: str) -> None:
    picture, boxes = marked((60, 40, 84, 64))
    changed = BY_NAME[name].make(picture, boxes, np.random.default_rng(0))
    assert changed.image.dtype == np.uint8
    assert not changed.unsure.any()
    slack = 3.5 if name == "rotation_10" else 2.0  # the corners of a turned square stand out of its ellipse's box
    assert changed.boxes_xyxy_px[0] == pytest.approx(bright(changed.image), abs=slack)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_an_image_without_boxes_stays_without_boxes(name: str) -> None:
    picture, boxes = marked()
    changed = BY_NAME[name].make(picture, boxes, np.random.default_rng(0))
    assert changed.boxes_xyxy_px.shape == (0, 4)
    assert changed.unsure.shape == (0,)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_a_change_does_not_touch_what_it_was_given_and_repeats_itself(name: str) -> None:
    picture, boxes = marked((60, 40, 84, 64))
    before = picture.copy(), boxes.copy()
    first, again = (BY_NAME[name].make(picture, boxes, np.random.default_rng(3)) for _ in range(2))
    assert np.array_equal(picture, before[0])
    assert np.array_equal(boxes, before[1])
    assert np.array_equal(first.image, again.image)


def test_four_quarter_turns_are_none() -> None:
    picture, boxes = marked((10, 20, 50, 30), (100, 80, 130, 119))
    turned = BY_NAME["rotation_90"].make(picture, boxes, np.random.default_rng(0))
    for _ in range(3):
        turned = BY_NAME["rotation_90"].make(turned.image, turned.boxes_xyxy_px, np.random.default_rng(0))
    assert np.array_equal(turned.image, picture)
    assert np.array_equal(turned.boxes_xyxy_px, boxes)


def test_what_a_small_turn_pushes_out_of_the_picture_is_no_longer_judged() -> None:
    picture, boxes = marked((140, 0, 160, 20), (70, 50, 90, 70))
    turned = BY_NAME["rotation_10"].make(picture, boxes, np.random.default_rng(0))
    assert ANGLE_DEGREES == 10
    assert turned.unsure.tolist() == [True, False]


def test_a_square_off_centre_is_where_a_small_turn_puts_it() -> None:
    picture, boxes = marked((120, 50, 136, 66))
    turned = BY_NAME["rotation_10"].make(picture, boxes, np.random.default_rng(0))
    assert turned.boxes_xyxy_px[0] == pytest.approx(bright(turned.image), abs=3)


def test_half_resolution_halves_everything() -> None:
    picture, boxes = marked((60, 40, 84, 64))
    half = BY_NAME["half_resolution"].make(picture, boxes, np.random.default_rng(0))
    assert half.image.shape == (60, 80, 3)
    assert half.boxes_xyxy_px.tolist() == [[30, 20, 42, 32]]


def test_haze_brings_everything_nearer_to_its_light() -> None:
    picture, boxes = marked((60, 40, 84, 64))
    hazy = BY_NAME["haze"].make(picture, boxes, np.random.default_rng(0)).image
    assert np.ptp(hazy) < np.ptp(picture) * 0.6
    assert hazy.mean() > picture.mean()


def test_noise_is_of_the_stated_strength() -> None:
    picture, boxes = marked()
    noisy = BY_NAME["noise"].make(picture, boxes, np.random.default_rng(0)).image
    assert noisy.astype(float).std() == pytest.approx(15, abs=0.5)


def test_a_crop_cuts_boxes_and_marks_those_that_are_mostly_gone() -> None:
    picture, boxes = marked((10, 10, 30, 30), (50, 50, 70, 70))
    part = crop(picture, boxes, (24, 0, 100, 100))
    assert part.image.shape == (100, 76, 3)
    assert part.boxes_xyxy_px.tolist() == [[0, 10, 6, 30], [26, 50, 46, 70]]
    assert part.unsure.tolist() == [True, False]
