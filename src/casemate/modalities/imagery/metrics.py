"""The figures of detection: average precision and recall as COCO defines them, and their bootstrap intervals.

Rules. Every figure is a function of `Matches` and of how often each image counts, so that the point estimate (every
image once) and each bootstrap resample (images drawn with replacement, seeded) come from the same lines. Precision is
interpolated at 101 recalls, as COCO does. A figure without any true box is NaN, never 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casemate.modalities.imagery.matching import AREAS, IOU_50, IOU_75, IOU_THRESHOLDS, Floats, Matches

RECALLS: Floats = np.linspace(0, 1, 101)
CELLS_AT_ONCE = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A figure with the bounds between which it lies in 95 % of the resamples; NaN where it cannot be computed."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, float | None]:
        """The three figures; null where there is none."""
        return {
            name: None if np.isnan(figure) else round(float(figure), 6)
            for name, figure in (("value", self.value), ("low", self.low), ("high", self.high))
        }


@dataclass(frozen=True)
class Curve:
    """Precision over recall, with the score at each point (all [D], best score first)."""

    recall: Floats
    precision: Floats
    scores: Floats


def draw(images: int, *, resamples: int, seed: int) -> Floats:
    """How often each image counts [1 + resamples, images]: first every image once, then draws with replacement."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(images, np.full(images, 1 / images), size=resamples)
    return np.concatenate([np.ones((1, images)), counts.astype(np.float64)])


def interval(figures: Floats) -> Interval:
    """The point estimate (first) and the percentile interval of the resamples (the others)."""
    resampled = figures[1:][~np.isnan(figures[1:])]
    if np.isnan(figures[0]) or not len(resampled):
        return Interval(float(figures[0]), float("nan"), float("nan"))
    low, high = np.percentile(resampled, [2.5, 97.5])
    return Interval(float(figures[0]), float(min(low, figures[0])), float(max(high, figures[0])))


def average_precision(matches: Matches, weights: Floats, *, area: int = 0, iou: int = IOU_50, most: int) -> Floats:
    """Average precision [B] in one area range at one IoU threshold, for each row of `weights` [B, I]."""
    from scipy.sparse import csr_array

    keep = matches.rank < most
    right = np.flatnonzero(matches.right[area, iou] & keep)
    wrong = np.flatnonzero(matches.wrong[area, iou] & keep)
    before = np.searchsorted(right, wrong)  # precision need be known at right ones only: it falls between them
    before, wrong = before[before < len(right)], wrong[before < len(right)]
    cells = (np.ones(len(wrong)), (before, matches.image[wrong]))
    alarms_RI = csr_array(cells, shape=(len(right), matches.images))  # since the last right one, by image
    rows = max(1, CELLS_AT_ONCE // max(1, len(right)))
    parts = []
    for start in range(0, len(weights), rows):
        some = weights[start : start + rows]
        hits = np.cumsum(some[:, matches.image[right]], axis=1)
        alarms = np.cumsum((alarms_RI @ some.T).T, axis=1)
        parts.append(_interpolated(hits, alarms, some @ matches.positives[area]))
    return np.concatenate(parts)


def _interpolated(hits: Floats, alarms: Floats, positives: Floats) -> Floats:
    """101-point average precision [B] from running counts of hits and of false alarms at each hit [B, R]."""
    rows, count = hits.shape
    if not count:
        return np.where(positives > 0, 0.0, np.nan)
    precision = hits / (hits + alarms + np.spacing(1))
    envelope = np.pad(np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1], ((0, 0), (0, 1)))
    recall = hits / np.maximum(positives, 1)[:, None]
    offset = 2.0 * np.arange(rows)[:, None]  # one sorted line of all rows, for one search; the first row stays exact
    found = np.searchsorted((recall + offset).ravel(), (RECALLS + offset).ravel(), side="left").reshape(rows, -1)
    places = found - count * np.arange(rows)[:, None]
    return np.where(positives > 0, np.take_along_axis(envelope, places, axis=1).mean(axis=1), np.nan)


def average_recall(matches: Matches, weights: Floats, *, area: int = 0, most: int) -> Floats:
    """Recall [B] with at most `most` detections an image, averaged over the ten IoU thresholds."""
    keep = matches.rank < most
    hits = np.stack(
        [
            np.bincount(matches.image[matches.right[area, t] & keep], minlength=matches.images)
            for t in range(len(IOU_THRESHOLDS))
        ]
    ).mean(axis=0)
    positives = weights @ matches.positives[area]
    return np.where(positives > 0, (weights @ hits) / np.maximum(positives, 1), np.nan)


def curve(matches: Matches, *, most: int) -> Curve:
    """The raw precision-recall curve at IoU 0.5."""
    keep = (matches.right[0, IOU_50] | matches.wrong[0, IOU_50]) & (matches.rank < most)
    right = matches.right[0, IOU_50][keep]
    hits = np.cumsum(right)
    positives = int(matches.positives[0].sum())
    return Curve(hits / max(positives, 1), hits / np.maximum(np.arange(1, len(right) + 1), 1), matches.scores[keep])


def class_figures(matches: Matches, weights: Floats, *, most: int) -> dict[str, Floats]:
    """AP, AP50, AP75 and average recalls of one class, each [B]."""
    by_iou = [average_precision(matches, weights, iou=t, most=most) for t in range(len(IOU_THRESHOLDS))]
    figures = {"ap": np.mean(by_iou, axis=0), "ap50": by_iou[IOU_50], "ap75": by_iou[IOU_75]}
    for limit in sorted({1, 10, 100, most}):
        figures[f"ar{limit}"] = average_recall(matches, weights, most=limit)
    return figures


def size_figures(matches: Matches, weights: Floats, *, most: int) -> dict[str, Floats]:
    """AP, AP50 and average recall of one class by size of object, each [B]."""
    figures: dict[str, Floats] = {}
    for area, name in enumerate(AREAS[1:], start=1):
        sized = [average_precision(matches, weights, area=area, iou=t, most=most) for t in range(len(IOU_THRESHOLDS))]
        figures[f"ap_{name}"] = np.mean(sized, axis=0)
        figures[f"ap50_{name}"] = sized[IOU_50]
        figures[f"ar_{name}"] = average_recall(matches, weights, area=area, most=most)
    return figures


def coco_figures(classes: Sequence[Matches], weights: Floats, *, most: int) -> dict[str, Floats]:
    """COCO's figures as means over `classes`, each [B]; classes without a true box take no part."""
    each = [class_figures(m, weights, most=most) | size_figures(m, weights, most=most) for m in classes]
    return {name: mean_over_classes([figures[name] for figures in each]) for name in each[0]}


def mean_over_classes(values: Sequence[Floats]) -> Floats:
    """Mean [B] over classes, leaving out those that are NaN; NaN where all are."""
    stacked = np.stack(values)
    known = ~np.isnan(stacked)
    total = np.where(known, stacked, 0).sum(axis=0)
    count = known.sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def ratio(part: Floats, whole: Floats) -> Floats:
    """`part` / `whole`, NaN where there is no whole."""
    return np.where(whole > 0, part / np.where(whole > 0, whole, 1), np.nan)
