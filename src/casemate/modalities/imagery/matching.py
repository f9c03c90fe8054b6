"""Which detections meet which true boxes: COCO's greedy matching, on arrays, equal to `pycocotools` and bounded.

Rules. Detections are taken best score first; each takes the free true box that it overlaps most, at ten IoU thresholds
and in four ranges of area at once. A true box marked unsure is a region: what falls in it is neither right nor wrong,
and any number may. A detection that is not counted (its class is not labelled in this data set) may be right but is
never wrong. Only pairs that overlap by half are kept, so memory grows with boxes and not with their product.
Source: pycocotools.cocoeval 2.0.11, `evaluateImg`; equality is a test.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]
Ints = npt.NDArray[np.integer]
Bools = npt.NDArray[np.bool_]

IOU_THRESHOLDS: Floats = np.linspace(0.5, 0.95, 10)
AREAS = ("all", "small", "medium", "large")
AREA_BOUNDS_PX2: Floats = np.array([[0, 1e10], [0, 32**2], [32**2, 96**2], [96**2, 1e10]], dtype=np.float64)
IOU_50, IOU_75 = 0, 5


@dataclass(frozen=True)
class Case:
    """One image's question about one class: its true boxes, and the detections with their score for that class.

    `truth_xyxy_px` [G, 4], `truth_area_px2` [G], `unsure` [G]; `boxes_xyxy_px` [N, 4], `scores` [N], `counted` [N].
    """

    truth_xyxy_px: Floats
    truth_area_px2: Floats
    unsure: Bools
    boxes_xyxy_px: Floats
    scores: Floats
    counted: Bools


@dataclass(frozen=True)
class Matches:
    """All detections of one class over all images, best first, and what each met.

    `scores` [D], `image` [D] (index of the case), `rank` [D] (place in its image), `right` and `wrong` [A, T, D] by
    area range and IoU threshold (neither: ignored), `positives` [A, I] true boxes that count, `images` how many cases.
    """

    scores: Floats
    image: Ints
    rank: Ints
    right: Bools
    wrong: Bools
    positives: Ints
    images: int


def match(cases: Iterable[Case], *, most_per_image: int) -> Matches:
    """Match every image of one class; at most `most_per_image` detections an image, the best ones."""
    parts = [_match_image(case, most_per_image) for case in cases]
    if not parts:
        empty = np.zeros((len(AREAS), len(IOU_THRESHOLDS), 0), dtype=bool)
        none = np.zeros(0, dtype=np.int64)
        return Matches(np.zeros(0), none, none, empty, empty, np.zeros((len(AREAS), 0), dtype=np.int64), 0)
    scores = np.concatenate([part.scores for part in parts])
    order = np.argsort(-scores, kind="stable")
    counts = [len(part.scores) for part in parts]
    return Matches(
        scores=scores[order],
        image=np.repeat(np.arange(len(parts)), counts)[order],
        rank=np.concatenate([np.arange(n) for n in counts])[order],
        right=np.concatenate([part.right for part in parts], axis=2)[:, :, order],
        wrong=np.concatenate([part.wrong for part in parts], axis=2)[:, :, order],
        positives=np.stack([part.positives for part in parts], axis=1),
        images=len(parts),
    )


def overlaps(boxes_xyxy_px: Floats, truth_xyxy_px: Floats, unsure: Bools) -> Floats:
    """Intersection over union [N, G]; over the detection's own area where the true box is an unsure region."""
    boxes = np.asarray(boxes_xyxy_px, dtype=np.float64)[:, None, :]
    truth = np.asarray(truth_xyxy_px, dtype=np.float64)[None, :, :]
    width = np.minimum(boxes[..., 2], truth[..., 2]) - np.maximum(boxes[..., 0], truth[..., 0])
    height = np.minimum(boxes[..., 3], truth[..., 3]) - np.maximum(boxes[..., 1], truth[..., 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    own = box_areas_px2(boxes)
    whole = np.where(unsure[None, :], own, own + box_areas_px2(truth) - shared)
    ratio: Floats = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return ratio


def box_areas_px2(boxes_xyxy_px: Floats) -> Floats:
    """Areas of boxes [..., 4] in square pixels."""
    areas: Floats = (boxes_xyxy_px[..., 2] - boxes_xyxy_px[..., 0]) * (boxes_xyxy_px[..., 3] - boxes_xyxy_px[..., 1])
    return areas


@dataclass(frozen=True)
class _Image:
    scores: Floats
    right: Bools
    wrong: Bools
    positives: Ints


def _match_image(case: Case, most: int) -> _Image:
    order = np.argsort(-case.scores, kind="stable")[:most]
    boxes = np.asarray(case.boxes_xyxy_px)[order]
    truth_left_out = case.unsure | _outside(case.truth_area_px2)
    met = assign(boxes, case.truth_xyxy_px, case.unsure, truth_left_out)
    found = met >= 0
    in_region = np.take_along_axis(
        np.broadcast_to(np.pad(truth_left_out, ((0, 0), (0, 1)))[:, None, :], (*met.shape[:2], len(case.unsure) + 1)),
        np.where(found, met, len(case.unsure)),
        axis=2,
    )
    may_be_wrong = case.counted[order] & ~_outside(box_areas_px2(boxes))
    return _Image(
        scores=np.asarray(case.scores)[order],
        right=found & ~in_region,
        wrong=~found & may_be_wrong[:, None, :],
        positives=np.count_nonzero(~truth_left_out, axis=1),
    )


def _outside(areas_px2: Floats) -> Bools:
    """Which boxes [A, N] are outside each range of area; both bounds belong to the range."""
    return (areas_px2[None, :] < AREA_BOUNDS_PX2[:, :1]) | (areas_px2[None, :] > AREA_BOUNDS_PX2[:, 1:])


def assign(boxes_xyxy_px: Floats, truth_xyxy_px: Floats, unsure: Bools, left_out: Bools) -> Ints:
    """Index [A, T, N] of the true box that each detection (best first) takes, -1 where none.

    `left_out` [A, G] are the true boxes that do not count in an area range: taken only where no other is free.
    """
    ranges, thresholds = len(left_out), np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
    met = np.full((ranges, len(thresholds), len(boxes_xyxy_px)), -1, dtype=np.int64)
    free = np.ones((ranges, len(thresholds), len(truth_xyxy_px)), dtype=bool)
    for n, candidates, iou in _candidate_pairs(boxes_xyxy_px, truth_xyxy_px, unsure):
        open_to = free[:, :, candidates] & (iou >= thresholds[:, None])
        worth = np.where(open_to, iou + 2.0 * ~left_out[:, None, candidates], -1.0)
        last_best = len(candidates) - 1 - np.argmax(worth[:, :, ::-1], axis=2)  # the last of equals, as COCO does
        chosen = candidates[last_best]
        a, t = np.nonzero(np.take_along_axis(worth, last_best[:, :, None], axis=2)[:, :, 0] >= 0)
        met[a, t, n] = chosen[a, t]
        free[a, t, chosen[a, t]] = unsure[chosen[a, t]]
    return met


def _candidate_pairs(boxes: Floats, truth: Floats, unsure: Bools) -> Sequence[tuple[int, Ints, Floats]]:
    """For each detection that overlaps anything by half: its index, those true boxes, the overlaps."""
    pairs: list[tuple[int, Ints, Floats]] = []
    if not len(truth):
        return pairs
    rows_at_once = max(1, 2_000_000 // len(truth))
    for start in range(0, len(boxes), rows_at_once):
        iou = overlaps(boxes[start : start + rows_at_once], truth, unsure)
        close = iou >= IOU_THRESHOLDS[0]
        for n in np.flatnonzero(close.any(axis=1)):
            candidates = np.flatnonzero(close[n])
            pairs.append((start + int(n), candidates, iou[n, candidates]))
    return pairs
