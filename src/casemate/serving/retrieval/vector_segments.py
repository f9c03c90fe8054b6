"""Segments: vectors that were written together, sorted by key, with their keys and sketches.

Rules. A segment is written once, in blocks, and digested from the very bytes that were written; what is removed later
is listed beside it. Keys are text of 1 to 512 bytes in UTF-8 without NUL; their order as bytes is their order as text.
What is merged is copied and never rounded again, so that a vector's score doesn't depend on what it went through.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.serving.retrieval.mapped import mapped
from casemate.serving.retrieval.sketches import SKETCH_BYTES, pointer, sketched, unit_rows, whole
from casemate.serving.retrieval.vector_list import ListedFile, ListedSegment
from casemate.store.digest import Digest

KEY_BYTES_MAX = 512
_BLOCK_ROWS = 16_384

Keys = npt.NDArray[np.bytes_]
"""Keys as bytes in UTF-8, NumPy's `S` of the longest."""
Block = tuple[npt.NDArray[np.int16], npt.NDArray[np.uint8]]
"""Some rows and their sketches."""


@dataclass(frozen=True, eq=False)
class Segment:
    """A segment as a reader holds it: `kept` vectors are int16 (n, dim); `dead` is None where no row is."""

    listed: ListedSegment
    keys: Keys
    kept: npt.NDArray[np.int16]
    sketches: npt.NDArray[np.uint8]
    dead: npt.NDArray[np.bool_] | None

    @property
    def rows(self) -> int:
        """Rows, dead ones too."""
        return self.listed.rows

    @property
    def live(self) -> int:
        """Rows that are not dead."""
        return self.listed.rows - self.listed.dead_rows

    @cached_property
    def pointer(self) -> Any:
        """Where its sketches begin, for `sketches.differing`."""
        return pointer(self.sketches)

    def live_rows(self) -> npt.NDArray[np.intp]:
        """The numbers of the live rows."""
        return np.arange(self.rows) if self.dead is None else np.flatnonzero(~self.dead)

    def find(self, sought: Keys) -> npt.NDArray[np.intp]:
        """The numbers of the rows, dead or not, that have one of these keys."""
        fitting = sought[np.strings.str_len(sought) <= self.listed.key_bytes].astype(self.keys.dtype)
        places = np.minimum(np.searchsorted(self.keys, fitting), self.rows - 1)
        return np.unique(places[self.keys[places] == fitting])


def as_keys(keys: Sequence[str], thing: object) -> Keys:
    """Keys as bytes; one that is empty, too long, not text or there twice is BadInput that names `thing`."""
    coded = []
    for key in keys:
        try:
            code = key.encode("utf-8")
        except UnicodeEncodeError as why:
            raise BadInput(thing, expected="keys that are text", found=repr(key)) from why
        if not 0 < len(code) <= KEY_BYTES_MAX or b"\0" in code:
            raise BadInput(thing, expected=f"keys of 1 to {KEY_BYTES_MAX} bytes without NUL", found=repr(key[:80]))
        coded.append(code)
    return np.array(coded, dtype=f"S{max(map(len, coded), default=1)}")


def write_added(folder: Path, name: str, keys: Keys, rows_ND: npt.NDArray[np.floating[Any]]) -> ListedSegment:
    """A new segment of these keys and vectors, in whatever order they come."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise BadInput(folder, expected="each key once", found=f"{keys[twice[0]].decode()!r} twice")

    def blocks() -> Iterator[Block]:
        for start in range(0, len(order), _BLOCK_ROWS):
            block = whole(unit_rows(rows_ND[order[start : start + _BLOCK_ROWS]], folder))
            yield block, sketched(block)

    return _write(folder, name, keys, rows_ND.shape[1], blocks())


def write_merged(folder: Path, name: str, segments: Sequence[Segment]) -> ListedSegment:
    """A new segment of the live rows of these."""
    rows = [segment.live_rows() for segment in segments]
    keys = np.concatenate([segment.keys[own] for segment, own in zip(segments, rows, strict=True)])
    source = np.repeat(np.arange(len(segments)), [len(own) for own in rows])
    row = np.concatenate(rows)
    order = np.argsort(keys, kind="stable")
    dim = segments[0].kept.shape[1]

    def blocks() -> Iterator[Block]:
        for start in range(0, len(order), _BLOCK_ROWS):
            chosen = order[start : start + _BLOCK_ROWS]
            block = np.empty((len(chosen), dim), np.int16)
            sketches = np.empty((len(chosen), SKETCH_BYTES), np.uint8)
            for number_of, segment in enumerate(segments):
                here = np.flatnonzero(source[chosen] == number_of)
                block[here] = segment.kept[row[chosen[here]]]
                sketches[here] = segment.sketches[row[chosen[here]]]
            yield block, sketches

    return _write(folder, name, keys[order], dim, blocks())


def write_dead(folder: Path, name: str, rows: npt.NDArray[np.intp]) -> ListedFile:
    """The list of a segment's dead rows."""
    with _NewArray(folder, f"{name}.dead.npy", np.dtype("<u4"), rows.shape) as file:
        file.write(rows.astype("<u4"))
    return file.listed()


