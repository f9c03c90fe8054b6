"""Plain BM25 over a set's own documents: the reference beside which an embedder is shown, and who picks distractors.

Rules. Words without case and accents, no stemming, k1 1.2 and b 0.75; ties in the order of the documents. It is a
reference and nothing else: the site's own search is `casemate.serving.retrieval`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from math import log

from casemate.modalities.language.evaluation.words import folded

_K1, _B = 1.2, 0.75
_CHUNK_WORDS = 120


class Bm25:
    """Texts by their words."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Count the words of `texts`."""
        self._counts = [Counter(folded(text).split()) for text in texts]
        self._lengths = [sum(counts.values()) for counts in self._counts]
        self._mean = sum(self._lengths) / max(len(texts), 1) or 1.0
        self._documents = Counter(word for counts in self._counts for word in counts)

    def scores(self, query: str) -> list[float]:
        """The score of every text for a query."""
        words = [(word, self._rarity(word)) for word in dict.fromkeys(folded(query).split())]
        return [self._score(i, words) for i in range(len(self._counts))]

    def _rarity(self, word: str) -> float:
        within = self._documents[word]
        return log(1 + (len(self._counts) - within + 0.5) / (within + 0.5)) if within else 0.0

    def _score(self, i: int, words: Sequence[tuple[str, float]]) -> float:
        counts, norm = self._counts[i], _K1 * (1 - _B + _B * self._lengths[i] / self._mean)
        return sum(rarity * counts[word] * (_K1 + 1) / (counts[word] + norm) for word, rarity in words if counts[word])


def chunks(text: str, words: int = _CHUNK_WORDS) -> list[str]:
    """A text in pieces of so many words, the last no shorter than half of that where there are several."""
    told = text.split()
    if len(told) <= words * 3 // 2:
        return [" ".join(told)]
    pieces = [" ".join(told[i : i + words]) for i in range(0, len(told), words)]
    if len(told) % words and len(told) % words < words // 2:
        pieces[-2:] = [" ".join(pieces[-2:])]
    return pieces
