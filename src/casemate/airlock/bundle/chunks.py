"""Files cut where their content says so, so that the same bytes are found again wherever an edit has moved them.

Rules. Content-defined chunking (FastCDC) over windows of a file: memory is a window, whatever the size. A table keeps
16 bytes a chunk; what it finds is a hint, and the bytes are compared before anything rests on it.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

_WINDOW_BYTES = 8 << 20
_LEAST_AVERAGE_BYTES = 4 << 10
_GREATEST_AVERAGE_BYTES = 1 << 20
_CHUNKS_AIMED = 1 << 20
_SIEVE = (1 << 23) - 15
_ROW = struct.Struct(">QQ")


def average_for(size: int) -> int:
    """The average chunk, in bytes, for files of `size` bytes: a power of two, so that there are about a million."""
    average = _LEAST_AVERAGE_BYTES
    while average * _CHUNKS_AIMED < size and average < _GREATEST_AVERAGE_BYTES:
        average *= 2
    return average


def chunks_of(
    fd: int, size: int, average: int, on_window: Callable[[bytes], None] | None = None
) -> Iterator[tuple[int, memoryview]]:
    """Offset and bytes of each chunk of the first `size` bytes; `on_window` hears all bytes in order."""
    from fastcdc.fastcdc_cy import fastcdc_cy

    least, most = average // 4, average * 4
    held, start, read = b"", 0, 0
    while read < size or held:
        window = os.pread(fd, min(_WINDOW_BYTES, size - read), read)
        if not window and read < size:
            return  # shorter than it was: its digest will not be the expected one
        read += len(window)
        if on_window:
            on_window(window)
        held, used, at_end = held + window, 0, read == size
        view = memoryview(held)
        for chunk in fastcdc_cy(held, least, average, most):
            if not at_end and chunk.offset + most > len(held):
                break  # it could end elsewhere with what follows
            used = chunk.offset + chunk.length
            yield start + chunk.offset, view[chunk.offset : used]
        held, start = held[used:], start + used


def key_of(chunk: memoryview) -> int:
    """A 64-bit hash of a chunk, by which others like it are looked for."""
    return int.from_bytes(hashlib.sha256(chunk).digest()[:8], "big")


@dataclass(frozen=True)
class Base:
    """An object that the destination has, as a file here."""

    file: Path
    size: int


class ChunkTable:
    """Where each chunk of some bases is: rows of (hash, base, offset), found by hash."""

    def __init__(self, bases: Sequence[Base], fds: Sequence[int], average: int) -> None:
        rows = bytearray()
        self._perhaps = bytearray(_SIEVE)  # most of what is new is told from it at once
        for number, (base, fd) in enumerate(zip(bases, fds, strict=True)):
            for offset, chunk in chunks_of(fd, base.size, average):
                key = key_of(chunk)
                self._perhaps[key % _SIEVE] = 1
                rows += _ROW.pack(key, number << 56 | offset)
        table: np.ndarray[Any, Any] = np.frombuffer(rows, ">u8").reshape(-1, 2)
        order = np.argsort(table[:, 0], kind="stable")
        self._keys, self._places = (table[order, column].astype(np.uint64) for column in (0, 1))

    def find(self, chunk: memoryview) -> tuple[int, int] | None:
        """Base and offset of the first chunk with the same hash."""
        key = key_of(chunk)
        if not self._perhaps[key % _SIEVE]:
            return None
        first = int(np.searchsorted(self._keys, np.uint64(key)))
        if first == len(self._keys) or int(self._keys[first]) != key:
            return None
        found = int(self._places[first])
        return found >> 56, found & ((1 << 56) - 1)
