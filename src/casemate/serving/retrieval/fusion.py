"""One order from two: how well a passage matches by its words, and by its meaning.

Rules. Each list of scores is standardised by the mean and the deviation of its own best CANDIDATES, which are among
what the reader sees; sums are exact (math.fsum), so that the order in which parts were read changes nothing. Both count
the same. A passage without a vector (its shard has none by this embedder) is taken to mean as well as it matches.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CANDIDATES = 100
_LEAST_DEVIATION = 1e-9


@dataclass(frozen=True)
class Scale:
    """What a score is measured by: how many deviations it is above the mean."""

    mean: float
    deviation: float

    def of(self, score: float) -> float:
        """A score on this scale."""
        return (score - self.mean) / self.deviation


def scale_of(scores: Sequence[float]) -> Scale:
    """The scale of the best scores of a list; of one score or none, everything is 0 on it."""
    if len(scores) < 2:
        return Scale(scores[0] if scores else 0.0, 1.0)
    mean = math.fsum(scores) / len(scores)
    variance = math.fsum((score - mean) ** 2 for score in scores) / len(scores)
    return Scale(mean, max(math.sqrt(variance), _LEAST_DEVIATION))


def fused(lexical: float, dense: float | None, scales: tuple[Scale, Scale]) -> float:
    """The score by which hits are ordered."""
    words = scales[0].of(lexical)
    meaning = words if dense is None else scales[1].of(dense)
    return words + meaning