def open_segment(folder: Path, listed: ListedSegment, dim: int) -> Segment:
    """A segment that the list names; what is not as listed is BadInput that names the file."""
    keys = _opened(folder, listed.keys, f"S{listed.key_bytes}", (listed.rows,))
    whole_ND = _opened(folder, listed.vectors, "<i2", (listed.rows, dim))
    sketches = _opened(folder, listed.sketches, "|u1", (listed.rows, SKETCH_BYTES))
    return Segment(listed, keys, whole_ND, sketches, _dead_mask(folder, listed))


def _dead_mask(folder: Path, listed: ListedSegment) -> npt.NDArray[np.bool_] | None:
    if not listed.dead:
        return None
    rows = _opened(folder, listed.dead, "<u4", (listed.dead_rows,))
    mask = np.zeros(listed.rows, np.bool_)
    mask[rows[rows < listed.rows]] = True
    if np.count_nonzero(mask) != listed.dead_rows:
        expected = f"{listed.dead_rows} different rows under {listed.rows}"
        raise BadInput(folder / listed.dead.name, expected=expected, found=f"{np.count_nonzero(mask)}")
    return mask


def _opened(folder: Path, listed: ListedFile, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    return mapped(folder / listed.name, listed.size, np.dtype(dtype), shape)


def check_digest(folder: Path, listed: ListedFile) -> None:
    """Read a file whole; bytes other than those that were written are BadInput."""
    found = Digest.of_file(folder / listed.name).hex
    if found != listed.sha256:
        raise BadInput(folder / listed.name, expected=listed.sha256, found=found)


def _write(folder: Path, name: str, keys: Keys, dim: int, blocks: Iterator[Block]) -> ListedSegment:
    rows = len(keys)
    with (
        _NewArray(folder, f"{name}.keys.npy", keys.dtype, (rows,)) as key_file,
        _NewArray(folder, f"{name}.vectors.npy", np.dtype("<i2"), (rows, dim)) as vector_file,
        _NewArray(folder, f"{name}.sketches.npy", np.dtype("|u1"), (rows, SKETCH_BYTES)) as sketch_file,
    ):
        key_file.write(keys)
        for block, sketches in blocks:
            vector_file.write(block)
            sketch_file.write(sketches)
    files = (key_file.listed(), vector_file.listed(), sketch_file.listed())
    return ListedSegment(rows, keys.dtype.itemsize, *files)


class _NewArray:
    """A `.npy` file written in blocks of rows and digested as it is written."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any], shape: tuple[int, ...]) -> None:
        self._name, self._size, self._state = name, 0, hashlib.sha256()
        self._stream = (folder / name).open("xb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self, header)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def write(self, data: npt.NDArray[Any] | bytes) -> int:
        """Append bytes or an array."""
        view = np.ascontiguousarray(data).view(np.uint8).data.cast("B") if isinstance(data, np.ndarray) else data
        self._stream.write(view)
        self._state.update(view)
        self._size += len(view)
        return len(view)

    def listed(self) -> ListedFile:
        """What was written, as a list names it."""
        return ListedFile(self._name, self._size, self._state.hexdigest())
