"""What a sender says of a bundle before anything else: how it is cut, and the digests of the index that lists it.

Rules. A session's name is the digest of its announcement, so an announcement cannot be changed or stand in for another:
who announces something else has another session. Nothing is reserved in memory or on disk for what is announced, and
what is beyond the limits is refused. The same bundle cut in the same way is the same session, today or next week: that
is what makes sending missing blocks again possible.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from functools import cached_property

from casemate.airlock.diode.limits import (
    BLOCK_BYTES_MAX,
    BLOCK_BYTES_MIN,
    INDEX_BLOCKS_MAX,
    SYMBOL_BYTES_MAX,
    SYMBOL_BYTES_MIN,
    LinkLimits,
)
from casemate.errors import BadInput

SESSION_BYTES = 16
_FACTS = struct.Struct(">HIQI")
_DIGEST_BYTES = 32
_DOMAIN = b"casemate-diode/1\0"


@dataclass(frozen=True)
class Announcement:
    """How a bundle is cut: `stream_bytes` of files one after another in blocks of `block_bytes`, and its index."""

    symbol_bytes: int
    block_bytes: int
    stream_bytes: int
    index_bytes: int
    index_blocks: tuple[bytes, ...]

    @classmethod
    def of(cls, index: bytes, *, stream_bytes: int, block_bytes: int, symbol_bytes: int) -> Announcement:
        """The announcement of a bundle with this index; BadInput where it would not fit into one packet."""
        cuts = range(0, len(index), block_bytes)
        digests = tuple(hashlib.sha256(index[start : start + block_bytes]).digest() for start in cuts)
        announcement = cls(symbol_bytes, block_bytes, stream_bytes, len(index), digests)
        announcement.check()
        return announcement

    @classmethod
    def from_bytes(cls, data: bytes) -> Announcement:
        """Read an announcement; BadInput where it is none."""
        if len(data) < _FACTS.size or (len(data) - _FACTS.size) % _DIGEST_BYTES:
            raise BadInput("announcement", expected="facts and digests", found=f"{len(data)} bytes")
        digests = tuple(data[at : at + _DIGEST_BYTES] for at in range(_FACTS.size, len(data), _DIGEST_BYTES))
        symbol_bytes, block_bytes, stream_bytes, index_bytes = _FACTS.unpack_from(data)
        announcement = cls(symbol_bytes, block_bytes, stream_bytes, index_bytes, digests)
        announcement.check()
        return announcement

    def to_bytes(self) -> bytes:
        """The bytes whose digest is the session's name."""
        facts = _FACTS.pack(self.symbol_bytes, self.block_bytes, self.stream_bytes, self.index_bytes)
        return facts + b"".join(self.index_blocks)

    @cached_property
    def session(self) -> bytes:
        """The session's name: the first 16 bytes of a SHA-256."""
        return hashlib.sha256(_DOMAIN + self.to_bytes()).digest()[:SESSION_BYTES]

    @property
    def blocks(self) -> int:
        """How many blocks the files make."""
        return -(-self.stream_bytes // self.block_bytes)

    def block_length(self, block: int) -> int:
        """The bytes of a block; the last one may be shorter."""
        return min(self.block_bytes, self.stream_bytes - block * self.block_bytes)

    def index_length(self, block: int) -> int:
        """The bytes of a block of the index."""
        return min(self.block_bytes, self.index_bytes - block * self.block_bytes)

    def check(self) -> None:
        """Refuse sizes that no sender of ours announces."""
        if not SYMBOL_BYTES_MIN <= self.symbol_bytes <= SYMBOL_BYTES_MAX or self.symbol_bytes % 8:
            expected = f"symbols of {SYMBOL_BYTES_MIN} to {SYMBOL_BYTES_MAX} bytes, a multiple of 8"
            raise BadInput("announcement", expected=expected, found=self.symbol_bytes)
        if not BLOCK_BYTES_MIN <= self.block_bytes <= BLOCK_BYTES_MAX:
            expected = f"blocks of {BLOCK_BYTES_MIN} to {BLOCK_BYTES_MAX} bytes"
            raise BadInput("announcement", expected=expected, found=self.block_bytes)
        needed = -(-self.index_bytes // self.block_bytes)
        if not 1 <= needed <= INDEX_BLOCKS_MAX:
            expected = (
                f"an index of 1 to {INDEX_BLOCKS_MAX} blocks of {self.block_bytes} bytes (larger blocks hold more)"
            )
            raise BadInput("announcement", expected=expected, found=f"{self.index_bytes} bytes")
        if len(self.index_blocks) != needed:
            raise BadInput("announcement", expected=f"{needed} digests", found=len(self.index_blocks))

    def check_within(self, limits: LinkLimits) -> None:
        """Refuse what is announced beyond the receiver's limits."""
        if self.stream_bytes > limits.max_bytes:
            raise BadInput("announcement", expected=f"at most {limits.max_bytes} bytes", found=self.stream_bytes)
        if self.index_bytes > limits.max_index_bytes:
            expected = f"an index of at most {limits.max_index_bytes} bytes"
            raise BadInput("announcement", expected=expected, found=self.index_bytes)
        symbols = -(-self.block_bytes // self.symbol_bytes)
        if self.block_bytes > limits.max_block_bytes or symbols > limits.max_block_symbols:
            expected = f"blocks of at most {limits.max_block_bytes} bytes and {limits.max_block_symbols} symbols"
            raise BadInput("announcement", expected=expected, found=f"{self.block_bytes} bytes, {symbols} symbols")

    def fits(self, limits: LinkLimits) -> bool:
        """Whether it is within the receiver's limits."""
        try:
            self.check_within(limits)
        except BadInput:
            return False
        return True
