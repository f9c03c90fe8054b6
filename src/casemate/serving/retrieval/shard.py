"""One shard: the passages of one marking, as their reader opened them.

Rules. A shard is one generation: its files stay as they are while a reader holds it. A document set that the catalog
does not show to the reader takes no part, though the shard may still list it: what was raised a moment ago is gone at
once, from statistics too. A shard that was never written, or in another format, is empty.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.markings import Marking
from casemate.serving.retrieval.mapped import mapped
from casemate.serving.retrieval.passages import Passage
from casemate.serving.retrieval.segments import Bools, Segment, open_segment
from casemate.serving.retrieval.shard_head import VECTORS, Head, ListedSegment, read_head
from casemate.serving.retrieval.vectors import Vectors

_TRIES = 100
_HEADER_BYTES = 128  # of the .npy files that are written here


@dataclass(frozen=True, eq=False)
class Part:
    """A segment of a shard and which of its rows take part (None: all)."""

    segment: Segment
    alive: Bools | None

    @cached_property
    def live(self) -> int:
        """How many rows take part."""
        return int(self.segment.rows if self.alive is None else np.count_nonzero(self.alive))

    def length(self, field: str) -> int:
        """How many terms of a field there are in the rows that take part."""
        lengths = self.segment.fields[field].lengths
        return int(np.sum(lengths if self.alive is None else lengths[self.alive], dtype=np.int64))

    def frequency(self, field: str, place: slice) -> int:
        """In how many rows that take part a term is."""
        if self.alive is None:
            return int(place.stop - place.start)
        return int(np.count_nonzero(self.alive[self.segment.fields[field].rows[place]]))


@dataclass(frozen=True, eq=False)
class Shard:
    """The generation of a shard that was in force when it was opened."""

    folder: Path
    marking: Marking
    head: Head
    parts: tuple[Part, ...]

    def passage(self, part: Part, row: int) -> Passage:
        """A passage of one of its parts."""
        return part.segment.passage(row, self.projects, self.marking)

    @cached_property
    def projects(self) -> Mapping[str, str]:
        """The project of each document set."""
        return {entry: listed.project for entry, listed in self.head.entries.items()}

    def vectors(self, embedder: str) -> Vectors | None:
        """Its vectors by an embedder, None where there are none; opened once."""
        if embedder not in self._vectors:
            folder = vector_folder(self.folder, embedder)
            self._vectors[embedder] = Vectors.open(folder) if folder.is_dir() else None
        return self._vectors[embedder]

    @cached_property
    def _vectors(self) -> dict[str, Vectors | None]:
        return {}


def open_shard(folder: Path, marking: Marking, *, entries: Collection[str] | None = None) -> Shard:
    """The shard in `folder` as it is now, of which only `entries` take part (None: all of its own)."""
    for _ in range(_TRIES):
        head = read_head(folder)
        try:
            parts = _parts(folder, head, entries)
        except BadInput:
            if read_head(folder) == head:  # else a writer has put the next in force, and swept this one
                raise
            continue
        return Shard(folder, marking, head, parts)
    raise RuntimeError(f"{folder}: {_TRIES} generations while opening one")


def vector_folder(shard: Path, embedder: str) -> Path:
    """Where a shard keeps its vectors by an embedder, whose name is a digest."""
    name = embedder.removeprefix("sha256:")
    if not (name.isascii() and name.isalnum()):
        raise BadInput("embedder", expected="a digest as its name", found=repr(embedder))
    return shard / VECTORS / name


def alive_rows(folder: Path, listed: ListedSegment) -> Bools | None:
    """Which rows of a segment are not dead; None where none is."""
    if not listed.dead:
        return None
    size = _HEADER_BYTES + 4 * listed.dead_rows
    dead: npt.NDArray[Any] = mapped(folder / listed.dead, size, np.dtype("<i4"), (listed.dead_rows,))
    alive = np.ones(listed.rows, np.bool_)
    alive[dead] = False
    return alive


def _parts(folder: Path, head: Head, entries: Collection[str] | None) -> tuple[Part, ...]:
    shown = set(head.entries) if entries is None else set(entries)
    hidden = sorted(entry.encode() for entry in head.entries if entry not in shown)
    parts = []
    for listed in head.segments:
        segment = open_segment(folder / listed.name)
        alive = alive_rows(folder, listed)
        if hidden:
            seen = ~np.isin(segment.columns["entries"], np.array(hidden))
            alive = seen if alive is None else alive & seen
        parts.append(Part(segment, alive))
    return tuple(part for part in parts if part.live)
