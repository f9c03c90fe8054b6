"""Passages near a query by meaning: as near as the mean of their head and the nearest piece of their text.

Rules. Candidates are told by the pieces of their text, which begin with the head. The nearest CANDIDATES passages are
found exactly as far as the vectors' own search is exact, however pieces are shared among passages and shards: pieces
are asked for until no further one could change the list, or until there may be no more. Ties are broken by the
passage's name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.nearest import K_MAX
from casemate.serving.retrieval.segments import Bools, Segment
from casemate.serving.retrieval.sketches import cosines, query_whole, unit_rows
from casemate.serving.retrieval.vectors import Near, Vectors, search_shards

_PIECES_FIRST = 4


@dataclass(frozen=True, eq=False)
class DensePart:
    """A part that has vectors: `vectors` are those of its shard, `shown` the rows that may be found (None: all)."""

    segment: Segment
    vectors: Vectors
    shown: Bools | None


@dataclass(frozen=True, eq=False)
class Dense:
    """A query's vector over the parts of a search; None for a part whose shard has no vectors by this embedder."""

    query: npt.NDArray[np.float32]
    parts: Sequence[DensePart | None]

    def nearest(self, limit: int) -> list[tuple[int, int, bytes, float]]:
        """The passages that have the nearest pieces: part, row, name, that piece's cosine, the nearest first."""
        shards = list({id(p.vectors): p.vectors for p in self.parts if p is not None and len(p.vectors)}.values())
        masks = [self._mask(vectors) for vectors in shards]
        asked = min(_PIECES_FIRST * limit, K_MAX)
        while True:
            near = search_shards(shards, self.query, asked, masks)
            found = self._passages(shards, near)[:limit]
            whole = len(near) < asked or asked == K_MAX
            if whole or (len(found) == limit and found[-1][3] > near[-1].cosine):
                return found
            asked = min(4 * asked, K_MAX)

    def cosines(self, part: int, rows: Iterable[int]) -> list[float | None]:
        """How near each of some rows of a part is, None where it has no vector."""
        held = self.parts[part]
        if held is None:
            return [None for _ in rows]
        pieces = [held.segment.pieces_of(row) for row in rows]
        known = _cosines(held.vectors, sorted({piece for row in pieces for piece in row}), self.query)
        return [_nearness([known.get(piece) for piece in row]) for row in pieces]

    def _passages(self, shards: Sequence[Vectors], near: Sequence[Near]) -> list[tuple[int, int, bytes, float]]:
        best: dict[tuple[int, int], float] = {}
        for place, vectors in enumerate(shards):
            mine = [one for one in near if one.shard == place]
            digests = [one.key.encode() for one in mine]
            for n, part in enumerate(self.parts):
                if part is None or part.vectors is not vectors or not mine:
                    continue
                for one, rows in zip(mine, part.segment.rows_of_pieces(digests), strict=True):
                    for row in rows.tolist():
                        if (part.shown is None or part.shown[row]) and (n, row) not in best:
                            best[n, row] = one.cosine  # the nearest come first
        named = [(n, row, self._name(n, row), cosine) for (n, row), cosine in best.items()]
        return sorted(named, key=lambda one: (-one[3], one[2]))

    def _name(self, part: int, row: int) -> bytes:
        held = self.parts[part]
        return b"" if held is None else bytes(held.segment.columns["names"][row])

    def _mask(self, vectors: Vectors) -> Bools | None:
        """Which vectors may be found: those of pieces of rows that may; None for all."""
        mine = [part for part in self.parts if part is not None and part.vectors is vectors]
        if all(part.shown is None for part in mine):
            return None
        shown = []
        for part in mine:
            rows = np.ones(part.segment.rows, np.bool_) if part.shown is None else part.shown
            shown.append(part.segment.pieces[np.repeat(rows, np.diff(part.segment.pieces_at))])
        return np.isin(vectors.keys.astype("S32"), np.concatenate(shown))


def _nearness(cosines_of: Sequence[float | None]) -> float | None:
    """The mean of the cosines of the head and of the nearest of the other pieces; of one where there is but one."""
    head = cosines_of[0]
    rest = max((cosine for cosine in cosines_of[1:] if cosine is not None), default=None)
    return rest if head is None else head if rest is None else (head + rest) / 2


def _cosines(vectors: Vectors, keys: Sequence[bytes], query_D: npt.NDArray[np.float32]) -> Mapping[bytes, float]:
    """The cosines of those of some pieces that have a vector."""
    query = query_whole(unit_rows(np.asarray(query_D)[None], "query")[0])
    found: dict[bytes, float] = {}
    for segment in vectors.segments:
        rows = segment.find(np.array(keys, "S32")) if keys else np.empty(0, np.intp)
        live = rows if segment.dead is None else rows[~segment.dead[rows]]
        scores = cosines(segment.kept[live], query).tolist()
        found |= zip((bytes(key) for key in segment.keys[live].tolist()), scores, strict=True)
    return found
