"""Passages that say the same as a better one: told by the words that they share.

Rules. Two passages are near-duplicates where the sets of their terms share at least SAME_SHARE of their union. It is
decided among the hits of one search, from the best down, so that the better one stays, whatever else there is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from casemate.serving.retrieval.analysis import words
from casemate.serving.retrieval.passages import Passage

SAME_SHARE = 0.9

_T = TypeVar("_T")


def distinct(ranked: Iterable[tuple[Passage, _T]]) -> Iterator[tuple[Passage, _T]]:
    """Those of ranked passages that do not say the same as one before them."""
    kept: list[frozenset[str]] = []
    for passage, rest in ranked:
        said = frozenset(words(passage.text))
        if not any(_same(said, other) for other in kept):
            kept.append(said)
            yield passage, rest


def _same(one: frozenset[str], other: frozenset[str]) -> bool:
    shared = len(one & other)
    return shared >= SAME_SHARE * (len(one) + len(other) - shared)
