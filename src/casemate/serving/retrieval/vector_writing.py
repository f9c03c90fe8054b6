"""Writing a shard's vectors: a generation is prepared beside the one in force and put in its place whole.

Rules. What is in force stays as it is until the new list is renamed over the old one; a writer that is killed before
leaves only files that the next one sweeps. Segments are merged so that each has more than twice the rows of all later
ones: a shard is a few files whatever its updates were. One with many dead rows is written again without them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.serving.retrieval.sketches import DIM_MAX
from casemate.serving.retrieval.vector_list import LIST, ListedSegment, VectorList, sweep, write_list, writing
from casemate.serving.retrieval.vector_segments import (
    Keys,
    as_keys,
    open_segment,
    write_added,
    write_dead,
    write_merged,
)
from casemate.store.staging import full_disk_named

_DEAD_SHARE_MAX = 0.25


@dataclass(frozen=True, eq=False)
class Added:
    """Vectors to add: keys, and float32 or float64 (n, dim) in their order."""

    keys: Keys
    vectors: npt.NDArray[np.floating[Any]]

    @classmethod
    def of(cls, folder: Path, keys: Sequence[str], rows_ND: npt.NDArray[np.floating[Any]]) -> Added:
        """Keys and rows that belong together, or BadInput."""
        shape = np.shape(rows_ND)
        if len(shape) != 2 or shape[0] != len(keys) or not 0 < shape[1] <= DIM_MAX:
            expected = f"{len(keys)} vectors of 1 to {DIM_MAX} dimensions"
            raise BadInput(folder, expected=expected, found=f"an array of {shape}")
        return cls(as_keys(keys, folder), rows_ND)


@contextmanager
def next_generation(folder: Path, *, afresh: bool = False) -> Iterator[Draft]:
    """A draft of the next generation; at the end it is put in force, if it is another than the one before."""
    with writing(folder, afresh=afresh) as before, full_disk_named(folder):
        draft = Draft(folder, before.generation + 1, before.dim, [] if afresh else list(before.segments))
        yield draft
        after = VectorList(draft.generation, draft.dim, tuple(draft.segments))
        if after.dim and (afresh or replace(after, generation=before.generation) != before):
            write_list(folder, after)
            sweep(folder, after)


@dataclass(eq=False)
class Draft:
    """The segments of a generation that is being prepared."""

    folder: Path
    generation: int
    dim: int
    segments: list[ListedSegment]
    _names: int = 0

    def remove(self, keys: Keys) -> None:
        """Take out the vectors of these keys, where they are there."""
        self.segments = [kept for segment in self.segments if (kept := self._without(segment, keys))]

    def add(self, added: Added) -> None:
        """Put vectors in, in place of those of the same keys."""
        dim = added.vectors.shape[1]
        if self.segments and self.dim != dim:
            raise BadInput(self.folder / LIST, expected=f"vectors of {self.dim} dimensions", found=f"{dim}")
        self.dim = dim
        if len(added.keys):
            self.remove(added.keys)
            self.segments.append(write_added(self.folder, self._name(), added.keys, added.vectors))

    def tidy(self) -> None:
        """Merge what is worth it."""
        for place, segment in enumerate(self.segments):
            if segment.dead_rows > segment.rows * _DEAD_SHARE_MAX:
                self.merge(place, place + 1)
        start = tail_to_merge([segment.rows - segment.dead_rows for segment in self.segments])
        if start < len(self.segments) - 1:
            self.merge(start, len(self.segments))

    def merge(self, start: int, end: int) -> None:
        """Write the segments from `start` to before `end` as one, without their dead rows."""
        opened = [open_segment(self.folder, segment, self.dim) for segment in self.segments[start:end]]
        self.segments[start:end] = [write_merged(self.folder, self._name(), opened)]

    def _without(self, listed: ListedSegment, keys: Keys) -> ListedSegment | None:
        segment = open_segment(self.folder, listed, self.dim)
        dead = np.zeros(listed.rows, np.bool_) if segment.dead is None else segment.dead.copy()
        dead[segment.find(keys)] = True
        count = int(np.count_nonzero(dead))
        if count in {listed.dead_rows, listed.rows}:
            return listed if count < listed.rows else None
        return replace(listed, dead_rows=count, dead=write_dead(self.folder, self._name(), np.flatnonzero(dead)))

    def _name(self) -> str:
        self._names += 1
        return f"{self.generation:08}-{self._names}"


def tail_to_merge(rows: Collection[int]) -> int:
    """From which segment on they are to be one: each before it has more than twice the rows of all later ones."""
    counts = list(rows)
    start, tail = len(counts) - 1, counts[-1] if counts else 0
    while start > 0 and counts[start - 1] <= 2 * tail:
        start -= 1
        tail += counts[start]
    return max(start, 0)
