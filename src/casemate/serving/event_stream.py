"""Events that a server sends (`text/event-stream`), cut out of bytes as they come.

Rules. Pure. A line and a whole stream have their limits: a server that sends one line without end is not waited for.
Only `data` is read; comments and names are passed over.
Source: HTML Living Standard, 9.2.6.
"""

from __future__ import annotations

from casemate.errors import Unavailable

_MOST_LINE_BYTES = 1 << 20


class EventStream:
    """Bytes go in, the data of whole events comes out."""

    def __init__(self, *, thing: str, most_bytes: int) -> None:
        self._thing, self._most = thing, most_bytes
        self._line, self._data, self._read = bytearray(), list[str](), 0

    def feed(self, data: bytes) -> list[str]:
        """The data of the events that `data` completes; Unavailable beyond a limit or for what is no UTF-8."""
        self._read += len(data)
        self._line += data
        *lines, rest = bytes(self._line).replace(b"\r\n", b"\n").split(b"\n")
        self._line = bytearray(rest)
        if len(rest) > _MOST_LINE_BYTES:
            raise Unavailable(self._thing, expected=f"lines of at most {_MOST_LINE_BYTES} bytes", found="a longer one")
        if self._read > self._most:  # after the line, so that what is said does not hang on how the bytes were cut
            raise Unavailable(self._thing, expected=f"an answer of at most {self._most} bytes", found="more")
        return [event for line in lines if (event := self._take(line)) is not None]

    def _take(self, line: bytes) -> str | None:
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError as why:
            raise Unavailable(self._thing, expected="events in UTF-8", found="other bytes") from why
        if text.startswith("data:"):
            self._data.append(text[5:].removeprefix(" "))
        elif not text and self._data:
            event, self._data = "\n".join(self._data), []
            return event
        return None
