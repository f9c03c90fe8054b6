"""Bytes as they lie in a part: a zstd frame where it pays, else themselves.

Rules. What pays is tried on a sample first, so that what is compressed already costs next to nothing. The same bytes
give the same frame. A frame is opened only if it says that it holds exactly the bytes that the signed list declares,
which are few: a bomb has no room.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

import zstandard

from casemate.airlock.bundle.terms import MEMBER_BYTES
from casemate.airlock.bundle.ustar import taken
from casemate.errors import NotTrusted

_LEVEL = 3
_LEAST_BYTES = 513  # below it saves no block of the archive
_SAMPLED_BYTES = 256 << 10
_SLICE_BYTES = 16 << 10
_SLICES = 4
_own = threading.local()


class Packed(NamedTuple):
    """What is stored, and how many plain bytes it is; a frame is always shorter than they."""

    stored: bytes
    plain: int

    @property
    def packed(self) -> bool:
        """Whether `stored` is a zstd frame."""
        return len(self.stored) != self.plain


def pack(plain: bytes) -> Packed:
    """`plain` as it will be stored."""
    if len(plain) < _LEAST_BYTES or (len(plain) > _SAMPLED_BYTES and not _pays(_sample(plain))):
        return Packed(plain, len(plain))
    frame = _compressor().compress(plain)
    return Packed(frame if _less(len(frame), len(plain)) else plain, len(plain))


def unpack(stored: memoryview, plain: int, thing: str) -> bytes | memoryview:
    """The `plain` bytes of what is stored; NotTrusted naming `thing` where it holds anything else."""
    if len(stored) == plain:
        return stored
    try:
        declared = zstandard.get_frame_parameters(stored)
        if declared.content_size != plain or declared.dict_id:
            raise NotTrusted(thing, expected=f"a zstd frame of {plain} bytes", found=f"one of {declared.content_size}")
        data = _decompressor().decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as why:
        raise NotTrusted(thing, expected=f"a zstd frame of {plain} bytes", found=why) from why
    if len(data) != plain:
        raise NotTrusted(thing, expected=f"a zstd frame of {plain} bytes", found=f"{len(data)} bytes")
    return data


def _sample(plain: bytes) -> bytes:
    step = (len(plain) - _SLICE_BYTES) // (_SLICES - 1)
    return b"".join(plain[place * step : place * step + _SLICE_BYTES] for place in range(_SLICES))


def _pays(sample: bytes) -> bool:
    return len(_compressor().compress(sample)) * 20 <= len(sample) * 19


def _less(stored: int, plain: int) -> bool:
    return stored * 20 <= plain * 19 and taken(stored) < taken(plain)


def _compressor() -> zstandard.ZstdCompressor:
    if not hasattr(_own, "compressor"):  # one a thread: a compressor is not to be shared
        _own.compressor = zstandard.ZstdCompressor(level=_LEVEL, write_content_size=True, write_checksum=False)
    found: zstandard.ZstdCompressor = _own.compressor
    return found


def _decompressor() -> zstandard.ZstdDecompressor:
    if not hasattr(_own, "decompressor"):
        _own.decompressor = zstandard.ZstdDecompressor(max_window_size=MEMBER_BYTES)
    found: zstandard.ZstdDecompressor = _own.decompressor
    return found
