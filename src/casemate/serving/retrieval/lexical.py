"""Exact BM25 over the shards that a reader opened, as one index over their passages would give it, to the last bit.

Source: Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009). A passage's score is
the sum of its BM25 in each field: the whole passage, and its title and heading once more by themselves.

Rules. N, lengths and frequencies are integers, summed over the parts that take part. A passage's score is made of
float64 operations on those sums and on its own integers, element by element, in the order of fields and then of terms:
nothing depends on where the passage lies, on its neighbours, or on how many parts there are (ADR 0009). Ties are broken
by the passage's name. What a filter keeps out takes part in statistics, as it does in the reader's site, but is never a
candidate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.fields import FIELDS
from casemate.serving.retrieval.postings import Postings
from casemate.serving.retrieval.segments import Bools
from casemate.serving.retrieval.shard import Part

K1 = 1.2
B = 0.75
SPELLED = 0.5  # the weight of words that only stand behind an acronym of the query

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Term:
    """A term of the query in a field: its weight, and where its postings are in each part."""

    field: str
    text: str
    idf: float
    frequency: int
    places: tuple[slice | None, ...]


@dataclass(frozen=True)
class Found:
    """A row of a part, and its score."""

    part: int
    row: int
    name: bytes
    score: float


@dataclass(frozen=True, eq=False)
class Lexical:
    """A query over some parts; what its acronyms stand for (`spelled`, empty for nothing) weighs half."""

    query: str
    parts: Sequence[Part]
    spelled: str = ""

    @cached_property
    def passages(self) -> int:
        """How many passages take part."""
        return sum(part.live for part in self.parts)

    @cached_property
    def terms(self) -> tuple[Term, ...]:
        """The terms of the query that some passage has, in the order in which they are summed."""
        return tuple(term for field in FIELDS for term in (*self._asked[field], *self._added(field)) if term.frequency)

    @cached_property
    def _asked(self) -> Mapping[str, Sequence[Term]]:
        """The terms of the query in each field, those that no passage has too."""
        return {field: self._terms(field, FIELDS[field].query(self.query)) for field in FIELDS}

    @cached_property
    def attainable(self) -> float:
        """What a passage that has every term of the query everywhere and without end would score; 0 for no term."""
        asked = (term for field in FIELDS for term in self._asked[field])
        return sum(term.idf * (K1 + 1) for term in asked)

    def _added(self, field: str) -> list[Term]:
        """The terms that the query has only where its acronyms are spelled out."""
        if not self.spelled:
            return []
        own = {term.text for term in self._asked[field]}
        texts = [text for text in FIELDS[field].query(f"{self.query}\n{self.spelled}") if text not in own]
        return [replace(term, idf=term.idf * SPELLED) for term in self._terms(field, texts)]

    @cached_property
    def _mean_lengths(self) -> Mapping[str, float]:
        return {field: sum(part.length(field) for part in self.parts) / max(1, self.passages) for field in FIELDS}

    def _terms(self, field: str, texts: list[str]) -> list[Term]:
        if not texts:
            return []
        found = [part.segment.fields[field].find(texts) for part in self.parts]
        terms = []
        for n, text in enumerate(texts):
            places = tuple(row[n] for row in found)
            pairs = zip(self.parts, places, strict=True)
            frequency = sum(part.frequency(field, place) for part, place in pairs if place is not None)
            terms.append(Term(field, text, idf(self.passages, frequency), frequency, places))
        return terms

    def best(self, limit: int, allowed: Sequence[Bools | None]) -> list[Found]:
        """The `limit` best passages that `allowed` (one mask a part, None: all) lets pass, the best first."""
        kept: list[Found] = []
        floor = 0.0
        for n, (part, mask) in enumerate(zip(self.parts, allowed, strict=True)):
            scores = self._all_scores(n)
            for hidden in (part.alive, mask):
                if hidden is not None:
                    scores[~hidden] = 0
            rows = _at_least(scores, floor, limit)
            names = part.segment.columns["names"][rows].tolist()
            kept += map(Found, [n] * len(rows), rows.tolist(), names, scores[rows].tolist())
            kept = sorted(kept, key=lambda f: (-f.score, f.name))[:limit]
            if len(kept) == limit:
                floor = kept[-1].score
        return kept

    def scores(self, part: int, rows: Rows) -> Floats:
        """The scores of some rows of a part, equal to the last bit to those that `best` gives them."""
        total = np.zeros(len(rows), np.float64)
        for term in self.terms:
            place = term.places[part]
            if place is not None:
                held = self.parts[part].segment.fields[term.field]
                at, there = _positions(held.rows[place], rows)
                total[there] += self._gain(term, held, rows[there], held.counts[place][at])
        return total

    def shares(self, part: int, rows: Rows) -> Floats:
        """For each of some rows which share of the query it has: the idf of its terms over that of all of them."""
        total, there_of = 0.0, np.zeros(len(rows), np.float64)
        for term in self._asked["all"]:
            total += term.idf
            place = term.places[part]
            if place is not None:
                _, there = _positions(self.parts[part].segment.fields["all"].rows[place], rows)
                there_of[there] += term.idf
        return there_of / total if total else there_of

    def _all_scores(self, n: int) -> Floats:
        total = np.zeros(self.parts[n].segment.rows, np.float64)
        for term in self.terms:
            place = term.places[n]
            if place is not None:
                held = self.parts[n].segment.fields[term.field]
                rows = held.rows[place]
                total[rows] += self._gain(term, held, rows, held.counts[place])
        return total

    def _gain(
        self, term: Term, held: Postings, rows: npt.NDArray[np.integer], counts: npt.NDArray[np.uint16]
    ) -> Floats:
        """What a term adds to the score of rows that have it `counts` times."""
        times = counts.astype(np.float64)
        lengths = held.lengths[rows].astype(np.float64)
        norm = lengths * (K1 * B / self._mean_lengths[term.field]) + K1 * (1 - B)
        return np.asarray(times * (term.idf * (K1 + 1)) / (times + norm))


def idf(passages: int, frequency: int) -> float:
    """How telling a term is that `frequency` of `passages` have; above 0 even where all have it."""
    return math.log(1 + (passages - frequency + 0.5) / (frequency + 0.5))


def _positions(held: npt.NDArray[np.int32], sought: Rows) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where in `held`, which rises, those of `sought` are that are there, and which of `sought` these are."""
    at = np.minimum(np.searchsorted(held, sought), len(held) - 1)
    there = np.flatnonzero(held[at] == sought)
    return at[there], there


def _at_least(scores: Floats, floor: float, limit: int) -> npt.NDArray[np.intp]:
    """The rows above 0 that can be among the `limit` best: those as good as the last of these, ties too."""
    rows = np.flatnonzero(scores >= floor) if floor > 0 else np.flatnonzero(scores)
    if len(rows) > limit:
        bar = np.partition(scores[rows], len(rows) - limit)[len(rows) - limit]
        rows = rows[scores[rows] >= bar]
    return rows
