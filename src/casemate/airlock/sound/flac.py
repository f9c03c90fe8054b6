"""FLAC (RFC 9639): metadata blocks, then frames of which the last ends with the file."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from itertools import islice

from casemate.airlock.sound import Sound, comments, require

_STREAMINFO, _PADDING, _APPLICATION, _SEEKTABLE, _COMMENTS, _CUESHEET, _PICTURE = range(7)
_MAX_FRAME_BYTES = 1 << 20
_MAX_TRIALS = 64


def walk(data: mmap.mmap) -> Sound:
    """What a FLAC file says of itself."""
    at, last, info = 4, False, b""
    while not last:
        header = data[at : at + 4]
        require(len(header) == 4, "end", f"a metadata block at byte {at}", "the end of the file")
        last, kind, size = bool(header[0] & 0x80), header[0] & 0x7F, int.from_bytes(header[1:])
        block = data[at + 4 : at + 4 + size]
        require(len(block) == size, "end", f"{size} bytes of metadata at byte {at}", str(len(block)))
        require((kind == _STREAMINFO) == (at == 4), "flac", "the stream's description first and once", f"block {kind}")
        info = block if kind == _STREAMINFO else info
        _check_block(kind, block)
        at += 4 + size
    require(len(info) == 34, "flac", "a description of 34 bytes", str(len(info)))
    return _sound(data, info, at)


def _check_block(kind: int, block: bytes) -> None:
    require(kind <= _PICTURE, "flac", "a known metadata block", f"block {kind}")
    require(kind != _APPLICATION, "flac", "metadata of no program", f"those of {block[:4]!a}")
    if kind == _PADDING:
        require(not block.strip(b"\0"), "flac", "zeros in the padding", "something else")
    if kind == _COMMENTS:
        end = comments.check(block)
        require(end == len(block), "tag", f"comments that end at byte {end}", str(len(block)))
    if kind == _PICTURE:
        comments.check_picture_block(block)


def _sound(data: mmap.mmap, info: bytes, start: int) -> Sound:
    packed = int.from_bytes(info[10:18])
    rate_hz, channels, bits = packed >> 44, (packed >> 41 & 7) + 1, (packed >> 36 & 31) + 1
    frames, largest, md5 = packed & (1 << 36) - 1, int.from_bytes(info[7:10]), info[18:]
    require(frames, "flac", "a number of samples", "none, as in a live stream")
    require(
        _ends_with_a_frame(data, start, min(largest or _MAX_FRAME_BYTES, _MAX_FRAME_BYTES)),
        "end",
        "a frame that ends with the file",
        "none",
    )
    known = bits == 16 and any(md5)
    return Sound("flac", channels, rate_hz, frames, md5=md5.hex() if known else "")


def _ends_with_a_frame(data: mmap.mmap, start: int, largest: int) -> bool:
    """Whether some frame header near the end begins a frame whose checksum takes in the last byte."""
    tail = data[max(start, len(data) - largest) :]
    return any(_crc16(tail[at:]) == 0 for at in islice(_headers(tail), _MAX_TRIALS))


def _headers(tail: bytes) -> Iterator[int]:
    """Frame headers, the last first: the sync code and a header whose own checksum holds."""
    at = len(tail)
    while (at := tail.rfind(b"\xff", 0, at)) >= 0:
        if tail[at + 1 : at + 2] not in {b"\xf8", b"\xf9"}:
            continue
        if any(_crc8(tail[at : at + size]) == 0 for size in range(6, 17) if at + size <= len(tail)):
            yield at


def _table(polynomial: int, bits: int) -> list[int]:
    table, top, mask = [], 1 << bits - 1, (1 << bits) - 1
    for byte in range(256):
        value = byte << bits - 8
        for _ in range(8):
            value = (value << 1 ^ polynomial if value & top else value << 1) & mask
        table.append(value)
    return table


_CRC8, _CRC16 = _table(0x07, 8), _table(0x8005, 16)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = _CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    value = 0
    for byte in data:
        value = (value << 8 & 0xFF00) ^ _CRC16[value >> 8 ^ byte]
    return value
