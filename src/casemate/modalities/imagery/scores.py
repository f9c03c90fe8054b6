"""`scores.json`: every figure with its interval, what it means, and what it could not tell.

Rules. Pure: from what was found to a document. All figures come from the same resamples of images, so that the
interval of a drop is that of paired differences. The document says in words what was and was not counted, because a
figure without that is not evidence. Names of figures: `ap50` is the mean over the set's own labels, `ap50.<node>` one
node of the taxonomy, `ap50.level.<level>` the mean over the nodes of one level.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from casemate.modalities.imagery.calibrate import Fitted
from casemate.modalities.imagery.curves import BINS
from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.matching import Bools, Floats, Matches, match
from casemate.modalities.imagery.metrics import (
    Interval,
    average_precision,
    class_figures,
    interval,
    mean_over_classes,
    ratio,
    size_figures,
)
from casemate.modalities.imagery.outcomes import Answers, Rows, decision_figures
from casemate.modalities.imagery.truth import Judged, Scope, case

FORMAT = "casemate-scores/1"
_TWO_FOLDS = "two folds of images (of quadrants, below 8 images), each with what was fitted on the other"


@dataclass(frozen=True)
class Evidence:
    """Everything that was found on a data set: images, their rows, what was fitted, what was answered."""

    images: Sequence[Judged]
    within: Scope
    matches: Mapping[int, Matches]
    rows: Rows
    fitted: Fitted
    answers: Answers
    weights: Floats
    most_per_image: int


def match_nodes(images: Sequence[Judged], within: Scope, *, most: int) -> dict[int, Matches]:
    """Matches of every evaluated node at which false alarms can be told."""
    nodes = [node for node in within.evaluated if within.countable[node]]
    return {node: match((case(image, node, within) for image in images), most_per_image=most) for node in nodes}


def figures(found: Evidence) -> dict[str, Interval]:
    """Every figure with its interval, by name."""
    drawn = _node_figures(found)
    drawn |= decision_figures(found.rows, found.answers, found.images, found.within, found.weights)
    drawn |= calibration_errors(found)
    return {name: interval(values) for name, values in sorted(drawn.items())}


def _node_figures(found: Evidence) -> dict[str, Floats]:
    """COCO's figures [B]: of each node, of each level, and their means over the set's own labels."""
    within, weights, most = found.within, found.weights, found.most_per_image
    each = {node: class_figures(matches, weights, most=most) for node, matches in found.matches.items()}
    drawn = {
        f"{figure}.{within.nodes.names[node]}": each[node][figure]
        for node in each
        for figure in ("ap50", "ap", f"ar{most}")
    }
    for level, name in enumerate(LEVELS):
        if nodes := within.at_level(level):
            drawn[f"ap50.level.{name}"] = mean_over_classes([each[node]["ap50"] for node in nodes])
    own = [each[n] | size_figures(found.matches[n], weights, most=most) for n in within.classes]
    return drawn | {name: mean_over_classes([figures[name] for figures in own]) for name in own[0]}


def calibration_errors(found: Evidence) -> dict[str, Floats]:
    """Expected calibration error [B] at each level, of the network's own score and of the calibrated one."""
    errors: dict[str, Floats] = {}
    for level, name in enumerate(LEVELS):
        stated = found.fitted.probabilities[:, level]
        examples = found.fitted.examples
        known = examples.known[:, level] & ~np.isnan(stated)
        right, raw = examples.right[:, level], examples.raw[:, level]
        errors[f"ece.{name}"] = _error(stated, right, known, found)
        errors[f"ece_raw.{name}"] = _error(raw, right, known, found)
    errors["ece"], errors["ece_raw"] = errors[f"ece.{LEVELS[0]}"], errors[f"ece_raw.{LEVELS[0]}"]
    return errors


def _error(stated: Floats, right: Bools, known: Bools, found: Evidence) -> Floats:
    images = len(found.images)
    place = np.clip((stated[known] * BINS).astype(np.int64), 0, BINS - 1) + BINS * found.rows.image[known]

    def summed(values: Floats | None = None) -> Floats:
        cells = np.bincount(place, weights=values, minlength=images * BINS).reshape(images, BINS)
        totals: Floats = found.weights @ cells
        return totals

    gaps = np.abs(summed(stated[known]) - summed(right[known].astype(np.float64))).sum(axis=1)
    return ratio(gaps, summed().sum(axis=1))


def robustness_figures(
    looked: Mapping[str, Sequence[Judged]], unchanged: str, within: Scope, *, most: int, weights: Floats
) -> dict[str, dict[str, Interval]]:
    """AP50 after each change, and its drop from the unchanged views of the same images."""
    drawn = {name: _mean_ap50(images, within, most=most, weights=weights) for name, images in looked.items()}
    return {
        name: {"ap50": interval(values), "drop": interval(drawn[unchanged] - values)} for name, values in drawn.items()
    }


def _mean_ap50(images: Sequence[Judged], within: Scope, *, most: int, weights: Floats) -> Floats:
    return mean_over_classes(
        [
            average_precision(match((case(i, node, within) for i in images), most_per_image=most), weights, most=most)
            for node in within.classes
        ]
    )


def calibration_document(fitted: Fitted, *, apart: bool) -> dict[str, Any]:
    """Curves, thresholds, and what two folds say about them."""
    kept = fitted.calibrated
    return {
        "fitted_on": "a calibration set of its own" if apart else "all images, for the calibration that is released",
        "measured_on": "the data set, on which nothing was fitted" if apart else _TWO_FOLDS,
        "levels": {
            level: {
                "curve": curve.to_json(),
                "threshold": kept.thresholds[level],
                "rule": kept.rule[level],
                "ece_before": _figure(fitted.before[level].error),
                "ece_after": _figure(fitted.after[level].error),
                "examples": int(fitted.after[level].count.sum()),
                "reliability_before": fitted.before[level].to_json(),
                "reliability_after": fitted.after[level].to_json(),
            }
            for level, curve in kept.calibration.curves.items()
        },
        "not_answered": [level for level in LEVELS if level not in kept.calibration.curves],
    }


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else round(value, 6)


def scope_document(within: Scope) -> dict[str, Any]:
    """What the data set could judge, and what it could not, in names and in words."""
    names = within.nodes.names
    uncounted = [n for i, n in enumerate(names) if not within.countable[i]]
    no_precision = [names[i] for i in within.labels if not within.countable[i]]
    note = "Detections that meet no box count as false alarms only where every instance is labelled."
    if uncounted:
        note += f" Never counted as false alarms here, because never labelled throughout: {', '.join(uncounted)}."
    return {
        "labels": within.names(within.labels),
        "averaged": within.names(within.classes),
        "evaluated": within.names(within.evaluated),
        "labelled_throughout": [n for i, n in enumerate(names) if within.covered[i]],
        "not_counted": uncounted,
        "labelled_but_not_throughout": no_precision,
        "levels": {level: within.names(within.at_level(i)) for i, level in enumerate(LEVELS)},
        "note": note,
    }
