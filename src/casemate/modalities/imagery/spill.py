"""What each window saw, kept in one file as it comes: memory stays bounded, and a killed prediction goes on from it.

Rules. One record a window, in the order of the windows: its views, and its core reduced to the size it has in the
overlay picture, so that nothing reads the scene twice. Each record has its CRC-32 and is on the disk before its window
counts as done. The first line says what the records belong to (scene, model and settings, by digest): a file that
belongs to anything else, or a record that was torn by a kill, is dropped and made again. The file is private to one
prediction and deleted with it; it is not a format that anybody else reads.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from casemate.errors import Unavailable
from casemate.modalities.imagery.seams import Views
from casemate.store.staging import full_disk_named

_HEAD = struct.Struct("<10I")  # window and its bounds; views, nodes, height, width of the picture; CRC-32 of the rest


@dataclass(frozen=True)
class Seen:
    """One window's views, and its core reduced to the overlay's scale, uint8 [height, width, 3]."""

    views: Views
    picture: NDArray[np.uint8]


class Spill:
    """An append-only file of what the windows saw, read back by window; made by `open_spill`."""

    def __init__(self, file: BinaryIO, path: Path, offsets: array[int]) -> None:
        """Take over an open file whose complete records start at `offsets`."""
        self._file, self._name, self._folder, self._offsets = file, path.name, path.parent, offsets

    def __len__(self) -> int:
        """How many windows are complete."""
        return len(self._offsets)

    def append(self, seen: Seen) -> None:
        """Add what the next window saw; on return it is on the disk."""
        if seen.views.window != len(self):
            raise RuntimeError(f"{self._name}: window {len(self)} comes next, not {seen.views.window}")
        end = self._file.seek(0, os.SEEK_END)
        with full_disk_named(self._folder):
            self._file.write(_pack(seen))
            self._file.flush()
            os.fsync(self._file.fileno())
        self._offsets.append(end)

    def read(self, window: int) -> Seen:
        """What that window saw."""
        self._file.seek(self._offsets[window])
        seen = _unpack(self._file)
        if seen is None or seen.views.window != window:
            raise RuntimeError(f"{self._name}: the record of window {window} has changed since it was written")
        return seen


@contextmanager
def open_spill(path: Path, belongs_to: str, *, resume: bool = True) -> Iterator[Spill]:
    """Open the file at `path`; to resume, keep the complete records in it if it belongs to the same prediction."""
    first_line = f"casemate-spill/1 {belongs_to}\n".encode()
    with path.open("a+b") as file, full_disk_named(path.parent):
        _lock(file, path)
        file.seek(0)
        if not resume or file.read(len(first_line)) != first_line:
            file.truncate(0)
            file.write(first_line)
            file.flush()
        yield Spill(file, path, _complete(file, len(first_line)))


def _lock(file: BinaryIO, path: Path) -> None:
    """Keep every other prediction out of this file until it is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as why:
        expected = "nobody else to be predicting into this folder"
        raise Unavailable(path.parent, expected=expected, found="another prediction") from why


def _complete(file: BinaryIO, start: int) -> array[int]:
    """Offsets of the complete records, in order from window 0; whatever follows them is cut off."""
    offsets = array("Q")
    end = file.seek(start)
    while (seen := _unpack(file)) is not None and seen.views.window == len(offsets):
        offsets.append(end)
        end = file.tell()
    file.truncate(end)
    return offsets


def _pack(seen: Seen) -> bytes:
    views, picture = seen.views, np.ascontiguousarray(seen.picture)
    parts = (
        views.boxes_xyxy_px.astype("<f4"),
        views.scores.astype("<f4"),
        views.owned.astype("u1"),
        views.cut.astype("u1"),
        picture,
    )
    body = b"".join(part.tobytes() for part in parts)
    shape = len(views), views.scores.shape[1], picture.shape[0], picture.shape[1]
    return _HEAD.pack(views.window, *views.bounds_px, *shape, zlib.crc32(body)) + body


def _unpack(file: BinaryIO) -> Seen | None:
    """The record at the file's position, or None where it is torn or absent."""
    head = file.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    window, x0, y0, x1, y1, count, nodes, height, width, checksum = _HEAD.unpack(head)
    ends = np.cumsum([0, 16 * count, 4 * nodes * count, count, count, 3 * height * width])
    body = file.read(int(ends[-1]))
    if len(body) < ends[-1] or zlib.crc32(body) != checksum:
        return None
    boxes, scores, owned, cut, picture = (body[a:b] for a, b in pairwise(ends))
    views = Views(
        window,
        (x0, y0, x1, y1),
        np.frombuffer(boxes, "<f4").reshape(count, 4),
        np.frombuffer(scores, "<f4").reshape(count, nodes),
        np.frombuffer(owned, "u1").astype(np.bool_),
        np.frombuffer(cut, "u1").astype(np.bool_),
    )
    return Seen(views, np.frombuffer(picture, np.uint8).reshape(height, width, 3))
