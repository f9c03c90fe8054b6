"""A ZIP archive that every reader sees alike: opened strictly, read within bounds.

Rules. The archive is exactly its members, one after another from the first byte, then its directory, then its end:
nothing before, between or after. Each member's own header says what the directory says. Names are plain relative paths,
once each (without regard to case); encryption, links, devices, several disks and other methods than stored and deflated
are refused. What a member unpacks to is bounded by its declared size, which is held against the limits before anything
is unpacked, and its checksum must agree. Anything else raises NotStrictError, which says expected and found.
"""

from __future__ import annotations

import re
import stat
import struct
import unicodedata
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

_LOCAL, _CENTRAL, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_END64, _LOCATOR64, _DESCRIPTOR = b"PK\x06\x06", b"PK\x06\x07", b"PK\x07\x08"
_LOCAL_FIELDS, _CENTRAL_FIELDS = struct.Struct("<4s5H3I2H"), struct.Struct("<4s6H3I5H2I")
_END_FIELDS, _END64_FIELDS, _LOCATOR64_FIELDS = (
    struct.Struct("<4s4H2IH"),
    struct.Struct("<4sQ2H2I4Q"),
    struct.Struct("<4sIQI"),
)
_FULL_16, _FULL_32 = 0xFFFF, 0xFFFFFFFF
_FLAG_ENCRYPTED, _FLAG_DESCRIPTOR, _FLAG_UTF8 = 0x2041, 0x0008, 0x0800
_STORED, _DEFLATED = 0, 8
_EXTRA_ZIP64, _EXTRA_UNICODE_PATH, _EXTRA_AES = 0x0001, 0x7075, 0x9901
_NOT_IN_NAMES = re.compile(r"^[A-Za-z]:|[\x00-\x1f\x7f\\\u202a-\u202e\u2066-\u2069]")
_CHUNK_BYTES = 1 << 20


class NotStrictError(ValueError):
    """What is wrong with an archive: the rule is `zip`."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")

    @property
    def finding(self) -> Finding:
        """The same as a finding."""
        return Finding("zip", self.expected, self.found)


@dataclass(frozen=True)
class Member:
    """One file of an archive; `packed` bytes from `start` unpack to `size` bytes."""

    name: str
    size: int
    packed: int
    checksum: int
    deflated: bool
    start: int


@dataclass(frozen=True)
class _Entry:
    """What the directory says of one member."""

    raw_name: bytes
    flags: int
    method: int
    checksum: int
    packed: int
    size: int
    header: int
    mode: int
    extra: bytes


class StrictZip:
    """An archive whose directory has been checked: its files by name, in the order of the archive."""

    def __init__(self, stream: BinaryIO, members: dict[str, Member]) -> None:
        """Keep the stream; it must stay open while members are read."""
        self._stream, self.members = stream, members

    def __contains__(self, name: str) -> bool:
        return name in self.members

    def read(self, name: str, *, at_most: int) -> bytes:
        """A whole member; one of more than `at_most` bytes is refused before it is unpacked."""
        member = self.members[name]
        if member.size > at_most:
            raise NotStrictError(f"at most {at_most} bytes in {name!a}", f"{member.size}")
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member piece by piece, of at most a MiB each; size and checksum are verified at the end."""
        member = self.members[name]
        size, checksum = 0, 0
        for piece in _unpack(self._stream, member):
            size += len(piece)
            checksum = zlib.crc32(piece, checksum)
            if size > member.size:
                raise NotStrictError(f"{member.size} bytes in {name!a}", "more")
            yield piece
        if size != member.size:
            raise NotStrictError(f"{member.size} bytes in {name!a}", f"{size}")
        if checksum != member.checksum:
            raise NotStrictError(f"the checksum {member.checksum:08x} of {name!a}", f"{checksum:08x}")

    def verify(self) -> None:
        """Unpack every member, keeping nothing."""
        for name in self.members:
            for _ in self.chunks(name):
                pass


def open_strict(stream: BinaryIO, limits: ScanLimits) -> StrictZip:
    """The archive in a stream that can seek, its directory and headers checked; raises NotStrictError."""
    length = stream.seek(0, 2)
    try:
        entries, directory = _directory(stream, length, limits)
        _check_bounds(entries, length, limits)
        members = _walk(stream, entries, directory)
    except struct.error as why:
        raise NotStrictError("a whole ZIP archive", f"one cut short: {why}") from why
    return StrictZip(stream, members)


def _at(stream: BinaryIO, offset: int, size: int) -> bytes:
    if offset < 0:
        raise NotStrictError("offsets within the archive", str(offset))
    stream.seek(offset)
    return stream.read(size)


