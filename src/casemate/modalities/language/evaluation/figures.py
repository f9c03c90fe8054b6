"""Figures with the ends of their 95 % intervals.

Rules. A share of things that did or did not happen has Wilson's interval, which stays honest when nothing happened in
few trials: nobody may read "0 of 8" as "never". A mean of other figures has a percentile bootstrap interval over the
questions; none where there is one question, and Wilson's ends where all are 0 or all are 1, of which no draw can show
anything else. Of no trial at all there is no figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

_Z = 1.959963984540054
_ENDS = (2.5, 97.5)


@dataclass(frozen=True)
class Figure:
    """A value and the ends of its interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None
    of: int = 0

    def to_json(self) -> dict[str, Any]:
        """As scores.json holds it."""
        return {"value": self.value, "low": self.low, "high": self.high, "of": self.of}


NOT_EVALUATED = Figure()


def share(happened: int, trials: int) -> Figure:
    """A share with Wilson's interval (E. B. Wilson, 1927)."""
    if not trials:
        return NOT_EVALUATED
    p, spread = happened / trials, _Z * _Z / trials
    middle = (p + spread / 2) / (1 + spread)
    half = _Z * sqrt(p * (1 - p) / trials + spread / (4 * trials)) / (1 + spread)
    low, high = max(0.0, middle - half), min(1.0, middle + half)
    return Figure(p, 0.0 if happened == 0 else low, 1.0 if happened == trials else high, trials)


def mean(values: Sequence[float], *, resamples: int, seed: int) -> Figure:
    """A mean with its bootstrap interval over `values`."""
    return ratio(values, [1.0] * len(values), resamples=resamples, seed=seed)


def ratio(tops: Sequence[float], bottoms: Sequence[float], *, resamples: int, seed: int) -> Figure:
    """A sum over a sum (edits over characters, right citations over citations), drawn by pairs."""
    top, bottom = np.asarray(tops, float), np.asarray(bottoms, float)
    if not len(top) or not bottom.sum():
        return NOT_EVALUATED
    value = float(top.sum() / bottom.sum())
    if len(top) == 1 or not resamples:
        return Figure(value, of=len(top))
    if value in {0.0, 1.0} and np.array_equal(top, value * bottom):
        return share(round(value * len(top)), len(top))
    drawn = np.random.default_rng(seed).integers(0, len(top), size=(resamples, len(top)))
    sums, wholes = top[drawn].sum(axis=1), bottom[drawn].sum(axis=1)
    low, high = np.percentile(sums[wholes > 0] / wholes[wholes > 0], _ENDS)
    return Figure(value, float(low), float(high), len(top))
