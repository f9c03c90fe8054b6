"""What confined child processes and those who started them say to one another: JSON, each with its length before it.

JSON and not a Python format, so that a scanner taken over by what it read can say nothing that its parent would run.
"""

from __future__ import annotations

import json
import struct
from typing import Any

_LENGTH = struct.Struct(">I")
MAX_MESSAGE_BYTES = 1 << 20


def pack(message: dict[str, Any]) -> bytes:
    """A message as bytes, its length in front."""
    body = json.dumps(message).encode()
    return _LENGTH.pack(len(body)) + body


class Unpacker:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> list[dict[str, Any]]:
        """The messages that `data` completes; ValueError where the stream is not one of messages."""
        self._bytes += data
        messages = []
        while len(self._bytes) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._bytes)
            if length > MAX_MESSAGE_BYTES:
                raise ValueError(f"a message of {length} bytes")
            end = _LENGTH.size + length
            if len(self._bytes) < end:
                break
            message = json.loads(bytes(self._bytes[_LENGTH.size : end]))
            if not isinstance(message, dict):
                raise ValueError("a message that is no object")  # noqa: TRY004  one error for one broken stream
            messages.append(message)
            del self._bytes[:end]
        return messages
