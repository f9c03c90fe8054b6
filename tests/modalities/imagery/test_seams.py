"""No object twice and none lost, whichever windows saw it and however unsteadily."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.modalities.imagery.seams import Views, overlaps, settle, settled, views
from casemate.modalities.imagery.windows import Grid, grid

Boxes = npt.NDArray[np.float32]
OVERLAP = 64
CELLS = grid(700, 600, window_px=256, overlap_px=OVERLAP)


def look(cells: Grid, objects: Boxes, *, jitter_px: float, seed: int) -> list[Views]:
    """What every window sees of the objects: those that reach into it, cut to it, each a little off."""
    chance = np.random.default_rng(seed)
    seen = []
    for window in cells:
        x0, y0, x1, y1 = window.bounds_px
        part = np.clip(objects, [x0, y0, x0, y0], [x1, y1, x1, y1])
        there = ((part[:, 2:] - part[:, :2]) >= 4).all(axis=1)
        off = chance.uniform(-jitter_px, jitter_px, (int(there.sum()), 4))
        boxes = np.clip(part[there] + off - [x0, y0, x0, y0], 0, [x1 - x0, y1 - y0, x1 - x0, y1 - y0])
        scores = np.stack([chance.uniform(0.3, 1.0, len(boxes))] * 2, axis=1).astype(np.float32)
        seen.append(views(window, cells, boxes.astype(np.float32), scores))
    return seen


def merge(cells: Grid, seen: list[Views]) -> list[Views]:
    return [settled(mine, [seen[other] for other in cells.neighbours(mine.window)]) for mine in seen]


def iou(a: Boxes, b: Boxes) -> npt.NDArray[np.float64]:
    shared, area_a, area_b = overlaps(a, b)
    return shared / (area_a[:, None] + area_b[None, :] - shared)


def scattered(seed: int, sizes: tuple[int, int]) -> Boxes:
    """Objects of random sizes, one a cell, that do not touch; the cells do not follow the seams."""
    chance = np.random.default_rng(seed)
    pitch = sizes[1] + 6
    places = [(x, y) for x in range(3, CELLS.width - pitch, pitch) for y in range(5, CELLS.height - pitch, pitch)]
    corner = np.array(places, np.float32) + chance.uniform(0, 3, (len(places), 2))
    side = chance.uniform(*sizes, (len(places), 2))
    return np.concatenate([corner, corner + side], axis=1).astype(np.float32)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**6), st.floats(0.0, 1.0), st.sampled_from([(9, 12), (20, 40), (50, OVERLAP - 3)]))
def test_every_object_smaller_than_the_overlap_is_found_exactly_once(
    seed: int, jitter_px: float, sizes: tuple[int, int]
) -> None:
    objects = scattered(seed, sizes)
    found = np.concatenate(
        [v.boxes_xyxy_px for v in merge(CELLS, look(CELLS, objects, jitter_px=jitter_px, seed=seed))]
    )
    matches = iou(found, objects) > 0.5
    assert (matches.sum(axis=0) == 1).all()
    assert (matches.sum(axis=1) == 1).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6))
def test_an_object_larger_than_the_overlap_is_put_together_from_its_pieces(seed: int) -> None:
    objects = scattered(seed, (OVERLAP + 10, CELLS.columns[1].core_stop - CELLS.columns[1].core_start))
    found = np.concatenate([v.boxes_xyxy_px for v in merge(CELLS, look(CELLS, objects, jitter_px=0.0, seed=seed))])
    matches = iou(found, objects) > 0.97
    assert len(found) == len(objects)
    assert (matches.sum(axis=0) == 1).all()


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**6), st.floats(0.0, 8.0))
def test_no_two_answers_of_different_windows_overlap_by_half(seed: int, jitter_px: float) -> None:
    chance = np.random.default_rng(seed)
    corner = chance.uniform(0, [CELLS.width - 70, CELLS.height - 70], (150, 2))
    objects = np.concatenate([corner, corner + chance.uniform(8, 60, (150, 2))], axis=1).astype(np.float32)
    seen = look(CELLS, objects, jitter_px=jitter_px, seed=seed)
    kept = [v.take(settle(v, [seen[other] for other in CELLS.neighbours(v.window)])) for v in seen]
    boxes = np.concatenate([v.boxes_xyxy_px for v in kept])
    window = np.concatenate([np.full(len(v), v.window) for v in kept])
    across = window[:, None] != window[None, :]
    assert not ((iou(boxes, boxes) > 0.5) & across).any()


def one(
    window: int, box: tuple[float, float, float, float], score: float, *, owned: bool = True, cut: bool = False
) -> Views:
    flags = np.array([owned]), np.array([cut])
    bounds = (0, 0, 40, 100) if window == 0 else (30, 0, 100, 100)
    return Views(window, bounds, np.array([box], np.float32), np.array([[score]], np.float32), *flags)


@pytest.mark.parametrize(
    ("stronger", "weaker"),
    [
        (one(1, (30, 0, 40, 10), 0.4), one(0, (30, 0, 40, 10), 0.9, cut=True)),
        (one(1, (31, 0, 39, 10), 0.4), one(0, (31, 0, 39, 10), 0.9, owned=False)),
        (one(1, (31, 0, 39, 10), 0.9), one(0, (31, 0, 39, 10), 0.4)),
        (one(0, (31, 0, 39, 10), 0.9), one(1, (31, 0, 39, 10), 0.9)),
        (one(0, (0, 0, 40, 10), 0.5, cut=True), one(1, (30, 1, 90, 10), 0.4, cut=True)),
    ],
)
def test_of_two_views_of_one_object_exactly_the_weaker_yields(stronger: Views, weaker: Views) -> None:
    assert settle(stronger, [weaker]).tolist() == [True]
    assert settle(weaker, [stronger]).tolist() == [False]


def test_whole_views_of_neighbouring_objects_both_stand() -> None:
    one_plane, other = one(0, (10, 0, 39, 20), 0.9), one(1, (31, 0, 60, 20), 0.5)
    assert settle(one_plane, [other]).tolist() == settle(other, [one_plane]).tolist() == [True]


def test_what_lies_outside_the_core_and_its_halo_is_the_neighbours_affair() -> None:
    window = CELLS[0]
    seam = window.core_px[2]
    boxes = np.array([[seam + d - 5, 50, seam + d + 5, 60] for d in (-20, 5, 20)], np.float32)
    kept = views(window, CELLS, boxes, np.ones((3, 1), np.float32))
    assert kept.owned.tolist() == [True, False]
    assert kept.cut.tolist() == [False, False]


def test_a_box_ends_at_the_scenes_edge_and_is_not_cut_there() -> None:
    kept = views(CELLS[0], CELLS, np.array([[-3, -2, 9, 8], [4, 4, 4, 9]], np.float32), np.ones((2, 1), np.float32))
    assert kept.boxes_xyxy_px.tolist() == [[0, 0, 9, 8]]
    assert kept.cut.tolist() == [False]


def test_a_window_that_saw_nothing_settles() -> None:
    empty = views(CELLS[0], CELLS, np.zeros((0, 4), np.float32), np.zeros((0, 2), np.float32))
    assert len(settled(empty, [one(1, (0, 0, 9, 9), 0.5)])) == 0
    assert settle(one(1, (0, 0, 9, 9), 0.5), [empty]).tolist() == [True]