# ── The directory ────────────────────────────────────────────────────────────────────────────────────────────────────
def _directory(stream: BinaryIO, length: int, limits: ScanLimits) -> tuple[list[_Entry], int]:
    """Every entry, and where the directory begins."""
    end = length - _END_FIELDS.size
    record = _at(stream, end, _END_FIELDS.size) if end >= 0 else b""
    if record[:4] != _END:
        raise NotStrictError("a ZIP archive that ends with its end record", "something else, or a comment")
    _, disk, first_disk, on_disk, count, size, start, _ = _END_FIELDS.unpack(record)
    if _FULL_16 in {on_disk, count} or _FULL_32 in {size, start}:
        disk, first_disk, on_disk, count, size, start, end = _end64(stream, end)
    if disk or first_disk or on_disk != count:
        raise NotStrictError("one disk", f"disk {disk} of several")
    if start + size != end:
        raise NotStrictError(f"a directory that ends at byte {end}", f"{start + size}")
    if count > limits.max_members:
        raise NotStrictError(f"at most {limits.max_members} members", str(count))
    return list(_entries(_at(stream, start, size), count)), start


def _end64(stream: BinaryIO, end: int) -> tuple[int, int, int, int, int, int, int]:
    locator = _at(stream, end - _LOCATOR64_FIELDS.size, _LOCATOR64_FIELDS.size)
    mark, _, at, disks = _LOCATOR64_FIELDS.unpack(locator)
    if mark != _LOCATOR64 or disks != 1 or at + _END64_FIELDS.size != end - _LOCATOR64_FIELDS.size:
        raise NotStrictError("a ZIP64 end record just before the end record", "none there")
    mark, _, _, _, disk, first_disk, on_disk, count, size, start = _END64_FIELDS.unpack(
        _at(stream, at, _END64_FIELDS.size)
    )
    if mark != _END64:
        raise NotStrictError("a ZIP64 end record just before the end record", "something else")
    return disk, first_disk, on_disk, count, size, start, at


def _entries(directory: bytes, count: int) -> Iterator[_Entry]:
    at = 0
    for _ in range(count):
        (
            mark,
            _,
            _,
            flags,
            method,
            _,
            _,
            checksum,
            packed,
            size,
            name_n,
            extra_n,
            comment_n,
            disk,
            _,
            mode,
            header,
        ) = _CENTRAL_FIELDS.unpack_from(directory, at)
        if mark != _CENTRAL or disk:
            raise NotStrictError(f"an entry of the directory at its byte {at}", "something else")
        at += _CENTRAL_FIELDS.size
        name, extra = directory[at : at + name_n], directory[at + name_n : at + name_n + extra_n]
        at += name_n + extra_n + comment_n
        packed, size, header = _full_sizes(extra, packed=packed, size=size, header=header)
        yield _Entry(name, flags, method, checksum, packed, size, header, mode >> 16, extra)
    if at != len(directory):
        raise NotStrictError(f"a directory of {at} bytes for its {count} entries", f"{len(directory)}")


def _fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if at + 4 + size > len(extra):
            return  # padding that aligns members; no reader finds a field here
        yield kind, extra[at + 4 : at + 4 + size]
        at += 4 + size


