"""Rectangles around points: the smallest there is, wherever they lie and however they lean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.modalities.language.documents.ocr.rectangles import Rectangle, hull_of, in_order, sides, smallest, turned

POINTS = st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=40)


@settings(deadline=None)
@given(POINTS)
def test_every_point_is_in_the_rectangle_and_no_upright_one_is_smaller(points: list[tuple[int, int]]) -> None:
    given_ = np.array(points, np.float64)
    found = smallest(given_)
    away = given_ - (found.x, found.y)
    along = away @ (np.cos(found.angle), np.sin(found.angle))
    across = away @ (-np.sin(found.angle), np.cos(found.angle))
    assert np.abs(along).max() <= found.width / 2 + 1e-6
    assert np.abs(across).max() <= found.height / 2 + 1e-6
    assert found.width * found.height <= np.prod(np.ptp(given_, axis=0)) + 1e-6


@settings(deadline=None)
@given(POINTS)
def test_a_hull_is_convex_and_of_the_points(points: list[tuple[int, int]]) -> None:
    hull = hull_of(np.array(points, np.float64))
    assert {tuple(corner) for corner in hull.tolist()} <= {(float(x), float(y)) for x, y in points}
    if len(hull) > 2:
        before, after = hull - np.roll(hull, 1, axis=0), np.roll(hull, -1, axis=0) - hull
        assert (before[:, 0] * after[:, 1] - before[:, 1] * after[:, 0] > 0).all()


@pytest.mark.parametrize("degrees", [-40, -2, 0, 2, 30])
def test_a_leaning_rectangle_is_found_again(degrees: float) -> None:
    made = Rectangle(200, 100, np.radians(degrees), 160, 20)
    found = smallest(made.quad())
    assert found.quad() == pytest.approx(made.quad())
    assert sides(found.quad()) == pytest.approx((160, 20))


def test_corners_go_round_from_the_top_left() -> None:
    assert in_order(np.array([(9.0, 5), (0, 0), (0, 5), (9, 0)])).tolist() == [[0, 0], [9, 0], [9, 5], [0, 5]]


def test_a_rectangle_grows_on_every_side() -> None:
    assert Rectangle(5, 5, 0.0, 4, 2).grown(1).quad().tolist() == [[2, 3], [8, 3], [8, 7], [2, 7]]


def test_four_quarters_are_none() -> None:
    quad = Rectangle(30, 20, 0.1, 16, 6).quad()
    assert turned([quad], 100, 50, 4)[0] == pytest.approx(quad)
    assert turned([quad], 100, 50, 0)[0] is quad
    assert turned([np.array([(0.0, 0), (9, 0), (9, 5), (0, 5)])], 100, 50, 1)[0].tolist() == [
        [0, 91], [5, 91], [5, 100], [0, 100],
    ]  # fmt: skip
