"""The picture shows the marking above and below, every box, and a legend that tells the truth."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from casemate.modalities.imagery.overlay import DETAIL_PX, LONG_SIDE_PX, Caption, Detail, Overlay, reduction

GREY = 90


def blank(width: int, height: int) -> Overlay:
    factor = reduction(width, height)
    return Overlay(np.full((-(-height // factor), -(-width // factor), 3), GREY, np.uint8), factor, (width, height))


def caption(
    width: int, height: int, *, marking: str = "DR", scene: str = "s.tif", gsd_m: float | None = 0.5
) -> Caption:
    return Caption(marking, scene, "sha256:" + "ab" * 32, (width, height), gsd_m)


def pixels(path: Path) -> np.ndarray[tuple[int, int, int], np.dtype[np.uint8]]:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def test_a_picture_is_never_larger_than_its_limit() -> None:
    for width, height in ((1, 1), (1536, 10), (1537, 10), (20_000, 20_000), (1_000_000, 3)):
        factor = reduction(width, height)
        assert -(-max(width, height) // factor) <= LONG_SIDE_PX


def test_boxes_are_drawn_where_they_are_in_the_colour_of_their_label(tmp_path: Path) -> None:
    overlay = blank(600, 400)
    overlay.add((100, 100, 160, 180), "airplane")
    overlay.add((300, 200, 360, 280), "car")
    overlay.save(tmp_path / "o.png", caption(600, 400, gsd_m=None))
    image = pixels(tmp_path / "o.png")[52 + 24 :, 24:]
    for (x, y), label in (((100, 140), "airplane"), ((300, 240), "car")):
        red, green, blue = image[y * 2, x * 2]
        assert f"#{red:02x}{green:02x}{blue:02x}" == overlay.colour(label)
    assert (image[140 * 2, 130 * 2] == GREY).all()
    assert overlay.colour("airplane") != overlay.colour("car")


def test_a_tiny_box_of_a_large_scene_is_drawn_large_enough_to_be_seen(tmp_path: Path) -> None:
    overlay = blank(20_000, 16_000)
    overlay.add((10_000, 8_000, 10_020, 8_020), "car")
    overlay.save(tmp_path / "o.png", caption(20_000, 16_000))
    image = pixels(tmp_path / "o.png")[52 + 24 :, 24:]
    around = image[8_000 // 14 - 8 : 8_000 // 14 + 8, 10_000 // 14 - 8 : 10_000 // 14 + 8]
    assert (np.abs(around.astype(int) - GREY).sum(axis=2) > 60).sum() >= 16


@pytest.mark.parametrize("marking", ["DR", "DIFFUSION RESTREINTE – SPÉCIAL FRANCE", "X" * 400, "line\nbreak"])
def test_the_marking_is_on_both_banners(tmp_path: Path, marking: str) -> None:
    blank(300, 200).save(tmp_path / "o.png", caption(300, 200, marking=marking))
    image = pixels(tmp_path / "o.png").astype(int)
    banners = image[:52], image[-52:]
    for banner in banners:
        assert (banner.min(axis=2) > 200).sum() > 60
        assert (banner[:, 0] == banner[0, 0]).all()
    assert (banners[0] == banners[1]).mean() > 0.98


@pytest.mark.parametrize("scene", ["x" * 255, "new\nline", "🛰️ scène", "\u202egnp.exe", ""])
def test_a_hostile_scene_name_does_not_break_the_picture(tmp_path: Path, scene: str) -> None:
    blank(40, 900).save(tmp_path / "o.png", caption(40, 900, scene=scene, gsd_m=3.0))
    assert pixels(tmp_path / "o.png").shape[2] == 3


def test_many_labels_are_listed_and_the_rest_counted(tmp_path: Path) -> None:
    overlay = blank(200, 200)
    for number in range(30):
        for _ in range(30 - number):
            overlay.add((10, 10, 30, 30), f"label {number}")
    overlay.save(tmp_path / "o.png", caption(200, 200))
    assert sum(overlay.counts.values()) == 465
    assert pixels(tmp_path / "o.png").shape[0] > 12 * 34


def test_crowded_places_are_shown_whole_and_apart() -> None:
    overlay = blank(9_000, 5_000)
    chance = np.random.default_rng(0)
    for x, y, count in ((0, 0, 90), (8_990, 4_990, 80), (4_000, 2_500, 30), (4_010, 2_510, 29)):
        for dx, dy in chance.uniform(-5, 5, (count, 2)):
            overlay.add((max(x + dx, 0), max(y + dy, 0), min(x + dx + 8, 9_000), min(y + dy + 8, 5_000)), "car")
    squares = overlay.crowded()
    assert len(squares) == 3
    assert squares[0][:2] == (0, 0)
    assert squares[1] == (9_000 - DETAIL_PX, 5_000 - DETAIL_PX, 9_000, 5_000)
    assert squares[2][0] <= 4_000 <= squares[2][2]


def test_a_small_or_empty_scene_has_no_details() -> None:
    small, empty, thin = blank(900, 900), blank(9_000, 9_000), blank(9_000, 100)
    small.add((5, 5, 9, 9), "car")
    thin.add((5, 5, 9, 9), "car")
    assert small.crowded() == empty.crowded() == thin.crowded() == []


def test_details_are_numbered_in_the_picture_and_beside_it(tmp_path: Path) -> None:
    overlay = blank(6_000, 6_000)
    overlay.add((3_000, 3_000, 3_020, 3_020), "car")
    square = overlay.crowded()[0]
    ground = np.full((DETAIL_PX, DETAIL_PX, 3), GREY, np.uint8)
    overlay.save(tmp_path / "plain.png", caption(6_000, 6_000))
    detail = Detail(square, ground, (((3_000, 3_000, 3_020, 3_020), "car"),))
    overlay.save(tmp_path / "detail.png", caption(6_000, 6_000), [detail])
    plain, detailed = pixels(tmp_path / "plain.png"), pixels(tmp_path / "detail.png")
    beside = np.s_[:, -DETAIL_PX - 24 :]
    assert (detailed[beside] == GREY).all(axis=2).sum() > (plain[beside] == GREY).all(axis=2).sum() + DETAIL_PX**2 / 2