def _full_sizes(extra: bytes, *, packed: int, size: int, header: int) -> tuple[int, int, int]:
    """The three numbers, from the ZIP64 field where they do not fit."""
    field = next((data for kind, data in _fields(extra) if kind == _EXTRA_ZIP64), b"")
    wide = iter(struct.unpack(f"<{len(field) // 8}Q", field[: len(field) // 8 * 8]))
    try:
        size = next(wide) if size == _FULL_32 else size
        packed = next(wide) if packed == _FULL_32 else packed
        header = next(wide) if header == _FULL_32 else header
    except StopIteration:
        raise NotStrictError("a ZIP64 field for a size that does not fit", "none") from None
    return packed, size, header


def _check_bounds(entries: list[_Entry], length: int, limits: ScanLimits) -> None:
    total = sum(entry.size for entry in entries)
    allowed = max(limits.expands_freely_bytes, length * limits.max_expansion)
    if total > allowed:
        raise NotStrictError(f"at most {allowed} bytes once unpacked, for {length} packed", str(total))


# ── Members, one after another ───────────────────────────────────────────────────────────────────────────────────────
def _walk(stream: BinaryIO, entries: list[_Entry], directory: int) -> dict[str, Member]:
    members: dict[str, Member] = {}
    seen: dict[str, str] = {}
    at = 0
    for entry in sorted(entries, key=lambda entry: entry.header):
        name = _name(entry)
        folded = unicodedata.normalize("NFC", name).casefold().rstrip("/")
        if folded in seen:
            raise NotStrictError("each name once", f"{seen[folded]!a} and {name!a}")
        seen[folded] = name
        _check_kind(entry, name)
        if entry.header != at:
            raise NotStrictError(f"a member that begins at byte {at}", f"{name!a} at {entry.header}")
        start = _check_header(stream, entry, name)
        at = start + entry.packed + _descriptor_size(stream, entry, start + entry.packed, name)
        if not name.endswith("/"):
            members[name] = Member(name, entry.size, entry.packed, entry.checksum, entry.method == _DEFLATED, start)
    if at != directory:
        raise NotStrictError(f"a directory at byte {at}, where the last member ends", str(directory))
    return members


def _name(entry: _Entry) -> str:
    raw = entry.raw_name
    if not (entry.flags & _FLAG_UTF8 or raw.isascii()):
        raise NotStrictError("names in UTF-8", f"{raw.decode('cp437')!a}, of no known encoding")
    try:
        name = raw.decode("utf-8")
    except UnicodeDecodeError:
        raise NotStrictError("names in UTF-8", f"{raw.decode('cp437')!a}") from None
    for kind, data in _fields(entry.extra):
        if kind == _EXTRA_UNICODE_PATH and data[5:] != raw:
            raise NotStrictError("one name a member", f"a second name for {name!a}")
    parts = name.removesuffix("/").split("/")
    if _NOT_IN_NAMES.search(name) or any(part in {"", ".", ".."} for part in parts):
        raise NotStrictError("plain relative names", f"{name!a}")
    return name


def _check_kind(entry: _Entry, name: str) -> None:
    encrypted = entry.flags & _FLAG_ENCRYPTED or any(kind == _EXTRA_AES for kind, _ in _fields(entry.extra))
    if encrypted:
        raise NotStrictError("nothing encrypted", f"{name!a} is")
    if entry.method not in {_STORED, _DEFLATED}:
        raise NotStrictError("members stored or deflated", f"{name!a} by method {entry.method}")
    kind = stat.S_IFMT(entry.mode)
    expected = stat.S_IFDIR if name.endswith("/") else stat.S_IFREG
    if kind not in {0, expected}:
        raise NotStrictError("files and folders", f"{name!a}, a link, a device or of two kinds")
    if name.endswith("/") and entry.size:
        raise NotStrictError("folders without content", f"{entry.size} bytes in {name!a}")
    if entry.method == _STORED and entry.size != entry.packed:
        raise NotStrictError(f"{entry.packed} bytes in {name!a}, which is stored", str(entry.size))


def _check_header(stream: BinaryIO, entry: _Entry, name: str) -> int:
    """Hold a member's own header against the directory; where its data begin."""
    mark, _, flags, method, _, _, checksum, packed, size, name_n, extra_n = _LOCAL_FIELDS.unpack(
        _at(stream, entry.header, _LOCAL_FIELDS.size)
    )
    if mark != _LOCAL:
        raise NotStrictError(f"the header of {name!a} at byte {entry.header}", "something else")
    raw, extra = stream.read(name_n), stream.read(extra_n)
    said = (raw, flags, method)
    if said != (entry.raw_name, entry.flags, entry.method):
        raise NotStrictError(f"a header that says what the directory says of {name!a}", f"{raw!a}, {flags}, {method}")
    packed, size, _ = _full_sizes(extra, packed=packed, size=size, header=0)
    later = flags & _FLAG_DESCRIPTOR and (checksum, packed, size) == (0, 0, 0)
    if not later and (checksum, packed, size) != (entry.checksum, entry.packed, entry.size):
        expected = f"{entry.packed} bytes for {entry.size} in {name!a}, as the directory says"
        raise NotStrictError(expected, f"{packed} for {size}, or another checksum, in its header")
    return entry.header + _LOCAL_FIELDS.size + len(raw) + len(extra)


def _descriptor_size(stream: BinaryIO, entry: _Entry, at: int, name: str) -> int:
    """The size of what repeats a member's sizes after its data, where its flags announce that."""
    if not entry.flags & _FLAG_DESCRIPTOR:
        return 0
    found = _at(stream, at, 24)
    mark = len(_DESCRIPTOR) if found[:4] == _DESCRIPTOR else 0
    for sizes in (struct.Struct("<3I"), struct.Struct("<I2Q")):
        said = found[mark : mark + sizes.size]
        if len(said) == sizes.size and sizes.unpack(said) == (entry.checksum, entry.packed, entry.size):
            return mark + sizes.size
    raise NotStrictError(f"the sizes of {name!a} again after its data", "others, or none")


def _unpack(stream: BinaryIO, member: Member) -> Iterator[bytes]:
    pieces = _packed(stream, member)
    if not member.deflated:
        yield from pieces
        return
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        for piece in pieces:
            if inflate.eof:
                break
            left = piece
            while left and not inflate.eof:
                yield inflate.decompress(left, _CHUNK_BYTES)
                left = inflate.unconsumed_tail
            if inflate.unused_data:
                break
        while not inflate.eof and (piece := inflate.decompress(b"", _CHUNK_BYTES)):
            yield piece
    except zlib.error as why:
        raise NotStrictError(f"deflated data in {member.name!a}", str(why)) from why
    if not inflate.eof or inflate.unused_data or next(pieces, b""):
        raise NotStrictError(f"{member.packed} deflated bytes in {member.name!a}", "more or fewer")


def _packed(stream: BinaryIO, member: Member) -> Iterator[bytes]:
    at, end = member.start, member.start + member.packed
    while at < end:
        piece = _at(stream, at, min(_CHUNK_BYTES, end - at))
        if not piece:
            raise NotStrictError(f"{member.packed} bytes for {member.name!a}", "the archive is cut short")
        at += len(piece)
        yield piece
