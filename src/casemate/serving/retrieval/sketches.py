"""Vectors as whole numbers, and their sketches: the signs of a fixed random projection, compared by counting bits.

Rules. Nothing here is learned from data: the projection follows from the number of dimensions alone (SHAKE-256 gives
its signs), so a sketch says nothing of any other vector, and sketches of different shards compare. All is exact
arithmetic on whole numbers that fit their type, so neither the order of sums, nor a BLAS, nor the number of threads
changes one bit of a sketch or of a score. Two vectors at an angle of a differ in each bit with probability a/π.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput

BITS = 512
SKETCH_BYTES = BITS // 8
DIM_MAX = 65_536  # 32767 · √dim stays under 2²⁴: float32 adds whole numbers exactly up to there
UNIT = 32_767
_QUERY_UNIT = 1 << 22  # 2¹⁵ · 2²² · √dim stays far under 2⁵³: float64 adds whole numbers exactly up to there
_SLACK_SD = (
    2.0  # standard deviations of a sketch's distance that are allowed for: 97.7 % of the vectors as near as that
)
_BLOCK_ROWS = 16_384


def unit_rows(rows_ND: npt.NDArray[np.floating[Any]], thing: object) -> npt.NDArray[np.float64]:
    """Rows of length 1 in float64; a row that is not finite or has no length is BadInput that names `thing`."""
    rows = np.asarray(rows_ND, dtype=np.float64)
    lengths = np.sqrt(np.add.reduce(rows * rows, axis=1))
    wrong = np.flatnonzero(~(np.isfinite(lengths) & (lengths > 0)))
    if len(wrong):
        found = f"length {lengths[wrong[0]]} in row {wrong[0]}"
        raise BadInput(thing, expected="finite vectors of a length above 0", found=found)
    return np.asarray(rows / lengths[:, None])


def whole(rows_ND: npt.NDArray[np.float64]) -> npt.NDArray[np.int16]:
    """Rows of unit length as they are kept: int16, 32767 standing for 1."""
    return np.rint(rows_ND * UNIT).astype(np.int16)


def sketched(whole_ND: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """The sketches of kept rows, uint8 (n, 64)."""
    out = np.empty((len(whole_ND), SKETCH_BYTES), np.uint8)
    signs = _signs(whole_ND.shape[1])
    for start in range(0, len(whole_ND), _BLOCK_ROWS):
        block = whole_ND[start : start + _BLOCK_ROWS].astype(np.float32)
        out[start : start + _BLOCK_ROWS] = np.packbits(block @ signs > 0, axis=1)
    return out


def query_sketch(whole_D: npt.NDArray[np.int16]) -> npt.NDArray[np.uint8]:
    """The sketch of one vector, uint8 (64,): the same bits as `sketched`, without BLAS."""
    return np.packbits(np.einsum("d,db->b", whole_D.astype(np.float32), _signs(len(whole_D))) > 0)


def query_whole(unit_D: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """A query as whole numbers in float64, finer than rows are kept."""
    return np.asarray(np.rint(unit_D * _QUERY_UNIT))


def cosines(whole_ND: npt.NDArray[np.int16], query_D: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Cosines of kept rows and a `query_whole`: an exact sum, rounded once to float32."""
    sums = np.einsum("nd,d->n", whole_ND, query_D)  # not BLAS: its threads and ours would wait for one another
    return np.asarray(sums / float(UNIT * _QUERY_UNIT), dtype=np.float32)


def bits_for(cosine: float) -> int:
    """Within how many differing bits a vector of this cosine is found, but for the slack of `_SLACK_SD`."""
    share = math.acos(max(-1.0, min(1.0, cosine))) / math.pi
    return min(BITS, math.ceil(BITS * share + _SLACK_SD * math.sqrt(BITS * share * (1 - share))))


def pointer(array: npt.NDArray[Any]) -> Any:
    """Where a contiguous array begins, for `differing`; the caller keeps the array."""
    return _faiss()[0](array)


def differing(sketches: Any, rows: int, query: Any, out: Any) -> None:
    """Write to int32 `out` in how many bits each of `rows` contiguous sketches differs from the query's (pointers)."""
    _faiss()[1](query, sketches, 1, rows, SKETCH_BYTES, out)


@cache
def _faiss() -> tuple[Callable[..., Any], Callable[..., Any]]:
    faiss: Any = import_module("faiss")  # late: it takes 0.1 s; by name: its stubs don't know `hammings`
    return faiss.swig_ptr, faiss.hammings


@cache
def _signs(dim: int) -> npt.NDArray[np.float32]:
    """The projection: −1 and 1, float32 (dim, bits)."""
    drawn = hashlib.shake_256(f"casemate sketch 1: {dim} dimensions".encode()).digest(dim * SKETCH_BYTES)
    bits = np.unpackbits(np.frombuffer(drawn, np.uint8)).reshape(dim, BITS)
    return bits.astype(np.float32) * 2 - 1
