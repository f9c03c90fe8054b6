"""Segments: passages that were written together, sorted by name, with their postings and the facts that filters ask.

Rules. A segment is a folder, written once and renamed into place whole; what is removed later is listed beside it. Its
`segment.json` says what its arrays are. Merging keeps integers as they are, so that statistics and scores do not depend
on how passages came to be together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from casemate.errors import BadInput
from casemate.markings import Marking
from casemate.serving.retrieval import postings
from casemate.serving.retrieval.arrays import ListedArray, read_array, write_arrays
from casemate.serving.retrieval.fields import FIELDS, FORMAT, piece_digest, pieces
from casemate.serving.retrieval.passages import Passage, passage_of, record_of
from casemate.serving.retrieval.postings import Postings

LIST = "segment.json"
_LIST_BYTES_MAX = 1 << 20
_COLUMNS = ("names", "entries", "documents", "kinds", "languages", "dates")

Bools = npt.NDArray[np.bool_]


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    format: str
    rows: int
    arrays: dict[str, ListedArray]


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment as a reader holds it; arrays are read when they are asked for, and then kept."""

    folder: Path
    rows: int
    listed: Mapping[str, ListedArray]
    columns: Mapping[str, npt.NDArray[Any]]
    fields: Mapping[str, Postings]
    texts: npt.NDArray[np.uint8]
    texts_at: npt.NDArray[np.int64]

    @cached_property
    def pieces(self) -> npt.NDArray[np.bytes_]:
        """The digests of all pieces, row after row: the head first, then those of the text."""
        return read_array(self.folder, "pieces", self.listed)

    @cached_property
    def pieces_at(self) -> npt.NDArray[np.int64]:
        """Where the pieces of each row begin."""
        return read_array(self.folder, "pieces_at", self.listed)

    @cached_property
    def _by_piece(self) -> tuple[npt.NDArray[np.bytes_], npt.NDArray[np.int32]]:
        names, rows = (read_array(self.folder, name, self.listed) for name in ("piece_names", "piece_rows"))
        return names, rows

    def rows_of_pieces(self, digests: Sequence[bytes]) -> list[npt.NDArray[np.int32]]:
        """For each piece the rows of whose text it is one."""
        names, rows = self._by_piece
        sought = np.array(digests, "S32")
        left, right = (np.searchsorted(names, sought, side=side) for side in ("left", "right"))
        return [rows[a:b] for a, b in zip(left.tolist(), right.tolist(), strict=True)]

    def pieces_of(self, row: int) -> list[bytes]:
        """The digests of a row's pieces."""
        return self.pieces[self.pieces_at[row] : self.pieces_at[row + 1]].tolist()  # type: ignore[no-any-return]

    def passage(self, row: int, projects: Mapping[str, str], marking: Marking) -> Passage:
        """The passage of a row; `projects` are those of its entries."""
        record = json.loads(self.texts[self.texts_at[row] : self.texts_at[row + 1]].tobytes())
        entry = self.columns["entries"][row].decode()
        thing = f"passage {row} of {self.folder.name}"
        return passage_of(record, thing=thing, entry=entry, project=projects[entry], marking=marking)


def write_segment(folder: Path, passages: Sequence[Passage]) -> None:
    """Write the segment of these passages into `folder`, which exists and is empty."""
    ordered = sorted(passages, key=lambda p: p.order.encode())
    lines = [json.dumps(record_of(p), sort_keys=True, separators=(",", ":")).encode() for p in ordered]
    cut = [[piece_digest(piece) for piece in pieces(p)] for p in ordered]
    arrays = {
        "names": _strings([p.order for p in ordered]),
        "entries": _strings([p.entry for p in ordered]),
        "documents": _strings([p.document for p in ordered]),
        "kinds": _strings([p.kind for p in ordered]),
        "languages": _strings([p.language for p in ordered]),
        "dates": _strings([p.date[:10] for p in ordered]),
        "pieces": np.array([digest for row in cut for digest in row], "S32"),
        "pieces_at": _offsets([len(row) for row in cut]),
        "texts": np.frombuffer(b"".join(lines), np.uint8),
        "texts_at": _offsets([len(line) for line in lines]),
    }
    built = {name: postings.build([field.passage(p) for p in ordered]) for name, field in FIELDS.items()}
    _write(folder, len(ordered), arrays, built)


