"""Keeping a shard's vectors the vectors of its passages: missing pieces embedded, those of nobody removed.

Rules. Whatever was there before, the vectors of an embedder are afterwards exactly those of the pieces of the passages
that are there. An embedder that is not at hand can only lose vectors: if it lacks some, it is not listed as complete.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.serving.retrieval.embedding import Embedder
from casemate.serving.retrieval.fields import piece_digest, pieces
from casemate.serving.retrieval.segments import Segment, open_segment
from casemate.serving.retrieval.shard import alive_rows, vector_folder
from casemate.serving.retrieval.shard_head import VECTORS, Head
from casemate.serving.retrieval.vectors import Vectors

BATCH_PIECES = 1024
_WIDTH = np.dtype("S32")

Names = npt.NDArray[np.bytes_]


def reconcile(
    folder: Path, head: Head, embedders: Mapping[str, Embedder], *, among: Collection[str], check: bool
) -> dict[str, tuple[str, ...]]:
    """Bring the vectors of all embedders in line with the passages of `head`; which are complete, and for what.

    `among` are those that were complete before; `check` reads their bytes, and starts again from none if they are bad.
    """
    kept = {path.name for path in (folder / VECTORS).iterdir()} if (folder / VECTORS).is_dir() else set()
    names = {*embedders, *among}
    by_folder = {vector_folder(folder, name).name: name for name in names}
    wanted = _pieces(folder, head)
    complete = {}
    for place in sorted(kept | set(by_folder)):
        name = by_folder.get(place, place)
        if _brought(folder, head, folder / VECTORS / place, wanted, embedders.get(name), check=check):
            complete[name] = tuple(head.entries)
    return complete


def _brought(folder: Path, head: Head, place: Path, wanted: Names, embedder: Embedder | None, *, check: bool) -> bool:
    """Bring one embedder's vectors in line; whether they are complete."""
    vectors = _held(place, embedder, check=check)
    there = vectors.keys.astype(_WIDTH)
    extra, missing = np.setdiff1d(there, wanted), np.setdiff1d(wanted, there)
    if len(extra):
        vectors = vectors.update(remove=[key.decode() for key in extra.tolist()])
    if check:
        vectors = vectors.merge()  # what was taken out leaves the files too: it was made from a text
    if not len(missing):
        return True
    if embedder is None:
        return False
    for keys, texts in _batches(folder, head, missing):
        rows = embedder.embed(texts, query=False)
        said = np.flatnonzero(np.any(rows != 0, axis=1))  # a text of which a model says nothing is like nothing
        vectors = vectors.update(add=([keys[n] for n in said], rows[said]))
    return True


def _held(place: Path, embedder: Embedder | None, *, check: bool) -> Vectors:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        vectors = Vectors.open(place)
        if check:
            vectors.check()
    except BadInput:
        if embedder is not None:  # the number of the generation goes on, so that no reader takes a new one for an old
            return Vectors.build(place, [], np.empty((0, embedder.dim), np.float32))
        _emptied(place)
        vectors = Vectors.open(place)
    return vectors


def _emptied(place: Path) -> None:
    """Nothing but the lock: what is here can be made again."""
    for file in place.iterdir():
        if file.name != "lock":
            file.unlink()


def _pieces(folder: Path, head: Head) -> Names:
    """The pieces of all passages that are there, sorted, each once."""
    found = [segment.pieces[_of_rows(segment, rows)] for segment, rows in _live(folder, head)]
    return np.unique(np.concatenate(found)) if found else np.empty(0, _WIDTH)


def _batches(folder: Path, head: Head, missing: Names) -> Iterator[tuple[list[str], list[str]]]:
    """The pieces to embed, each once, in batches: their keys and texts."""
    left = set(missing.tolist())
    keys: list[str] = []
    texts: list[str] = []
    for segment, rows in _live(folder, head):
        lacking = np.isin(segment.pieces, missing)
        for row in rows[np.logical_or.reduceat(lacking, segment.pieces_at[:-1])[rows]].tolist():
            for text in pieces(segment.passage(row, _Anything(), None)):  # type: ignore[arg-type]
                key = piece_digest(text)
                if key in left:
                    left.discard(key)
                    keys.append(key.decode())
                    texts.append(text)
            if len(keys) >= BATCH_PIECES:
                yield keys, texts
                keys, texts = [], []
    if keys:
        yield keys, texts


class _Anything(dict[str, str]):
    """The projects of passages of which nobody asks the project."""

    def __missing__(self, key: str) -> str:
        return key


def _live(folder: Path, head: Head) -> Iterator[tuple[Segment, npt.NDArray[np.intp]]]:
    for listed in head.segments:
        alive = alive_rows(folder, listed)
        rows = np.arange(listed.rows) if alive is None else np.flatnonzero(alive)
        yield open_segment(folder / listed.name), rows


def _of_rows(segment: Segment, rows: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    """Which of a segment's pieces are of these rows."""
    shown = np.zeros(segment.rows, np.bool_)
    shown[rows] = True
    return np.repeat(shown, np.diff(segment.pieces_at))
