"""How a process that unpacks speaks: frames of one byte of kind, four of length, and what is in it."""

from __future__ import annotations

import struct
from collections.abc import Callable

SAID, DATA = b"S", b"D"
MAX_FRAME_BYTES = 2 << 20
_HEAD = struct.Struct(">cI")


def frame(kind: bytes, data: bytes | bytearray) -> bytes:
    """A frame as bytes."""
    return _HEAD.pack(kind, len(data)) + data


def read_frame(read: Callable[[int], bytes]) -> tuple[bytes, bytes]:
    """The next frame's kind and content, from `read(exactly so many bytes)`; ValueError where the stream is none."""
    kind, length = _HEAD.unpack(read(_HEAD.size))
    if kind not in {SAID, DATA} or length > MAX_FRAME_BYTES:
        raise ValueError(f"a frame of kind {kind!a} and {length} bytes")
    return kind, read(length)
