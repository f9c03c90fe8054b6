"""Where a picture ends: what follows its last byte is not part of it, and could be anything.

Rules. Containers are walked by their own lengths, without decoding. Zeros after the end are padding; anything else is a
finding, because one reader would see a picture there and the next an archive. A TIFF has no end of its own: only an
archive appended to it can be told.
"""

from __future__ import annotations

import mmap
import re
import struct
from pathlib import Path

from casemate.airlock.report import Finding

_PNG_FIRST_CHUNK = 8
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
_JPEG_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_JPEG_SCAN, _JPEG_END = 0xDA, 0xD9
_WEBP_HEADER, _WEBP_FLAGS, _WEBP_ANIMATED = 12, 20, 0x02
_ZIP_END = b"PK\x05\x06"
_ZIP_TAIL_BYTES = 65_557  # its end record of 22 bytes and the longest comment


def check_end(file: Path, type_name: str) -> list[Finding]:
    """Findings about a picture's end: cut short, followed by something, or more than one picture."""
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if type_name == "tiff":
            return _no_archive(data)
        find_end = {"png": _png_end, "jpeg": _jpeg_end, "webp": _webp_end}[type_name]
        try:
            end = find_end(data)
        except (IndexError, struct.error):
            return [Finding("end", f"a whole {type_name} picture", f"it is cut short after {len(data)} bytes")]
        except ValueError as why:
            return [Finding("end", f"one {type_name} picture", str(why))]
        return _nothing_after(data, end)


def _nothing_after(data: mmap.mmap, end: int) -> list[Finding]:
    rest = data[end:]
    if not rest.strip(b"\0"):
        return []
    what = "an archive" if _ZIP_END in rest else "something else"
    return [Finding("end", f"nothing after the picture's end at byte {end}", f"{len(rest)} bytes more, {what}")]


def _png_end(data: mmap.mmap) -> int:
    at = _PNG_FIRST_CHUNK
    while True:
        kind = data[at + 4 : at + 8]
        at += 12 + int(struct.unpack_from(">I", data, at)[0])
        if at > len(data):
            raise IndexError
        if kind == b"acTL":
            raise ValueError("an animation")
        if kind == b"IEND":
            return at


def _jpeg_end(data: mmap.mmap) -> int:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ValueError(f"byte 0x{data[at]:02x} where a marker should be, at {at}")
        while data[at] == 0xFF:
            at += 1
        marker = data[at]
        at += 1
        if marker == _JPEG_END:
            return at
        if marker in _JPEG_ALONE:
            continue
        at += int(struct.unpack_from(">H", data, at)[0])
        if marker == _JPEG_SCAN:
            following = _JPEG_MARKER.search(data, at)
            if following is None:
                raise IndexError
            at = following.start()


def _webp_end(data: mmap.mmap) -> int:
    length = int(struct.unpack_from("<I", data, 4)[0])
    end = 8 + length + length % 2
    if end > len(data):
        raise IndexError
    if data[_WEBP_HEADER : _WEBP_HEADER + 4] == b"VP8X" and data[_WEBP_FLAGS] & _WEBP_ANIMATED:
        raise ValueError("an animation")
    return end


def _no_archive(data: mmap.mmap) -> list[Finding]:
    if archive_at_end(data):
        return [Finding("end", "a picture and nothing else", "a ZIP archive appended to it")]
    return []


def archive_at_end(data: mmap.mmap | bytes) -> bool:
    """Whether readers of ZIP archives, which begin at the end, would find one here."""
    start = max(0, len(data) - _ZIP_TAIL_BYTES)
    at = data.rfind(_ZIP_END, start)
    while at >= 0:
        if at + 22 <= len(data):
            size, offset, comment = struct.unpack_from("<IIH", data, at + 12)
            directory = at - size
            if at + 22 + comment == len(data) and directory >= offset and data[directory : directory + 2] == b"PK":
                return True
        at = data.rfind(_ZIP_END, start, at)
    return False
