"""Scores that mean what they say: a calibration curve and a threshold for each level, fitted on held-out data.

Rules. The score of a level is the probability that a detection is right at that level (a labelled object of that node
overlaps it by half), not the network's own number. Figures about calibration (its error, the precision at a threshold)
come from two folds of images, each scored with what was fitted on the other; what is kept is fitted on both. A level
that the data never labels, or at which no detection is ever right, has no curve and is not answered; nor is a node that
the data never labels.

The bytes of a model never change after it was evaluated: what is fitted here is `calibration.json`, an object of its
own that names the model it belongs to, and that a release carries beside the files of the model.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from casemate.errors import BadInput, DigestMismatch
from casemate.modalities.imagery.curves import (
    AS_IT_IS,
    Curve,
    Reliability,
    curve_from_json,
    fit_curve,
    reliability,
)
from casemate.modalities.imagery.levels import DETECTION, LEVELS
from casemate.modalities.imagery.matching import Bools, Floats, Ints

FORMAT = "casemate-calibration/1"
FILE = "calibration.json"
MORE_LIKELY_THAN_NOT = 0.5
START_THRESHOLDS = {"detection": 0.3, "recognition": 0.5, "identification": 0.5}


@dataclass(frozen=True)
class Calibration:
    """A curve for each level that can be answered, and the nodes that were measured (None: all)."""

    curves: Mapping[str, Curve]
    measured: frozenset[str] | None = None

    def apply(self, raw_scores: Floats, level: int) -> Floats:
        """Probabilities of being right at a level; NaN where the level has no curve."""
        curve = self.curves.get(LEVELS[level])
        return np.full(np.shape(raw_scores), np.nan) if curve is None else curve.apply(raw_scores)


Thresholds = Mapping[str, float | None]
"""The least probability at which a level is answered; None: never, for want of the precision asked for."""


@dataclass(frozen=True)
class Calibrated:
    """What decides: curves and thresholds, the model they belong to and the data that they were fitted on."""

    calibration: Calibration
    thresholds: Thresholds
    model: str = ""
    dataset: str = ""
    rule: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """`calibration.json`: sorted, one fact a line."""
        measured = self.calibration.measured
        document = {
            "format": FORMAT,
            "model": self.model,
            "dataset": self.dataset,
            "calibration": {level: curve.to_json() for level, curve in self.calibration.curves.items()},
            "measured": None if measured is None else sorted(measured),
            "thresholds": dict(self.thresholds),
            "rule": dict(self.rule),
        }
        return (json.dumps(document, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


UNCALIBRATED = Calibrated(Calibration(dict.fromkeys(LEVELS, AS_IT_IS)), START_THRESHOLDS)


def from_json(data: bytes, *, source: str = FILE) -> Calibrated:
    """Read `calibration.json` strictly; BadInput names `source`."""
    try:
        document = json.loads(data)
    except ValueError as why:
        raise BadInput(source, expected="JSON", found=why) from why
    expected = {"format", "model", "dataset", "calibration", "measured", "thresholds", "rule"}
    if not isinstance(document, dict) or set(document) != expected or document["format"] != FORMAT:
        found = sorted(document) if isinstance(document, dict) else type(document).__name__
        raise BadInput(source, expected=f"{FORMAT} with {', '.join(sorted(expected))}", found=found)
    calibration = calibration_from_json(document["calibration"], document["measured"], source=source)
    thresholds = thresholds_from_json(document["thresholds"], source=source)
    return Calibrated(calibration, thresholds, str(document["model"]), str(document["dataset"]), document["rule"])


def calibration_from_json(curves: Any, measured: Any = None, *, source: str) -> Calibration:
    """Read the curves of a calibration, by level."""
    if not isinstance(curves, Mapping) or not set(curves) <= set(LEVELS):
        raise BadInput(f"{source}, calibration", expected=f"curves for {', '.join(LEVELS)}", found=curves)
    if measured is not None and not (isinstance(measured, list) and all(isinstance(name, str) for name in measured)):
        raise BadInput(f"{source}, measured", expected="names of nodes, or null", found=measured)
    return Calibration(
        {level: curve_from_json(curves[level], source=f"{source}, calibration of {level}") for level in curves},
        None if measured is None else frozenset(measured),
    )


def thresholds_from_json(facts: Any, *, source: str) -> dict[str, float | None]:
    """Read the thresholds, one for each level."""
    expected = f"a number from 0 to 1 or null for each of {', '.join(LEVELS)}"
    if not isinstance(facts, Mapping) or set(facts) != set(LEVELS):
        raise BadInput(f"{source}, thresholds", expected=expected, found=facts)
    for value in facts.values():
        if value is not None and not (isinstance(value, int | float) and 0 <= value <= 1):
            raise BadInput(f"{source}, thresholds", expected=expected, found=facts)
    return {level: None if facts[level] is None else float(facts[level]) for level in LEVELS}


def load(model_dir: Path, config: Mapping[str, Any], *, file: Path | None = None, model: str = "") -> Calibrated:
    """What decides for a model: the given file, or `calibration.json` beside it, or what training put in its config.

    Where both are known, the calibration must be of this very `model` (its digest).
    """
    beside = model_dir / FILE if file is None else file
    if file is not None or beside.is_file():
        if not beside.is_file():
            raise BadInput(beside.name, expected="a calibration file", found="none")
        found = from_json(beside.read_bytes(), source=beside.name)
        if model and found.model and found.model != model:
            raise DigestMismatch(f"{beside.name}, the model it was fitted for", expected=model, found=found.model)
        return found
    if not config.get("calibration"):
        return UNCALIBRATED
    return Calibrated(
        calibration_from_json(config["calibration"], source="model.json"),
        thresholds_from_json(config.get("thresholds", START_THRESHOLDS), source="model.json"),
    )


# ── fitting ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Examples:
    """Detections with what is known of them: `raw` scores, `right`, `known`, each [N, 3] by level; `group` [N].

    Detections of one group (an image) are never on both sides of a fold. `positives` [3] is the number of true boxes
    that are labelled down to each level; `nodes` the nodes that the data labels.
    """

    raw: Floats
    right: Bools
    known: Bools
    group: Ints
    positives: tuple[int, int, int]
    nodes: frozenset[str] | None = None


@dataclass(frozen=True)
class Fitted:
    """Curves and thresholds fitted on everything, and what two folds say of the same `examples`.

    `fold` [N] is the fold of each example, `probabilities` [N, 3] what the curves of the other fold make of it.
    """

    calibrated: Calibrated
    examples: Examples
    folds: tuple[Calibrated, Calibrated]
    fold: Ints
    probabilities: Floats
    before: Mapping[str, Reliability]
    after: Mapping[str, Reliability]


def fit(examples: Examples, *, target_precision: Mapping[str, float] | None = None) -> Fitted:
    """Fit on everything; measure on two folds, each with the curves and thresholds of the other."""
    targets = dict(target_precision or {})
    quarter = deal(examples.group, 4)
    fold = quarter % 2
    halves = tuple(_fit_some(examples, fold != f, quarter // 2, targets) for f in (0, 1))
    folds = (halves[0], halves[1])
    probabilities = _probabilities(examples, folds, fold)
    everything = np.ones(len(fold), dtype=bool)
    return _measured(examples, _fit_some(examples, everything, fold, targets, probabilities), folds, fold)


def apply_to(examples: Examples, calibrated: Calibrated) -> Fitted:
    """Measure what was fitted elsewhere."""
    return _measured(examples, calibrated, (calibrated, calibrated), np.zeros(len(examples.group), dtype=np.int64))


def _measured(examples: Examples, kept: Calibrated, folds: tuple[Calibrated, Calibrated], fold: Ints) -> Fitted:
    probabilities = _probabilities(examples, folds, fold)
    before, after = {}, {}
    for i, level in enumerate(LEVELS):
        shown = examples.known[:, i] & ~np.isnan(probabilities[:, i])
        right = examples.right[shown, i]
        before[level] = reliability(examples.raw[shown, i], right)
        after[level] = reliability(probabilities[shown, i], right)
    return Fitted(kept, examples, folds, fold, probabilities, before, after)


def _probabilities(examples: Examples, folds: tuple[Calibrated, Calibrated], fold: Ints) -> Floats:
    """What the curves for each example's fold make of its scores [N, 3]."""
    both = [
        np.stack([half.calibration.apply(examples.raw[:, i], i) for i in range(len(LEVELS))], axis=1) for half in folds
    ]
    return np.where((fold == 0)[:, None], both[0], both[1])


