"""ID3v2 tags (of MP3, and in WAV): words, and pictures that are pictures."""

from __future__ import annotations

from casemate.airlock.sound import check_picture, require

_HEADER_BYTES = 10
_OBJECTS = {
    b"GEOB": "an object", b"GEO": "an object", b"AENC": "encryption", b"CRA": "encryption", b"ENCR": "encryption",
    b"LINK": "a link to another file", b"LNK": "a link to another file", b"CRM": "encryption", b"COMR": "an offer",
}  # fmt: skip
_UNSYNCHRONISED, _EXTENDED, _FOOTER = 0x80, 0x40, 0x10
_FRAME_CHANGED = 0x0F  # compressed, encrypted, unsynchronised or with a length of its own, in version 4


def size_of(head: bytes) -> int:
    """The bytes that a tag takes, from its first ten; 0 where there is none."""
    if head[:3] != b"ID3" or len(head) < _HEADER_BYTES:
        return 0
    footer = _HEADER_BYTES if head[5] & _FOOTER else 0
    return _HEADER_BYTES + _synchsafe(head[6:10]) + footer


def _synchsafe(data: bytes) -> int:
    require(all(byte < 0x80 for byte in data), "tag", "a length in bytes below 128", data.hex())
    return data[0] << 21 | data[1] << 14 | data[2] << 7 | data[3]


def check(tag: bytes) -> None:
    """Refuse what a tag holds besides words and pictures."""
    require(size_of(tag) == len(tag), "tag", f"an ID3 tag of {len(tag)} bytes", str(size_of(tag)))
    version, flags = tag[3], tag[5]
    require(version in {2, 3, 4}, "tag", "ID3 version 2, 3 or 4", str(version))
    require(not flags & (_UNSYNCHRONISED | _EXTENDED), "tag", "a plain ID3 tag", f"flags 0x{flags:02x}")
    at, end = _HEADER_BYTES, len(tag) - (_HEADER_BYTES if flags & _FOOTER else 0)
    header = 6 if version == 2 else 10
    while at + header <= end and tag[at]:
        at = _check_frame(tag, at, end, version)
    require(not tag[at:end].strip(b"\0"), "tag", "zeros after the last frame", "something else")


def _check_frame(tag: bytes, at: int, end: int, version: int) -> int:
    name = tag[at : at + (3 if version == 2 else 4)]
    if version == 2:
        size, start = int.from_bytes(tag[at + 3 : at + 6]), at + 6
    else:
        size = _synchsafe(tag[at + 4 : at + 8]) if version == 4 else int.from_bytes(tag[at + 4 : at + 8])
        start = at + 10
    require(name.isalnum() and name.upper() == name, "tag", "frames with names", f"{name!a}")
    require(start + size <= end, "tag", f"{size} bytes in the frame {name!a}", f"{end - start}")
    require(name not in _OBJECTS, "tag", "words and pictures", f"{_OBJECTS.get(name)} in {name!a}")
    changed = tag[at + 9] & (_FRAME_CHANGED if version == 4 else 0xE0) if version > 2 else 0
    require(not changed, "tag", f"a plain frame {name!a}", f"flags 0x{changed:02x}")
    if name in {b"APIC", b"PIC"}:
        check_picture(_picture(tag[start : start + size], version), f"the frame {name!a}")
    return start + size


def _picture(frame: bytes, version: int) -> bytes:
    """What follows the encoding, the type, the kind and the description."""
    wide = frame[:1] in {b"\1", b"\2"}
    rest = frame[5:] if version == 2 else frame[1:].partition(b"\0")[2][1:]
    if not wide:
        return rest.partition(b"\0")[2]
    at = next((i for i in range(0, len(rest) - 1, 2) if rest[i : i + 2] == b"\0\0"), len(rest))
    return rest[at + 2 :]
