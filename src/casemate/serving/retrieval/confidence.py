"""How likely a passage answers a query, from facts that its reader sees.

Rules. A number in [0, 1] that means the same from one search to the next, unlike a score. It is a logistic curve over
three facts of the passage in its search: which share of the query's words it has (by their idf), how far it stands out
from the other candidates by its words, and by its meaning. The constants were fitted on questions with and without an
answer among the documents (bench/retrieval.py --calibrate; docs/retrieval.md says on which); they are a judgement, so
whoever refuses by it chooses a threshold for their documents.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Facts:
    """What is known of a hit: `words` and `meaning` are on the scales of its search (fusion.py)."""

    share: float
    words: float
    meaning: float | None


@dataclass(frozen=True)
class Curve:
    """A logistic curve: its offset, and the weight of each fact."""

    offset: float
    share: float
    words: float
    meaning: float


WITH_MEANING = Curve(-4.9, 0.0, 0.6, 0.5)
WORDS_ALONE = Curve(-5.0, 0.6, 0.8, 0.0)


def confidence(facts: Facts) -> float:
    """How likely it is that the passage answers."""
    curve = WORDS_ALONE if facts.meaning is None else WITH_MEANING
    x = curve.offset + curve.share * facts.share + curve.words * facts.words + curve.meaning * (facts.meaning or 0.0)
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, x))))
