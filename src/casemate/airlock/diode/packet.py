"""One packet on the link: header, body, CRC.

    magic 4 · kind 1 · session 16 · block 4 · body · CRC-32 of all before it 4

Rules. The body is an announcement, or a symbol as RFC 6330 writes it (source block 1 byte, always 0; symbol 3 bytes;
then the symbol). The CRC finds accidents, not malice: a block's SHA-256 decides. What is no packet is nothing, without
a word.
"""

from __future__ import annotations

import struct
import zlib
from enum import IntEnum
from typing import NamedTuple

from casemate.airlock.diode.announcement import SESSION_BYTES, Announcement
from casemate.airlock.diode.limits import SYMBOL_BYTES_MAX

MAGIC = b"CMD1"
SYMBOL_ID_BYTES = 4
_HEADER = struct.Struct(f">4sB{SESSION_BYTES}sI")
_CRC = struct.Struct(">I")
OVERHEAD_BYTES = _HEADER.size + SYMBOL_ID_BYTES + _CRC.size
PACKET_BYTES_MAX = OVERHEAD_BYTES + SYMBOL_BYTES_MAX


class Kind(IntEnum):
    """What a packet's body is."""

    ANNOUNCEMENT = 0
    INDEX = 1
    BLOCK = 2


class Packet(NamedTuple):
    """A packet whose CRC is right."""

    kind: int
    session: bytes
    block: int
    body: bytes


def header(kind: Kind, session: bytes, block: int) -> bytes:
    """The header that all packets of a block share."""
    return _HEADER.pack(MAGIC, kind, session, block)


def pack(head: bytes, body: bytes) -> bytes:
    """A packet as it is sent."""
    data = head + body
    return data + _CRC.pack(zlib.crc32(data))


def announce(announcement: Announcement) -> bytes:
    """The packet that announces a session."""
    return pack(header(Kind.ANNOUNCEMENT, announcement.session, 0), announcement.to_bytes())


def unpack(data: memoryview) -> Packet | None:
    """The packet in `data`, or None where there is none."""
    end = len(data) - _CRC.size
    if end < _HEADER.size or zlib.crc32(data[:end]) != _CRC.unpack_from(data, end)[0]:
        return None
    magic, kind, session, block = _HEADER.unpack_from(data)
    if magic != MAGIC:
        return None
    return Packet(kind, session, block, bytes(data[_HEADER.size : end]))
