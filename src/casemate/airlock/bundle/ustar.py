"""Plain ustar archives in one spelling, so that reading one is comparing it with what it must be.

Source: IEEE Std 1003.1, pax, "ustar Interchange Format". Rules. A member is a regular file of mode 0444, owner 0, time
0, with a short ASCII name; padding is zeros; two zero blocks end the archive and nothing follows. Any `tar` reads it.
Nothing here interprets a header: one is computed from the name and size that it must have, and compared byte for byte.
"""

from __future__ import annotations

from casemate.errors import BadInput, NotTrusted

BLOCK = 512
END = bytes(2 * BLOCK)
_NAME_BYTES = 100
_SIZE_MAX = 8**11 - 1


def _blank() -> bytes:
    block = bytearray(BLOCK)
    block[100:124] = b"0000444\0" + b"0000000\0" * 2  # mode, owner, group
    block[136:157] = b"00000000000\0" + b" " * 8 + b"0"  # time, checksum (as spaces while it is summed), regular file
    block[257:265] = b"ustar\00000"
    block[329:345] = b"0000000\0" * 2  # device numbers
    return bytes(block)


_BLANK = _blank()
_BLANK_SUM = sum(_BLANK)


def header(name: str, size: int) -> bytes:
    """The header block of a member; BadInput for a name or size that ustar cannot hold."""
    path, length = name.encode("ascii", "replace"), b"%011o\0" % size
    if len(path) > _NAME_BYTES or not name.isascii() or size > _SIZE_MAX:
        expected = f"an ASCII name of at most {_NAME_BYTES} characters and at most {_SIZE_MAX} bytes"
        raise BadInput(f"tar member {name!a}", expected=expected, found=f"{len(path)} characters, {size} bytes")
    block = bytearray(_BLANK)
    block[: len(path)] = path
    block[124:136] = length
    block[148:156] = b"%06o\0 " % (_BLANK_SUM + sum(path) + sum(length))
    return bytes(block)


def claimed(block: bytes, thing: str) -> tuple[str, int]:
    """The name and size in a header that is spelled as `header` spells it; NotTrusted otherwise."""
    name, size = block[:_NAME_BYTES].rstrip(b"\0"), block[124:135]
    if len(block) == BLOCK and name.isascii() and size.isdigit() and not set(size) & set(b"89"):
        found = name.decode(), int(size, 8)
        if header(*found) == block:
            return found
    raise NotTrusted(thing, expected="a tar header as bundles have them", found="another, or damage")


def padding(size: int) -> bytes:
    """The zeros after `size` bytes of data."""
    return bytes(-size % BLOCK)


def taken(size: int) -> int:
    """The bytes that a member with `size` bytes of data takes: header, data, padding."""
    return BLOCK + size + -size % BLOCK