def write_merged(folder: Path, parts: Sequence[tuple[Segment, Bools | None]]) -> None:
    """Write the segment of what lives (None: all) in several, into `folder`, which exists and is empty."""
    live = [np.arange(s.rows) if alive is None else np.flatnonzero(alive) for s, alive in parts]
    owners = np.concatenate([np.full(len(rows), place) for place, rows in enumerate(live)])
    source = np.concatenate(live)
    names = np.concatenate([s.columns["names"][rows] for (s, _), rows in zip(parts, live, strict=True)])
    order = np.argsort(names, kind="stable")
    owners, source = owners[order], source[order]
    moved = []
    for place, (segment, _) in enumerate(parts):
        target = np.full(segment.rows, -1, np.int64)
        mine = np.flatnonzero(owners == place)
        target[source[mine]] = mine
        moved.append((segment, target))
    arrays = {name: _gathered([s.columns[name][r] for (s, _), r in zip(parts, live, strict=True)], order)
              for name in _COLUMNS}  # fmt: skip
    pairs = [(parts[place][0], row) for place, row in zip(owners.tolist(), source.tolist(), strict=True)]
    arrays |= _runs("pieces", [s.pieces[s.pieces_at[r] : s.pieces_at[r + 1]] for s, r in pairs], np.dtype("S32"))
    arrays |= _runs("texts", [s.texts[s.texts_at[r] : s.texts_at[r + 1]] for s, r in pairs], np.dtype(np.uint8))
    built = {f: postings.merged([(s.fields[f], target) for s, target in moved], len(source)) for f in FIELDS}
    _write(folder, len(source), arrays, built)


def open_segment(folder: Path) -> Segment:
    """The segment in a folder; BadInput where it is not whole or not of this format."""
    file = folder / LIST
    try:
        text = file.read_bytes()[:_LIST_BYTES_MAX]
        listed = _List.model_validate_json(text)
    except (FileNotFoundError, ValidationError) as why:
        raise BadInput(file, expected="the list of a segment", found=type(why).__name__) from why
    if listed.format != FORMAT:
        raise BadInput(file, expected=FORMAT, found=listed.format)
    columns = {name: read_array(folder, name, listed.arrays) for name in _COLUMNS}
    fields = {name: postings.read(folder, name, listed.arrays) for name in FIELDS}
    texts, texts_at = (read_array(folder, name, listed.arrays) for name in ("texts", "texts_at"))
    return Segment(folder, listed.rows, listed.arrays, columns, fields, texts, texts_at)


def _write(folder: Path, rows: int, arrays: dict[str, npt.NDArray[Any]], built: Mapping[str, Postings]) -> None:
    body = np.ones(len(arrays["pieces"]), np.bool_)
    body[arrays["pieces_at"][:-1]] = False  # the first of a row is its head, which all of its document have
    names = arrays["pieces"][body]
    row_of = np.repeat(np.arange(rows, dtype=np.int32), np.diff(arrays["pieces_at"]))[body]
    by_piece = np.argsort(names, kind="stable")
    arrays |= {"piece_names": names[by_piece], "piece_rows": row_of[by_piece]}
    for field, held in built.items():
        arrays |= {f"{field}-{name}": array for name, array in held.arrays().items()}
    listed = _List(format=FORMAT, rows=rows, arrays=write_arrays(folder, arrays))
    (folder / LIST).write_text(listed.model_dump_json(indent=1), encoding="ascii")


def _runs(name: str, runs: list[npt.NDArray[Any]], dtype: np.dtype[Any]) -> dict[str, npt.NDArray[Any]]:
    joined = np.concatenate(runs) if runs else np.empty(0, dtype)
    return {name: joined.astype(dtype, copy=False), f"{name}_at": _offsets([len(run) for run in runs])}


def _gathered(parts: Sequence[npt.NDArray[Any]], order: npt.NDArray[np.intp]) -> npt.NDArray[Any]:
    return np.asarray(np.concatenate(parts)[order])


def _strings(texts: Sequence[str]) -> npt.NDArray[np.bytes_]:
    """Texts as bytes in UTF-8, NumPy's `S` of the longest."""
    coded = [text.encode("utf-8", "replace") for text in texts]
    return np.array(coded, f"S{max(1, max(map(len, coded), default=1))}")


def _offsets(sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    return np.cumsum([0, *sizes], dtype=np.int64)


def blocks(passages: Iterator[Passage], size: int) -> Iterator[list[Passage]]:
    """Passages in lists of at most `size`."""
    held: list[Passage] = []
    for passage in passages:
        held.append(passage)
        if len(held) == size:
            yield held
            held = []
    if held:
        yield held
