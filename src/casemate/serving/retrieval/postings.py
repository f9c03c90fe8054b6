"""Postings of one field of a segment: for each term the rows that have it, and how often.

Rules. Terms are found by the first 64 bits of their SHA-256 and told apart by their spelling, so that two terms that
share those bits stay two. Rows rise within a term. Statistics are integers and are never rounded: rows, term counts and
lengths add up over segments and shards to what one index over all of them would hold.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.arrays import ListedArray, read_array

COUNT_MAX = 65_535
ARRAYS = ("hashes", "spelled", "spelled_at", "starts", "rows", "counts", "lengths")


@dataclass(frozen=True, eq=False)
class Postings:
    """The terms of a field, sorted by hash: `starts[t]:starts[t + 1]` are the postings of term t.

    `spelled[spelled_at[t]:spelled_at[t + 1]]` is its spelling in UTF-8, `lengths` are the terms of each row.
    """

    hashes: npt.NDArray[np.uint64]
    spelled: npt.NDArray[np.uint8]
    spelled_at: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    counts: npt.NDArray[np.uint16]
    lengths: npt.NDArray[np.int32]

    def find(self, terms: Sequence[str]) -> list[slice | None]:
        """Where the postings of each term are; None for a term that no row has."""
        hashes = np.array([hash_of(term) for term in terms], np.uint64)
        places = np.searchsorted(self.hashes, hashes)
        return [self._exactly(term, int(place), one) for term, place, one in zip(terms, places, hashes, strict=True)]

    def _exactly(self, term: str, place: int, sought: np.uint64) -> slice | None:
        spelling = term.encode()
        while place < len(self.hashes) and self.hashes[place] == sought:
            if self.spelling(place) == spelling:
                return slice(int(self.starts[place]), int(self.starts[place + 1]))
            place += 1
        return None

    def spelling(self, place: int) -> bytes:
        """How a term is spelled."""
        return self.spelled[self.spelled_at[place] : self.spelled_at[place + 1]].tobytes()

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Its arrays by name."""
        return {name: getattr(self, name) for name in ARRAYS}


def hash_of(term: str) -> int:
    """The first 64 bits of a term's SHA-256."""
    return int.from_bytes(hashlib.sha256(term.encode()).digest()[:8], "big")


def build(documents: Iterable[Sequence[str]]) -> Postings:
    """The postings of rows given as their terms, in order."""
    vocabulary: dict[str, int] = {}
    flat, lengths = array("i"), array("i")
    for terms in documents:
        flat.extend([vocabulary.setdefault(term, len(vocabulary)) for term in terms])
        lengths.append(len(terms))
    sizes = np.frombuffer(lengths, np.int32) if lengths else np.empty(0, np.int32)
    tokens = np.frombuffer(flat, np.int32) if flat else np.empty(0, np.int32)
    rows = np.repeat(np.arange(len(sizes), dtype=np.int64), sizes)
    return _packed(list(vocabulary), tokens, rows, np.ones(len(tokens), np.int64), sizes.copy())


def merged(parts: Sequence[tuple[Postings, npt.NDArray[np.int64]]], rows: int) -> Postings:
    """One field's postings from several: each with where its rows go (-1: nowhere) among `rows`."""
    vocabulary: dict[str, int] = {}
    lengths = np.zeros(rows, np.int32)
    tokens, places, counts = [], [], []
    for part, target in parts:
        kept = target >= 0
        lengths[target[kept]] = part.lengths[kept]
        spellings = (part.spelling(place).decode() for place in range(len(part.hashes)))
        numbers = np.array([vocabulary.setdefault(term, len(vocabulary)) for term in spellings], np.int32)
        moved = target[part.rows]
        live = moved >= 0
        tokens.append(np.repeat(numbers, np.diff(part.starts))[live])
        places.append(moved[live])
        counts.append(part.counts[live].astype(np.int64))
    return _packed(list(vocabulary), np.concatenate(tokens), np.concatenate(places), np.concatenate(counts), lengths)


def read(folder: Path, field: str, listed: Mapping[str, ListedArray]) -> Postings:
    """The postings of a field in a segment's folder."""
    return Postings(**{name: read_array(folder, f"{field}-{name}", listed) for name in ARRAYS})


def _packed(
    vocabulary: Sequence[str],
    tokens: npt.NDArray[Any],
    rows: npt.NDArray[Any],
    counts: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int32],
) -> Postings:
    """Postings of (token, row, count) triples; equal (token, row) pairs are counted together."""
    used = np.zeros(len(vocabulary), np.bool_)
    used[tokens] = True
    terms = sorted((hash_of(term), term.encode(), n) for n, term in enumerate(vocabulary) if used[n])
    rank = np.zeros(len(vocabulary), np.int64)
    rank[[n for _, _, n in terms]] = np.arange(len(terms))
    width = max(1, len(lengths))
    pairs = rank[tokens] * width + rows
    order = np.argsort(pairs, kind="stable")
    pairs = pairs[order]
    first = np.flatnonzero(np.diff(pairs, prepend=-1))
    totals = np.add.reduceat(counts[order], first) if len(first) else np.empty(0, np.int64)
    kept = pairs[first]
    starts = np.searchsorted(kept // width, np.arange(len(terms) + 1))
    spelled = b"".join(spelling for _, spelling, _ in terms)
    return Postings(
        hashes=np.array([h for h, _, _ in terms], np.uint64),
        spelled=np.frombuffer(spelled, np.uint8),
        spelled_at=np.cumsum([0, *(len(spelling) for _, spelling, _ in terms)], dtype=np.int64),
        starts=starts.astype(np.int64),
        rows=(kept % width).astype(np.int32),
        counts=np.minimum(totals, COUNT_MAX).astype(np.uint16),
        lengths=lengths,
    )
