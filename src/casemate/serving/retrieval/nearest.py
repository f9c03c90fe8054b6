"""The nearest vectors of several shards: bits counted over all rows, the promising ones scored exactly.

Rules. The answer is a function of the set of (key, vector) that take part and of the query: not of how they are spread
over shards and segments, in which order they were added, what was removed before, nor on how many threads work. So what
did not take part cannot be told from it. Nothing is trained and nothing is kept between two searches. Up to
`EXACT_ROWS` rows, all are scored. Above, the rows whose sketches are the nearest are; then all those within the number
of bits that a row as near as the k-th found so far would need (97.7 %, by the law of sketches, whatever the data is
like), up to `SCORED_MAX`. A row that is hidden or dead is not counted anywhere. Ties are broken by key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import pairwise
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.sketches import (
    BITS,
    bits_for,
    cosines,
    differing,
    pointer,
    query_sketch,
    query_whole,
    whole,
)
from casemate.serving.retrieval.vector_segments import Segment
from casemate.store.cores import cores

K_MAX = 1024
EXACT_ROWS = 4096
FIRST_ROWS = 1024
SCORED_MAX = 24_576
_THREAD_ROWS_MIN = 32_768
_OUT = BITS + 1
_FEW = 4  # of so many rows one: it's quicker to gather those than to count the bits of all

_T = TypeVar("_T")
_R = TypeVar("_R")


@dataclass(frozen=True, eq=False)
class Part:
    """A segment in a search, of which `count` rows take part.

    All but the `hidden` ones, or, where few take part, only `rows` (ascending; nothing else is then looked at).
    """

    segment: Segment
    count: int
    hidden: npt.NDArray[np.bool_] | None = None
    rows: npt.NDArray[np.intp] | None = None

    @classmethod
    def whole(cls, segment: Segment) -> Part:
        """All of a segment that is not dead."""
        return cls(segment, segment.live, segment.dead)

    @classmethod
    def masked(cls, segment: Segment, allowed: npt.NDArray[np.bool_]) -> Part:
        """Of a segment what `allowed`, one for each live row, shows."""
        count = int(np.count_nonzero(allowed))
        if count * _FEW <= segment.rows:
            rows = np.flatnonzero(allowed)
            return cls(segment, count, rows=rows if segment.dead is None else segment.live_rows()[rows])
        if segment.dead is None:
            return cls(segment, count, ~allowed)
        hidden = segment.dead.copy()
        hidden[~segment.dead] = ~allowed
        return cls(segment, count, hidden)

    @cached_property
    def length(self) -> int:
        """How many numbers it has in a search."""
        return self.segment.rows if self.rows is None else len(self.rows)

    def shown(self) -> npt.NDArray[np.intp]:
        """The numbers of what takes part."""
        return np.arange(self.length) if self.hidden is None else np.flatnonzero(~self.hidden)

    def differ(self, query: Any, out: npt.NDArray[np.int32]) -> None:
        """Write in how many bits each differs from the sketch at `query`; more than all for what is hidden."""
        if self.rows is None:
            differing(self.segment.pointer, len(out), query, pointer(out))
        else:
            chosen = self.segment.sketches.take(self.rows, axis=0, mode="clip")
            differing(pointer(chosen), len(out), query, pointer(out))
        if self.hidden is not None:
            np.copyto(out, _OUT, where=self.hidden)


@dataclass(frozen=True, eq=False)
class Scored:
    """Rows, numbered through all parts, and their cosines."""

    rows: npt.NDArray[np.intp]
    cosines: npt.NDArray[np.float32]


class Field:
    """The parts of one search, their rows numbered through."""

    def __init__(self, parts: Sequence[Part], query_D: npt.NDArray[np.float64]) -> None:
        """Take the parts and a query of unit length."""
        self.parts = parts
        self.starts = np.concatenate([[0], np.cumsum([part.length for part in parts], dtype=np.intp)])
        self._cuts: list[int] = self.starts.tolist()
        self.count = sum(part.count for part in parts)
        self._exact = query_whole(query_D)
        self._sketch = query_sketch(whole(query_D))

    def nearest(self, k: int) -> Scored:
        """The k (at most `K_MAX`) nearest rows, and those that tie with the last of them, in no order."""
        if self.count <= EXACT_ROWS:
            shown = [start + part.shown() for part, start in zip(self.parts, self.starts[:-1], strict=True)]
            return _best(self._scored(np.concatenate(shown)), k)
        bits = np.empty(self.starts[-1], np.int32)
        counts = sum(_crew_map(lambda span: self._count_bits(bits, span), self._spans()))
        reach = np.cumsum(np.asarray(counts)[:_OUT])
        near = int(np.searchsorted(reach, max(FIRST_ROWS, 4 * k)))
        found = self._scored(self._promising(bits, near, reach))
        kth = float(np.partition(found.cosines, len(found.cosines) - k)[-k])
        far = min(bits_for(kth), int(np.searchsorted(reach, SCORED_MAX, side="right")) - 1)
        if far > near:
            more = self._scored(np.flatnonzero((bits > near) & (bits <= far)))
            rows, scores = np.concatenate([found.rows, more.rows]), np.concatenate([found.cosines, more.cosines])
            found = Scored(rows, scores)
        return _best(found, k)

    def named(self, found: Scored) -> Iterator[tuple[str, int, float]]:
        """For each row its key, the number of its part, and its cosine."""
        numbers = np.searchsorted(self.starts, found.rows, side="right") - 1
        own = (found.rows - self.starts[numbers]).tolist()
        for number, row, cosine in zip(numbers.tolist(), own, found.cosines.tolist(), strict=True):
            part = self.parts[number]
            key = part.segment.keys[row if part.rows is None else part.rows[row]]
            yield key.decode("utf-8"), number, cosine

    def _spans(self) -> list[range]:
        """The parts in as many runs of about as many rows as there are threads to use."""
        total = int(self.starts[-1])
        crew = max(1, min(cores(), total // _THREAD_ROWS_MIN))
        cuts = [int(np.searchsorted(self.starts, total * turn / crew)) for turn in range(crew + 1)]
        return [range(low, high) for low, high in pairwise(cuts) if high > low]

    def _count_bits(self, bits: npt.NDArray[np.int32], span: range) -> npt.NDArray[np.intp]:
        query = pointer(self._sketch)
        for number in span:
            self.parts[number].differ(query, bits[self._cuts[number] : self._cuts[number + 1]])
        return np.bincount(bits[self.starts[span.start] : self.starts[span.stop]], minlength=_OUT + 1)

    def _promising(self, bits: npt.NDArray[np.int32], near: int, reach: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:
        """The rows within `near` bits; of more than can be scored, those in the last of these bits are taken by key."""
        if reach[near] <= SCORED_MAX:
            return np.flatnonzero(bits <= near)
        sure, last = np.flatnonzero(bits < near), np.flatnonzero(bits == near)
        keys = np.concatenate([part.segment.keys[own] for part, own, _, _ in self._split(last)])
        return np.concatenate([sure, last[np.argsort(keys, kind="stable")[: SCORED_MAX - len(sure)]]])

    def _scored(self, rows: npt.NDArray[np.intp]) -> Scored:
        return Scored(rows, np.concatenate([_NONE, *_crew_map(self._cosines, _slices(rows))]))

    def _cosines(self, rows: npt.NDArray[np.intp]) -> npt.NDArray[np.float32]:
        taken = np.empty((len(rows), len(self._exact)), np.int16)
        for part, own, low, high in self._split(rows):
            part.segment.kept.take(own, axis=0, out=taken[low:high], mode="clip")
        return cosines(taken, self._exact)

    def _split(self, rows: npt.NDArray[np.intp]) -> Iterator[tuple[Part, npt.NDArray[np.intp], int, int]]:
        """Ascending numbered rows as rows of the segment of each part that has some, and which of `rows` these are."""
        cuts = np.searchsorted(rows, self.starts)
        counts = np.diff(cuts)
        own, ends = rows - np.repeat(self.starts[:-1], counts), cuts.tolist()
        for number in np.flatnonzero(counts).tolist():
            part, low, high = self.parts[number], ends[number], ends[number + 1]
            numbers = own[low:high]
            yield part, numbers if part.rows is None else part.rows[numbers], low, high


_NONE = np.empty(0, np.float32)


def _best(found: Scored, k: int) -> Scored:
    if len(found.rows) <= k:
        return found
    kth = np.partition(found.cosines, len(found.cosines) - k)[-k]
    chosen = found.cosines >= kth
    return Scored(found.rows[chosen], found.cosines[chosen])


def _slices(rows: npt.NDArray[np.intp]) -> list[npt.NDArray[np.intp]]:
    return np.array_split(rows, cores()) if len(rows) >= _SLICED_MIN else [rows]


_SLICED_MIN = 512


def _crew_map(work: Callable[[_T], _R], items: Sequence[_T]) -> Iterable[_R]:
    """The results in order, by threads where there are several items."""
    return _crew(os.getpid()).map(work, items) if len(items) > 1 else map(work, items)


@cache
def _crew(_process: int) -> ThreadPoolExecutor:  # a process that was forked has none of its parent's threads
    return ThreadPoolExecutor(cores(), thread_name_prefix="nearest")
