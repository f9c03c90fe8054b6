"""tar archives (ustar, pax and GNU), by a reader of our own that knows little: files, folders, and longer names.

Rules. Every header has its magic and its checksum. Links, devices, sparse files and any other kind are refused by name.
A pax or GNU header may give the next name, and a size only where the plain header cannot hold it: two readers must not
disagree about where the next header is. The archive ends with two blocks of zeros, and nothing but zeros follows.
Source: POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from casemate.airlock.archives import PIECE_BYTES, BadArchiveError, Member
from casemate.airlock.limits import ScanLimits

_BLOCK = 512
_ZEROS = bytes(_BLOCK)
_MAX_HEADER_BYTES = 1 << 16
_OCTAL_MAX = 8 << 30  # the first size that eleven octal digits cannot hold
_POSIX, _GNU = b"ustar\x0000", b"ustar  \x00"
_OCTAL = re.compile(rb" *([0-7]*)[ \x00]*")
_KINDS = {
    b"1": "a hard link", b"2": "a symbolic link", b"3": "a character device", b"4": "a block device",
    b"6": "a named pipe", b"K": "a long name for a link", b"S": "a sparse file", b"M": "a part of another volume",
    b"V": "a volume's label", b"D": "a list of a folder",
}  # fmt: skip
_FILE, _FOLDER = {b"0", b"\0", b"7"}, b"5"
_PAX, _PAX_FOR_ALL, _GNU_NAME = b"x", b"g", b"L"
# What a pax header may say besides: it changes neither what a file holds nor where it goes.
_HARMLESS = re.compile(
    r"(atime|ctime|mtime|comment|gid|gname|uid|uname|hdrcharset|charset|(LIBARCHIVE|SCHILY|RHT|APPLE|MSWINDOWS)\..+)\Z"
)


@dataclass(frozen=True)
class _Header:
    """One header block: the name it has room for, its kind and the size of what follows."""

    path: bytes
    kind: bytes
    size: int


def versions() -> dict[str, str]:
    """The reader's version: it is our own."""
    return {"tar": "1"}


def members(stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:  # noqa: ARG001  one signature for all
    """Every file, in the order of the archive."""
    told: dict[str, str] = {}
    while (header := _header(stream)) is not None:
        if header.kind in {_PAX, _PAX_FOR_ALL, _GNU_NAME}:
            _add(told, header, _extension(stream, header))
            continue
        path, size = told.pop("path", None) or _text(header.path), _size(header, told.pop("size", None))
        if header.kind in _FILE and not path.endswith("/"):
            yield Member(_plain(path), _content(stream, size))
        elif header.kind == _FOLDER or header.kind in _FILE:
            if size:
                raise BadArchiveError("folders without content", f"{size} bytes in {path!a}")
        else:
            kind = _KINDS.get(header.kind, f"an entry of kind {header.kind!a}")
            raise BadArchiveError("files and folders", f"{path!a}, {kind}")
    if told:
        raise BadArchiveError("an entry after each header that names one", "the end")
    _end(stream)


def _plain(path: str) -> str:
    while path.startswith("./"):
        path = path[2:]
    return path


def _read(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise BadArchiveError("a whole tar archive", "one cut short")
    return data


def _header(stream: BinaryIO) -> _Header | None:
    block = _read(stream, _BLOCK)
    if block == _ZEROS:
        return None
    magic = block[257:265]
    if magic not in {_POSIX, _GNU}:
        raise BadArchiveError("a header of tar (ustar, pax or GNU)", f"{magic!a} where its magic should be")
    summed = sum(block) - sum(block[148:156]) + 8 * 0x20
    if _number(block[148:156]) != summed:
        raise BadArchiveError("a header whose checksum agrees", "another checksum")
    path, prefix = block[:100].split(b"\0")[0], block[345:500].split(b"\0")[0]
    if magic == _POSIX and prefix:
        path = prefix + b"/" + path
    return _Header(path, block[156:157], _number(block[124:136]))


def _number(field: bytes) -> int:
    if field[0] == 0x80:  # GNU: base 256
        return int.from_bytes(field[1:], "big")
    octal = _OCTAL.fullmatch(field)
    if octal is None:
        raise BadArchiveError("numbers in octal", f"{field!a}")
    return int(octal[1] or b"0", 8)


def _text(name: bytes) -> str:
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        raise BadArchiveError("names in UTF-8", f"{name!a}") from None


def _size(header: _Header, told: str | None) -> int:
    if told is None:
        return header.size
    size = int(told) if told.isdecimal() and told.isascii() and len(told) < 20 else -1
    if size < 0 or (size != header.size and (size < _OCTAL_MAX or header.size != 0)):
        raise BadArchiveError("one size for each entry", f"{header.size} in its header and {told[:40]!a} in pax")
    return size


def _content(stream: BinaryIO, size: int) -> Iterator[bytes]:
    left = size
    while left:
        piece = _read(stream, min(left, PIECE_BYTES))
        left -= len(piece)
        yield piece
    if _read(stream, -size % _BLOCK).strip(b"\0"):
        raise BadArchiveError("zeros between entries", "something hidden there")


# ── Headers about the next entry ─────────────────────────────────────────────────────────────────────────────────────
def _extension(stream: BinaryIO, header: _Header) -> bytes:
    if header.size > _MAX_HEADER_BYTES:
        raise BadArchiveError(f"a header of at most {_MAX_HEADER_BYTES} bytes", str(header.size))
    return b"".join(_content(stream, header.size))


def _add(told: dict[str, str], header: _Header, data: bytes) -> None:
    facts = {"path": _text(data.rstrip(b"\0"))} if header.kind == _GNU_NAME else dict(_pax(data))
    for key, value in facts.items():
        if key in {"path", "size"} and header.kind != _PAX_FOR_ALL:
            if key in told or not value or "\0" in value:
                raise BadArchiveError(f"one {key} for each entry", f"{value[:40]!a}, after another or empty")
            told[key] = value
        elif key.startswith("GNU.sparse."):
            raise BadArchiveError("files and folders", "a sparse file")
        elif not _HARMLESS.match(key):
            raise BadArchiveError("pax headers that change no file", f"{key[:60]!a}")


def _pax(data: bytes) -> Iterator[tuple[str, str]]:
    at, seen = 0, set()
    while at < len(data):
        length, space, _ = data[at : at + 8].partition(b" ")
        end = at + int(length) if space and length.isdigit() else 0
        record = data[at + len(length) + 1 : end]
        key, equals, value = record.partition(b"=")
        if not (at < end <= len(data) and record.endswith(b"\n") and equals and key):
            raise BadArchiveError("pax headers of records, each with its length", f"{data[at : at + 20]!a}")
        name = _text(key)
        if name in seen:
            raise BadArchiveError("each pax record once", f"{name[:60]!a} twice")
        seen.add(name)
        # Only a name must be text: extended attributes may be any bytes.
        yield name, _text(value[:-1]) if name in {"path", "size"} else ""
        at = end


def _end(stream: BinaryIO) -> None:
    if stream.read(_BLOCK) != _ZEROS:
        raise BadArchiveError("two blocks of zeros at the end", "one, or something else")
    while data := stream.read(PIECE_BYTES):
        if data.strip(b"\0"):
            raise BadArchiveError("nothing but zeros after the end", "more")
