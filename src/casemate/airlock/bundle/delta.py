"""What of a file the destination has already: ranges of its own objects, and the bytes between them.

Rules. Chunks that are the same are found by content, then every gap between two of them is compared byte by byte along
both its neighbours' alignments, so that an edit costs its own bytes and not its chunk's. Nothing rests on a hash: what
is called the same has been compared. Memory is bounded for any file: windows, a chunk table, at most so many extents.
The same files give the same answer.
"""

from __future__ import annotations

import hashlib
import os
from array import array
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casemate.airlock.bundle.chunks import Base, ChunkTable, average_for, chunks_of
from casemate.airlock.bundle.terms import EXTENTS_MAX
from casemate.errors import DigestMismatch
from casemate.store.digest import Digest, open_regular

_LEAST_RUN_BYTES = 256
_COMPARED_BYTES = 1 << 20
_LITERAL = -1
_WORTH = 0.9
_BYTES_AN_EXTENT = 24


@dataclass(frozen=True)
class Delta:
    """A file as extents: `[n]` for its own next n bytes, `[base, offset, n]` for bytes of a base; `starts` of `[n]`."""

    extents: tuple[tuple[int, ...], ...]
    literals: tuple[tuple[int, int], ...]

    @property
    def literal(self) -> int:
        """The bytes that must travel."""
        return sum(size for _, size in self.literals)


class _Extents:
    """Extents of a file in order, kept small: neighbours are joined, and short copies given up when there are many."""

    def __init__(self) -> None:
        self._rows = array("q")  # base or _LITERAL, offset in the base, size
        self._least = _LEAST_RUN_BYTES

    def add(self, base: int, offset: int, size: int) -> None:
        if size == 0:
            return
        if base != _LITERAL and size < self._least:
            base, offset = _LITERAL, 0
        rows = self._rows
        joins = len(rows) and rows[-3] == base and (base == _LITERAL or rows[-2] + rows[-1] == offset)
        if joins:
            rows[-1] += size
        else:
            rows.extend((base, offset, size))
        if len(rows) > 3 * EXTENTS_MAX:
            self._coarsen()

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        rows = self._rows
        return ((rows[i], rows[i + 1], rows[i + 2]) for i in range(0, len(rows), 3))

    def _coarsen(self) -> None:
        while len(self._rows) > 3 * EXTENTS_MAX // 2:
            self._least *= 4
            before, self._rows = list(self), array("q")
            for row in before:
                self.add(*row)


class _Matching:
    """One file against its bases: extents added from its start to its end."""

    def __init__(self, fd: int, size: int, bases: Sequence[Base], fds: Sequence[int]) -> None:
        self.extents = _Extents()
        self._fd, self._size, self._bases, self._fds = fd, size, bases, fds
        self._done = 0  # bytes of the file that extents say
        self._base, self._shift = 0, 0  # alignment of what was matched last: base offset less file offset

    def take(self, offset: int, chunk: memoryview, table: ChunkTable) -> None:
        """The next chunk of the file: where it would be if nothing moved, else where there is one like it."""
        if offset < self._done:
            return  # the comparison of a gap has been here
        hoped = (self._base, offset + self._shift)
        place = hoped if self._is_at(chunk, *hoped) else table.find(chunk)
        if place is None or (place != hoped and not self._is_at(chunk, *place)):
            return
        base, start = place
        self._fill(offset, base, start - offset)
        self.extents.add(base, start, len(chunk))
        self._done, self._base, self._shift = offset + len(chunk), base, start - offset

    def _is_at(self, chunk: memoryview, base: int, start: int) -> bool:
        if start < 0 or start + len(chunk) > self._bases[base].size:
            return False
        return os.pread(self._fds[base], len(chunk), start) == bytes(chunk)  # memcmp; a view compares item by item

    def finish(self) -> None:
        """Compare what is left, as a change in place and as what moved with the base's end."""
        base = self._base
        self._fill(self._size, base, self._bases[base].size - self._size)
        self._done = self._size

    def _fill(self, end: int, base: int, shift: int) -> None:
        """Say the bytes up to `end`: along the alignment before them, and what that leaves along the one after."""
        after = (base, shift)
        for where, found, size in self._runs(self._done, end, self._base, self._shift):
            if found != _LITERAL:
                self.extents.add(self._base, found, size)
            elif after == (self._base, self._shift):
                self.extents.add(_LITERAL, 0, size)
            else:
                for _, again, length in self._runs(where, where + size, *after):
                    self.extents.add(base if again != _LITERAL else _LITERAL, max(again, 0), length)

    def _runs(self, start: int, end: int, base: int, shift: int) -> Iterator[tuple[int, int, int]]:
        """(offset, base offset or _LITERAL, size) covering start to end; literals between windows are joined."""
        held, at = 0, start
        while at < end:
            size = min(_COMPARED_BYTES, end - at)
            for found, length in self._window(at, size, base, shift):
                if found == _LITERAL:
                    held += length
                else:
                    if held:
                        yield at - held, _LITERAL, held
                    yield at, found, length
                    held = 0
                at += length
        if held:
            yield end - held, _LITERAL, held

    def _window(self, at: int, size: int, base: int, shift: int) -> Iterator[tuple[int, int]]:
        low, high = max(at, -shift), min(at + size, self._bases[base].size - shift)
        if high - low < _LEAST_RUN_BYTES:
            yield _LITERAL, size
            return
        mine = np.frombuffer(os.pread(self._fd, high - low, low), np.uint8)
        theirs = np.frombuffer(os.pread(self._fds[base], high - low, low + shift), np.uint8)
        count = min(len(mine), len(theirs))
        differs = np.concatenate(([-1], np.flatnonzero(mine[:count] != theirs[:count]), [count]))
        long = np.flatnonzero(np.diff(differs) > _LEAST_RUN_BYTES)
        done = at
        for place in long:
            first, last = low + int(differs[place]) + 1, low + int(differs[place + 1])
            if first > done:
                yield _LITERAL, first - done
            yield first + shift, last - first
            done = last
        if done < at + size:
            yield _LITERAL, at + size - done


def delta_of(file: Path, digest: Digest, bases: Sequence[Base]) -> Delta | None:
    """`file`, which must be `digest`, as a change of `bases`; None where that would not make it smaller."""
    with ExitStack() as opened:
        fd, fds = _open(opened, file), [_open(opened, base.file) for base in bases]
        size = os.fstat(fd).st_size
        average = average_for(sum(base.size for base in bases))
        table, state = ChunkTable(bases, fds, average), hashlib.sha256()
        matching = _Matching(fd, size, bases, fds)
        for offset, chunk in chunks_of(fd, size, average, state.update):
            matching.take(offset, chunk, table)
        matching.finish()
    if state.hexdigest() != digest.hex:
        raise DigestMismatch(f"object {digest}", expected=digest, found=f"sha256:{state.hexdigest()}")
    return _worth_it(matching.extents, size)


def _worth_it(extents: _Extents, size: int) -> Delta | None:
    rows, literals, at = [], [], 0
    for base, offset, length in extents:
        rows.append((length,) if base == _LITERAL else (base, offset, length))
        if base == _LITERAL:
            literals.append((at, length))
        at += length
    found = Delta(tuple(rows), tuple(literals))
    return found if found.literal + _BYTES_AN_EXTENT * len(rows) < size * _WORTH else None


def _open(opened: ExitStack, file: Path) -> int:
    fd, _ = open_regular(file)
    opened.callback(os.close, fd)
    return fd
