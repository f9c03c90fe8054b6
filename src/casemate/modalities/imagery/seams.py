"""How what neighbouring windows found becomes what the scene holds: no object twice, no object lost.

Rules. Pure arrays, no I/O. A window keeps what has its centre in its core; because two windows may see one centre a few
pixels apart, it also keeps a narrow halo round the core. Of two views of one object, from two windows, the weaker
yields: a view cut by its window's edge yields to a whole one, a halo one to an owned one, then the lower score, then
the later window. Two views are of one object when they overlap by more than `SAME_IOU`; where one is cut, when they do
so in the pixels that both windows see. Cut views of one object are put together: an object larger than the overlap
comes out whole. Whether a view yields depends on its window and the eight around it and on nothing else, so a scene is
settled window by window, in memory that does not grow with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from casemate.modalities.imagery.windows import Grid, Window

SAME_IOU = 0.5
CUT_MARGIN_PX = 4.0


@dataclass(frozen=True)
class Views:
    """What one window saw, in pixels of the scene: boxes [N, 4] as x0 y0 x1 y1, scores [N, nodes], flags [N]."""

    window: int
    bounds_px: tuple[int, int, int, int]
    boxes_xyxy_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    owned: NDArray[np.bool_]
    cut: NDArray[np.bool_]

    def __len__(self) -> int:
        """How many views there are."""
        return len(self.boxes_xyxy_px)

    def take(self, chosen: NDArray[np.bool_] | NDArray[np.intp]) -> Views:
        """The chosen views only, in the same order."""
        kept = self.boxes_xyxy_px[chosen], self.scores[chosen], self.owned[chosen], self.cut[chosen]
        return Views(self.window, self.bounds_px, *kept)


def views(window: Window, grid: Grid, boxes_xyxy_px: NDArray[np.float32], scores: NDArray[np.float32]) -> Views:
    """What the window keeps of the boxes found in it (pixels of the window); boxes end at the scene's edges."""
    x0, y0, x1, y1 = window.bounds_px
    boxes = boxes_xyxy_px.astype(np.float32) + np.array([x0, y0, x0, y0], np.float32)
    boxes = np.clip(boxes, 0, np.array([grid.width, grid.height, grid.width, grid.height], np.float32))
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    owned = _inside(centres, window.core_px, grid, margin_px=0.0)
    near = _inside(centres, window.core_px, grid, margin_px=grid.overlap_px / 8)
    inner = np.array([x0 > 0, y0 > 0, x1 < grid.width, y1 < grid.height])
    edges = np.array([x0 + CUT_MARGIN_PX, y0 + CUT_MARGIN_PX, -(x1 - CUT_MARGIN_PX), -(y1 - CUT_MARGIN_PX)])
    cut = ((boxes * np.array([1, 1, -1, -1]) <= edges) & inner).any(axis=1)
    area = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    return Views(window.index, window.bounds_px, boxes, scores.astype(np.float32), owned, cut).take(near & area)


def settle(mine: Views, around: Sequence[Views]) -> NDArray[np.bool_]:
    """Which of a window's views stand [N], given what the windows around it saw."""
    stand = np.ones(len(mine), np.bool_)
    for theirs in around:
        stand &= ~_contest(mine, theirs).yields
    return stand


def settled(mine: Views, around: Sequence[Views]) -> Views:
    """The views of a window that stand; those cut by its edge are put together with the pieces that yield to them."""
    stand, boxes = np.ones(len(mine), np.bool_), mine.boxes_xyxy_px.copy()
    for theirs in around:
        contest = _contest(mine, theirs)
        stand &= ~contest.yields
        boxes[:, :2] = np.minimum(boxes[:, :2], contest.reach_xyxy_px[:, :2])
        boxes[:, 2:] = np.maximum(boxes[:, 2:], contest.reach_xyxy_px[:, 2:])
    return replace(mine, boxes_xyxy_px=boxes).take(stand)


@dataclass(frozen=True)
class _Contest:
    """Which of mine yield to one of theirs [N], and the box round each with the pieces of theirs that yield to it."""

    yields: NDArray[np.bool_]
    reach_xyxy_px: NDArray[np.float32]


