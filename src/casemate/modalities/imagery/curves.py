"""Calibration curves: from a network's score to the probability of being right, monotone, readable as JSON.

Rules. A curve never reverses an order, so that average precision does not depend on it. A temperature has two figures
and a prior that keeps it near "as it is" where examples are few; an isotonic curve has at most 50 knots and is used
only where there are enough examples of both answers. Errors of calibration are counted in ten bins of equal width.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Protocol

import numpy as np

from casemate.errors import BadInput
from casemate.modalities.imagery.matching import Bools, Floats, Ints

BINS = 10
MOST_KNOTS = 50
ENOUGH_FOR_ISOTONIC = 200
_EDGE = 1e-6


class Curve(Protocol):
    """A monotone map from raw scores to probabilities."""

    def apply(self, scores: Floats) -> Floats:
        """Probabilities, of the same shape."""
        ...

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON; `curve_from_json` reads it back."""
        ...


@dataclass(frozen=True)
class Temperature:
    """Logits divided by a temperature, plus a bias; temperature 1 and bias 0 leave scores as they are."""

    temperature: float = 1.0
    bias: float = 0.0

    def apply(self, scores: Floats) -> Floats:
        """Probabilities, of the same shape."""
        inside = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)
        logits = np.log(inside) - np.log1p(-inside)
        return _sigmoid(logits / self.temperature + self.bias)

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON."""
        return {"method": "temperature", "temperature": self.temperature, "bias": self.bias}


@dataclass(frozen=True)
class Isotonic:
    """Straight lines between knots, flat outside them; both rows never fall."""

    scores: tuple[float, ...]
    probabilities: tuple[float, ...]

    def apply(self, scores: Floats) -> Floats:
        """Probabilities, of the same shape."""
        return np.interp(np.asarray(scores, dtype=np.float64), self.scores, self.probabilities)

    def to_json(self) -> dict[str, Any]:
        """The curve as JSON."""
        return {"method": "isotonic", "scores": list(self.scores), "probabilities": list(self.probabilities)}


AS_IT_IS = Temperature()


def curve_from_json(facts: Any, *, source: str) -> Curve:
    """Read a curve strictly; BadInput names `source`."""
    if isinstance(facts, Mapping) and set(facts) == {"method", "temperature", "bias"}:
        figures = (facts["temperature"], facts["bias"])
        if facts["method"] == "temperature" and all(_is_figure(f) for f in figures) and facts["temperature"] > 0:
            return Temperature(float(figures[0]), float(figures[1]))
    if isinstance(facts, Mapping) and set(facts) == {"method", "scores", "probabilities"}:
        rows = (facts["scores"], facts["probabilities"])
        if facts["method"] == "isotonic" and all(_is_rising(row) for row in rows) and len(rows[0]) == len(rows[1]):
            return Isotonic(tuple(map(float, rows[0])), tuple(map(float, rows[1])))
    raise BadInput(source, expected="a temperature above 0 with a bias, or an isotonic curve that rises", found=facts)


def _is_figure(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_rising(row: object) -> bool:
    if not (isinstance(row, list) and row and all(_is_figure(v) and 0 <= v <= 1 for v in row)):
        return False
    return all(a <= b for a, b in pairwise(row))


def fit_temperature(scores: Floats, right: Bools) -> Temperature:
    """The most likely temperature and bias, under a unit prior on log temperature and bias."""
    from scipy.optimize import minimize

    inside = np.clip(np.asarray(scores, dtype=np.float64), _EDGE, 1 - _EDGE)
    logits = np.log(inside) - np.log1p(-inside)
    signs = np.where(right, 1.0, -1.0)

    def loss(figures: Floats) -> tuple[float, Floats]:
        sharpness = np.exp(-figures[0])
        margins = signs * (logits * sharpness + figures[1])
        slope = -signs * _sigmoid(-margins)
        gradient = np.array([np.sum(slope * logits) * -sharpness + figures[0], np.sum(slope) + figures[1]])
        return float(np.sum(np.logaddexp(0, -margins)) + 0.5 * np.sum(figures**2)), gradient

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4, 4), (-12, 12)])
    return Temperature(round(float(np.exp(best.x[0])), 6), round(float(best.x[1]), 6))


def fit_isotonic(scores: Floats, right: Bools) -> Isotonic:
    """The rising curve of least squared error over at most 50 bins of equal count."""
    from scipy.optimize import isotonic_regression

    order = np.argsort(scores, kind="stable")
    bins = np.array_split(order, min(MOST_KNOTS, max(1, len(order) // 10)))
    centres = np.array([np.mean(scores[b]) for b in bins])
    shares = np.array([(np.sum(right[b]) + 0.5) / (len(b) + 1) for b in bins])
    rising = isotonic_regression(shares, weights=np.array([len(b) for b in bins], dtype=np.float64)).x
    knots = np.round(np.clip(np.stack([np.maximum.accumulate(centres), rising]), 0, 1), 6)
    inside_a_flat = np.zeros(knots.shape[1], dtype=bool)
    inside_a_flat[1:-1] = (knots[1, 1:-1] == knots[1, :-2]) & (knots[1, 1:-1] == knots[1, 2:])
    kept = knots[:, ~inside_a_flat]
    return Isotonic(tuple(kept[0].tolist()), tuple(kept[1].tolist()))


def fit_curve(scores: Floats, right: Bools, fold: Ints) -> Curve:
    """The better of both kinds by squared error on the fold that it was not fitted on; a temperature where few."""
    if min(np.count_nonzero(right), np.count_nonzero(~right)) < ENOUGH_FOR_ISOTONIC or len(np.unique(fold)) < 2:
        return fit_temperature(scores, right)
    errors = [
        sum(
            float(np.sum((fit(scores[fold != f], right[fold != f]).apply(scores[fold == f]) - right[fold == f]) ** 2))
            for f in np.unique(fold)
        )
        for fit in (fit_temperature, fit_isotonic)
    ]
    return fit_temperature(scores, right) if errors[0] <= errors[1] else fit_isotonic(scores, right)


@dataclass(frozen=True)
class Reliability:
    """In each of ten bins of stated probability: how many, their mean statement, the share that was right."""

    count: Ints
    stated: Floats
    observed: Floats

    @property
    def error(self) -> float:
        """Expected calibration error: the mean gap between stated and observed, weighted by count; NaN of nothing."""
        total = self.count.sum()
        return float(np.sum(self.count * np.abs(self.stated - self.observed)) / total) if total else float("nan")

    def to_json(self) -> list[dict[str, float | int]]:
        """One object a bin that holds something."""
        rows = zip(self.count, self.stated, self.observed, strict=True)
        return [
            {"count": int(n), "stated": round(float(s), 6), "observed": round(float(o), 6)} for n, s, o in rows if n
        ]


def reliability(probabilities: Floats, right: Bools, weights: Floats | None = None) -> Reliability:
    """Bin stated probabilities [N] against what was right [N]."""
    place = np.clip((np.asarray(probabilities) * BINS).astype(np.int64), 0, BINS - 1)
    weights = np.ones(len(place)) if weights is None else weights
    count = np.bincount(place, weights=weights, minlength=BINS)
    safe = np.maximum(count, 1e-12)
    stated = np.bincount(place, weights=weights * probabilities, minlength=BINS) / safe
    observed = np.bincount(place, weights=weights * right, minlength=BINS) / safe
    return Reliability(count, stated, observed)


def _sigmoid(logits: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(0.5 * logits))
    return result
