"""One order from two: how well a passage matches by its words, and by its meaning.

Rules. Words are measured absolutely: what a passage attains of the BM25 that the query could attain at most, and which
share of the query's weight it has. So where no passage has the words of a question, as people put theirs, words are few
everywhere and meaning decides; where one has them all, words do. Meaning is measured by the search itself, for cosines
say little by themselves: its mean and its deviation among its best CANDIDATES, which are among what the reader sees;
sums are exact (math.fsum), so that the order in which parts were read changes nothing. A passage without a vector (its
shard has none by this embedder) is taken to mean as well as it matches. Where no passage has one, there is nothing to
weigh words against, and BM25 alone orders. ADR 0009 says on what WORDS and SHARE were chosen.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

CANDIDATES = 100
WORDS = 10.0
SHARE = 4.0
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
    """The scale of the best of these scores; of one score or none, everything is 0 on it."""
    best = sorted(scores, reverse=True)[:CANDIDATES]
    if len(best) < 2:
        return Scale(best[0] if best else 0.0, 1.0)
    mean = math.fsum(best) / len(best)
    variance = math.fsum((score - mean) ** 2 for score in best) / len(best)
    return Scale(mean, max(math.sqrt(variance), _LEAST_DEVIATION))


@dataclass(frozen=True)
class Match:
    """How a passage matches: which share it has of the attainable BM25 and of the query's weight, and its cosine."""

    attained: float
    share: float
    dense: float | None


@dataclass(frozen=True)
class Fusion:
    """The scales of one search; `meaning` is None where no passage has a vector."""

    words: Scale
    meaning: Scale | None

    @classmethod
    def of(cls, matches: Sequence[Match]) -> Fusion:
        """The scales of a search that has these candidates."""
        cosines = [match.dense for match in matches if match.dense is not None]
        words = scale_of([match.attained for match in matches if match.attained > 0])
        return cls(words, scale_of(cosines) if cosines else None)

    def score(self, match: Match) -> float:
        """The score by which hits are ordered."""
        if self.meaning is None:
            return WORDS * match.attained
        meaning = self.meaning_of(match)
        return WORDS * match.attained + SHARE * match.share + (self.words_of(match) if meaning is None else meaning)

    def words_of(self, match: Match) -> float:
        """By how many deviations a passage stands out by its words."""
        return self.words.of(match.attained)

    def meaning_of(self, match: Match) -> float | None:
        """By how many deviations a passage stands out by its meaning; None without a vector."""
        return None if match.dense is None or self.meaning is None else self.meaning.of(match.dense)
