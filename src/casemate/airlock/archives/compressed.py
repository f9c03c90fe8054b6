"""Single files compressed with gzip, bzip2, xz or Zstandard: one member, named like the archive without its ending.

Rules. A file may be several compressed streams in a row, as parallel compressors write them; anything else after the
end is refused, and so is a stream that is cut short. Windows are bounded.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import zstandard

from casemate.airlock.archives import PIECE_BYTES, BadArchiveError, Member
from casemate.airlock.formats import ending
from casemate.airlock.limits import ScanLimits

_INPUT_BYTES = 1 << 16
_ZSTD_INPUT_BYTES = 1 << 11  # which a block of four bytes for 128 KiB may turn into 64 MiB at once
_MAX_WINDOW_BYTES = 128 << 20  # what `zstd` and `xz` themselves accept unasked
_XZ_MEMORY_BYTES = 256 << 20
_TAR = {"tgz", "tbz", "tbz2", "txz", "tzst"}
_ERRORS = (zlib.error, OSError, EOFError, lzma.LZMAError, zstandard.ZstdError, ValueError)
_ZSTD_FRAME = b"\x28\xb5\x2f\xfd"


def versions() -> dict[str, str]:
    """The versions of what decompresses."""
    zstd = ".".join(str(n) for n in zstandard.ZSTD_VERSION)
    return {"zlib": zlib.ZLIB_RUNTIME_VERSION, "zstd": zstd, "zstandard": zstandard.__version__}


def members(stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:  # noqa: ARG001  one signature for all
    """The one file."""
    yield Member(inner_name(name), _pieces(stream, type_name))


def inner_name(name: str) -> str:
    """What a compressed file is called once it is unpacked: `a.json.gz` is `a.json`, `a.tgz` is `a.tar`."""
    end = ending(name)
    stem = name[: -len(end) - 1] if end else name
    return f"{stem}.tar" if end in _TAR else stem


def _pieces(stream: BinaryIO, type_name: str) -> Iterator[bytes]:
    read = _zstd if type_name == "zstd" else _streams
    try:
        yield from read(stream, type_name)
    except _ERRORS as why:
        if isinstance(why, BadArchiveError):
            raise
        raise BadArchiveError(f"a whole {type_name} file", " ".join(str(why).split())[:200]) from why


# ── gzip, bzip2, xz: the same in Python, but for how much comes out at once ─────────────────────────────────────────
class _Gzip:
    """A gzip stream with the interface of the other two decompressors."""

    def __init__(self) -> None:
        self._inner = zlib.decompressobj(wbits=31)

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._inner.decompress(self._inner.unconsumed_tail + data, max_length)

    @property
    def needs_input(self) -> bool:
        return not self._inner.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._inner.eof

    @property
    def unused_data(self) -> bytes:
        return self._inner.unused_data


_STARTS: dict[str, Callable[[], Any]] = {
    "gzip": _Gzip,
    "bzip2": bz2.BZ2Decompressor,
    "xz": lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES),
}


def _streams(stream: BinaryIO, type_name: str) -> Iterator[bytes]:
    rest = stream.read(_INPUT_BYTES)
    while rest:
        one = _STARTS[type_name]()
        data = rest
        while not one.eof:
            yield one.decompress(data, PIECE_BYTES)
            data = b""
            if not one.eof and one.needs_input:
                data = stream.read(_INPUT_BYTES)
                if not data:
                    raise BadArchiveError(f"a whole {type_name} file", "one cut short")
        rest = one.unused_data or stream.read(_INPUT_BYTES)


# ── Zstandard ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _zstd(stream: BinaryIO, type_name: str) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
    rest = stream.read(_ZSTD_INPUT_BYTES)
    while rest:
        if not (rest + b"    ").startswith(_ZSTD_FRAME):
            raise BadArchiveError(f"{type_name} frames and nothing else", f"bytes {rest[:4].hex(' ')} after a frame")
        frame, data = decompressor.decompressobj(write_size=PIECE_BYTES), rest
        while not frame.eof:
            yield from _cut(frame.decompress(data))
            if not frame.eof:
                data = stream.read(_ZSTD_INPUT_BYTES)
                if not data:
                    raise BadArchiveError(f"a whole {type_name} file", "one cut short")
        rest = frame.unused_data
        if len(rest) < len(_ZSTD_FRAME):
            rest += stream.read(_ZSTD_INPUT_BYTES)


def _cut(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]
