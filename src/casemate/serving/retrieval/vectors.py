"""Dense vectors of one shard for one embedder: add, remove, search; several shards searched as one.

Rules. Nothing above the reader takes part: whoever calls opens the shards that the reader sees, and a search reads
those and no others. Nothing in a shard depends on another shard: rows are rounded one by one, sketches follow from the
number of dimensions alone, and there is no training, no centroid, no number of probes, no cache. Candidates, scores,
their order and the order of work follow from the set of vectors that take part (nearest.py), so a search over several
shards is equal, to the last bit, to one over a single shard of the same vectors. A `Vectors` is one generation: readers
keep it while writers put the next in force. Writers exclude one another; one that is killed leaves the generation
before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.serving.retrieval.nearest import K_MAX, Field, Part
from casemate.serving.retrieval.sketches import unit_rows
from casemate.serving.retrieval.vector_list import LIST, VectorList, read_list
from casemate.serving.retrieval.vector_segments import Segment, as_keys, check_digest, open_segment
from casemate.serving.retrieval.vector_writing import Added, next_generation

_TRIES = 100


@dataclass(frozen=True)
class Near:
    """A vector near a query: its key, its cosine and the place of its shard among those searched."""

    key: str
    cosine: float
    shard: int


@dataclass(frozen=True, eq=False)
class Vectors:
    """One generation of a shard's vectors; `dim` is 0 while nothing was ever written."""

    folder: Path
    listed: VectorList
    segments: tuple[Segment, ...] = field(repr=False)

    @classmethod
    def open(cls, folder: Path, *, dim: int | None = None) -> Vectors:
        """The generation in force; files that are not as listed, or of other than `dim` dimensions, are BadInput."""
        for _ in range(_TRIES):
            listed = read_list(folder)
            try:
                opened = _open(folder, listed)
            except BadInput:
                if read_list(folder) == listed:  # else a writer has put the next in force, and swept this one
                    raise
                continue
            if dim is not None and listed.dim not in {0, dim}:
                raise BadInput(folder / LIST, expected=f"{dim} dimensions", found=f"{listed.dim}")
            return opened
        raise RuntimeError(f"{folder}: {_TRIES} generations while opening one")

    @classmethod
    def build(cls, folder: Path, keys: Sequence[str], rows_ND: npt.NDArray[np.floating[Any]]) -> Vectors:
        """Put these vectors in force in place of all that were there, damaged or not; readers keep what they opened."""
        added = Added.of(folder, keys, rows_ND)
        with next_generation(folder, afresh=True) as draft:
            draft.add(added)
        return cls.open(folder)

    def update(
        self,
        *,
        add: tuple[Sequence[str], npt.NDArray[np.floating[Any]]] | None = None,
        remove: Collection[str] = (),
    ) -> Vectors:
        """The next generation: without `remove` (unknown keys are passed over), then with `add` (known keys replaced).

        It starts from the generation in force, which may be later than this one.
        """
        added = Added.of(self.folder, *add) if add else None
        gone = as_keys(sorted(remove), self.folder)
        with next_generation(self.folder) as draft:
            if len(gone):
                draft.remove(gone)
            if added:
                draft.add(added)
            draft.tidy()
        return Vectors.open(self.folder)

    def merge(self) -> Vectors:
        """The next generation with all in one segment: the same answers from fewer files."""
        with next_generation(self.folder) as draft:
            if len(draft.segments) > 1 or any(segment.dead for segment in draft.segments):
                draft.merge(0, len(draft.segments))
        return Vectors.open(self.folder)

    def latest(self) -> Vectors:
        """The generation in force: this very one if it still is."""
        return self if read_list(self.folder) == self.listed else Vectors.open(self.folder)

    def check(self) -> None:
        """Read every file whole; bytes that are not those that were written are BadInput that names the file."""
        for segment in self.listed.segments:
            for file in segment.files():
                check_digest(self.folder, file)

    @property
    def dim(self) -> int:
        """Dimensions of the vectors."""
        return self.listed.dim

    def __len__(self) -> int:
        """Vectors that are there."""
        return sum(segment.live for segment in self.segments)

    @cached_property
    def keys(self) -> npt.NDArray[np.bytes_]:
        """The keys that are there, in UTF-8; the order to which `allowed` of a search belongs."""
        parts = [segment.keys[segment.live_rows()] for segment in self.segments]
        return np.concatenate(parts) if parts else np.empty(0, "S1")

    @cached_property
    def parts(self) -> list[Part]:
        """What of it takes part in a search that allows everything."""
        return [Part.whole(segment) for segment in self.segments]

    def mask(self, keys: Collection[str]) -> npt.NDArray[np.bool_]:
        """Which of `self.keys` are among `keys`, for `allowed`."""
        sought = as_keys(list(keys), self.folder)
        parts = [_found(segment, sought) for segment in self.segments]
        return np.concatenate(parts) if parts else np.empty(0, np.bool_)

    def search(
        self, query_D: npt.NDArray[np.floating[Any]], k: int, allowed: npt.NDArray[np.bool_] | None = None
    ) -> list[tuple[str, float]]:
        """The k nearest keys and their cosines, nearest first; only those that `allowed` (one for each key) shows."""
        return [(near.key, near.cosine) for near in search_shards([self], query_D, k, [allowed])]


def search_shards(
    shards: Sequence[Vectors],
    query_D: npt.NDArray[np.floating[Any]],
    k: int,
    allowed: Sequence[npt.NDArray[np.bool_] | None] | None = None,
) -> list[Near]:
    """The k nearest of all these shards, nearest first, ties by key and then by place; `allowed` has one a shard."""
    if k > K_MAX:
        raise BadInput("search of vectors", expected=f"at most {K_MAX} asked for", found=k)
    query = unit_rows(np.asarray(query_D)[None], "query")[0]
    masks = allowed if allowed is not None else [None] * len(shards)
    parts: list[Part] = []
    owner: list[int] = []
    fitting = (0, len(query))
    for place, (shard, mask) in enumerate(zip(shards, masks, strict=True)):
        if shard.listed.dim not in fitting:
            raise BadInput(shard.folder / LIST, expected=f"{len(query)} dimensions", found=f"{shard.dim}")
        own = shard.parts if mask is None else _parts(shard, mask)
        parts += own
        owner += [place] * len(own)
    if k < 1 or not parts:
        return []
    searched = Field(parts, query)
    near = [Near(key, cosine, owner[part]) for key, part, cosine in searched.named(searched.nearest(k))]
    return sorted(near, key=lambda one: (-one.cosine, one.key, one.shard))[:k]


def _parts(shard: Vectors, allowed: npt.NDArray[np.bool_]) -> list[Part]:
    if allowed.shape != (len(shard),) or allowed.dtype != np.bool_:
        found = f"{allowed.dtype} {allowed.shape}"
        raise BadInput(shard.folder, expected=f"a mask of {len(shard)} keys", found=found)
    parts, start = [], 0
    for segment in shard.segments:
        parts.append(Part.masked(segment, allowed[start : start + segment.live]))
        start += segment.live
    return [part for part in parts if part.count]


def _found(segment: Segment, sought: npt.NDArray[np.bytes_]) -> npt.NDArray[np.bool_]:
    among = np.zeros(segment.rows, np.bool_)
    among[segment.find(sought)] = True
    return among[segment.live_rows()]


def _open(folder: Path, listed: VectorList) -> Vectors:
    return Vectors(folder, listed, tuple(open_segment(folder, segment, listed.dim) for segment in listed.segments))