def _contest(mine: Views, theirs: Views) -> _Contest:
    yields, reach = np.zeros(len(mine), np.bool_), mine.boxes_xyxy_px.copy()
    if not len(mine) or not len(theirs):
        return _Contest(yields, reach)
    a = np.flatnonzero(_touching(mine, theirs.boxes_xyxy_px))
    b = np.flatnonzero(_touching(theirs, mine.boxes_xyxy_px))
    if not len(a) or not len(b):
        return _Contest(yields, reach)
    ours, others = mine.take(a), theirs.take(b)
    same, ours_first = _same_object(ours, others), _precedes(ours, others)
    yields[a] = (same & ~ours_first).any(axis=1)
    pieces = same & ours_first & ours.cut[:, None] & others.cut[None, :]
    low = np.where(pieces[..., None], others.boxes_xyxy_px[None, :, :2], np.inf).min(axis=1)
    high = np.where(pieces[..., None], others.boxes_xyxy_px[None, :, 2:], -np.inf).max(axis=1)
    reach[a] = np.concatenate([np.minimum(reach[a, :2], low), np.maximum(reach[a, 2:], high)], axis=1)
    return _Contest(yields, reach)


def _touching(some: Views, boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which views reach into the rectangle round `boxes`: the few near a seam, so that pairs stay few."""
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    mine = some.boxes_xyxy_px
    return np.asarray(((mine[:, :2] < high) & (mine[:, 2:] > low)).all(axis=1))


def _same_object(a: Views, b: Views) -> NDArray[np.bool_]:
    """Pairs [len(a), len(b)] that are two views of one object."""
    whole = _alike(a.boxes_xyxy_px, b.boxes_xyxy_px)
    if not a.cut.any() and not b.cut.any():
        return whole
    seen_by_both = _alike(_within(a.boxes_xyxy_px, b.bounds_px), _within(b.boxes_xyxy_px, a.bounds_px))
    return np.asarray(whole | (seen_by_both & (a.cut[:, None] | b.cut[None, :])))


def _alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.bool_]:
    shared, areas_a, areas_b = overlaps(a, b)
    return np.asarray(shared > SAME_IOU * (areas_a[:, None] + areas_b[None, :] - shared))


def _within(boxes: NDArray[np.float32], bounds_px: tuple[int, int, int, int]) -> NDArray[np.float32]:
    """The parts of boxes that lie in a window; without area where none does."""
    x0, y0, x1, y1 = bounds_px
    return np.clip(boxes, np.array([x0, y0, x0, y0], np.float32), np.array([x1, y1, x1, y1], np.float32))


def _precedes(a: Views, b: Views) -> NDArray[np.bool_]:
    """Pairs [len(a), len(b)] in which the view of `a` is the stronger."""
    earlier = np.bool_(a.window < b.window)
    answer = np.full((len(a), len(b)), earlier)
    for mine, other in (
        (a.scores.max(axis=1), b.scores.max(axis=1)),
        (a.owned.astype(np.float32), b.owned.astype(np.float32)),
        (-a.cut.astype(np.float32), -b.cut.astype(np.float32)),
    ):
        answer = np.where(mine[:, None] == other[None, :], answer, mine[:, None] > other[None, :])
    return answer


def overlaps(
    a: NDArray[np.float32], b: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Shared areas [len(a), len(b)] of two sets of boxes, and the areas of each."""
    a64, b64 = a.astype(np.float64), b.astype(np.float64)
    low = np.maximum(a64[:, None, :2], b64[None, :, :2])
    high = np.minimum(a64[:, None, 2:], b64[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    return sides[..., 0] * sides[..., 1], _areas(a64), _areas(b64)


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]))


def _inside(
    centres: NDArray[np.floating], core: tuple[int, int, int, int], grid: Grid, *, margin_px: float
) -> NDArray[np.bool_]:
    """Which centres [N, 2] lie in a core widened by a margin; the scene's own far edges belong to the core."""
    low = np.array(core[:2]) - margin_px
    high = np.array(core[2:]) + margin_px
    last = np.array([core[2] == grid.width, core[3] == grid.height])
    return np.asarray((centres >= low).all(axis=1) & ((centres < high) | last).all(axis=1))