def deal(group: Ints, hands: int) -> Ints:
    """Which hand each example is dealt to: whole groups in turn, the fullest first, so that hands are of like size."""
    groups, sizes = np.unique(group, return_counts=True)
    turn = np.empty(len(groups), dtype=np.int64)
    turn[np.argsort(-sizes, kind="stable")] = np.arange(len(groups)) % hands
    place: Ints = turn[np.searchsorted(groups, group)]
    return place


def _fit_some(
    examples: Examples, some: Bools, inner: Ints, targets: Mapping[str, float], probabilities: Floats | None = None
) -> Calibrated:
    """Curves and thresholds from some of the examples; thresholds on cross-fitted `probabilities` where given.

    `inner` are the folds between which the kind of curve is chosen.
    """
    curves: dict[str, Curve] = {}
    thresholds: dict[str, float | None] = {}
    share = np.count_nonzero(some) / max(1, len(some))
    for i, level in enumerate(LEVELS):
        use = some & examples.known[:, i]
        raw, right = examples.raw[use, i], examples.right[use, i]
        thresholds[level] = None
        if not right.any():
            continue
        curves[level] = fit_curve(raw, right, inner[use])
        stated = curves[level].apply(raw) if probabilities is None else probabilities[use, i]
        floor = 0.0 if i == DETECTION else MORE_LIKELY_THAN_NOT
        positives = max(1, round(examples.positives[i] * share))
        chosen = choose_threshold(stated, right, positives, target_precision=targets.get(level))
        thresholds[level] = None if chosen is None else max(floor, chosen)
    rule = {level: _rule(level, targets) for level in LEVELS}
    return Calibrated(Calibration(curves, examples.nodes), thresholds, rule=rule)


def _rule(level: str, targets: Mapping[str, float]) -> str:
    if level in targets:
        return f"most found at a precision of at least {targets[level]:g}"
    best = "best F1"
    return best if level == LEVELS[DETECTION] else f"{best}, and more likely right than wrong"


def choose_threshold(
    stated: Floats, right: Bools, positives: int, *, target_precision: float | None = None
) -> float | None:
    """The threshold of best F1, or of most finds at a precision; None where that precision is never reached."""
    usable = ~np.isnan(stated)
    stated, right = stated[usable], right[usable]
    if not len(stated):
        return None
    order = np.argsort(-stated, kind="stable")
    ends = np.append(np.diff(stated[order]) != 0, True)  # equal scores are answered together
    hits = np.cumsum(right[order])[ends]
    answered = np.flatnonzero(ends) + 1
    values = stated[order][ends]
    if target_precision is None:
        best = int(np.argmax(2 * hits / (answered + positives)))
    else:
        reached = np.flatnonzero(hits / answered >= target_precision)
        if not len(reached):
            return None
        best = int(reached[-1])
    return float(np.floor(values[best] * 1e6) / 1e6)
