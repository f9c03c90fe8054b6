"""A model folder that answers: scale, filling, windows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from casemate.errors import BadInput
from casemate.modalities.imagery.infer import detect_image, open_detector, run_window
from tests.modalities.imagery.colour_detector import COLOURS, SIDE_PX, colour_detector


def squares(width: int, height: int, *corners: tuple[int, int]) -> np.ndarray:
    """Red squares on grey ground."""
    picture = np.full((height, width, 3), 110, dtype=np.uint8)
    for x, y in corners:
        picture[y : y + SIDE_PX, x : x + SIDE_PX] = np.array(COLOURS["airplane"]) * 255
    return picture


def test_boxes_are_in_pixels_of_the_image_whatever_its_size(tmp_path: Path) -> None:
    detector = open_detector(colour_detector(tmp_path / "model"))
    found = run_window(detector, squares(83, 61, (6, 10), (62, 38)))
    assert len(found) == 2
    assert sorted(found.boxes_xyxy_px[:, 0].tolist()) == pytest.approx([6, 62], abs=1)
    assert (found.boxes_xyxy_px[:, 2] <= 83).all()


def test_nothing_is_found_in_the_filling(tmp_path: Path) -> None:
    detector = open_detector(colour_detector(tmp_path / "model"))
    assert len(run_window(detector, squares(33, 33))) == 0


def test_the_scale_of_the_model_is_undone_in_its_boxes(tmp_path: Path) -> None:
    folder = colour_detector(tmp_path / "model")
    config = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(config | {"input": {"scale": 2.0}}))
    picture = np.full((64, 64, 3), 110, dtype=np.uint8)
    picture[20:28, 30:38] = (255, 0, 0)
    found = run_window(open_detector(folder), picture)
    assert found.boxes_xyxy_px[0] == pytest.approx([30, 20, 38, 28], abs=2)


@pytest.mark.parametrize("scale", [0, "2", 100])
def test_a_scale_that_is_none_is_refused(tmp_path: Path, scale: object) -> None:
    folder = colour_detector(tmp_path / "model")
    config = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(config | {"input": {"scale": scale}}))
    with pytest.raises(BadInput, match=f"model.json, input.scale: expected a number from 0.1 to 10, found {scale}"):
        _ = open_detector(folder).scale


def test_windows_find_what_one_look_finds_and_nothing_twice(tmp_path: Path) -> None:
    detector = open_detector(colour_detector(tmp_path / "model"))
    chance = np.random.default_rng(0)
    cells = [(x, y) for x in range(2, 380, 28) for y in range(2, 280, 28)]
    corners = [cells[i] for i in chance.permutation(len(cells))[:60]]
    picture = squares(400, 300, *corners)
    whole = detect_image(detector, picture)
    parts = detect_image(detector, picture, window_px=128, overlap_px=32)
    assert len(whole) == 60
    assert np.array_equal(_sorted(whole.boxes_xyxy_px), _sorted(parts.boxes_xyxy_px))


def _sorted(boxes: np.ndarray) -> np.ndarray:
    return boxes[np.lexsort(boxes.T)]


def test_what_is_no_image_is_refused(tmp_path: Path) -> None:
    detector = open_detector(colour_detector(tmp_path / "model"))
    with pytest.raises(BadInput, match=r"image: expected uint8 \[height, width, 3\], found float64 \(4, 4\)"):
        detect_image(detector, np.zeros((4, 4)))  # type: ignore[arg-type]
