"""The process that unpacks one archive: `python -m casemate.airlock.unpack_child`, started by `unpack`.

Rules. It can write nothing: it says the name of each member and sends the bytes, and its parent writes what its own
rules let through. It is confined like a scanner before it opens the archive. What an archive may not be is told as a
finding; an error that no reader answers ends the process, and its parent reports that.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casemate.airlock.archives import BadArchiveError, reader_of
from casemate.airlock.limits import ScanLimits
from casemate.airlock.unpack_frames import DATA, SAID, frame
from casemate.compute.cell import allow_processor_s, confine
from casemate.compute.messages import Unpacker, pack

_READ_BYTES = 1 << 16
_GATHERED_BYTES = 1 << 18


def main() -> None:
    """Read one message from standard input; answer with frames on standard output."""
    out = _Out(os.dup(1))
    os.dup2(2, 1)  # a library that prints must not speak in our name
    order = next(_messages())
    limits = ScanLimits(**order["limits"])
    archive = Path(order["archive"])
    reader = reader_of(order["type"])
    facts = confine(archive, memory_bytes=limits.memory_bytes)
    allow_processor_s(order["processor_s"])
    out.say({"confinement": facts, "versions": {"unpack": "1", **reader.versions()}})
    try:
        with archive.open("rb") as stream:
            count = 0
            for member in reader.members(stream, order["type"], order["name"], limits):
                out.say({"member": member.path})
                for piece in member.pieces:
                    out.send(piece)
                count += 1
        out.say({"members": count})
    except BadArchiveError as why:
        out.say({"refused": [why.expected, why.found]})
    except MemoryError:
        out.say({"refused": [f"an archive that unpacks within {limits.memory_bytes >> 20} MiB", "more needed"]})
    out.flush()


class _Out:
    """What is sent, gathered so that many small members do not become many small writes."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._data, self._frames = bytearray(), bytearray()

    def say(self, message: dict[str, Any]) -> None:
        self._end_data()
        self._add(frame(SAID, pack(message)))

    def send(self, data: bytes) -> None:
        self._data += data
        if len(self._data) >= _GATHERED_BYTES:
            self._end_data()

    def flush(self) -> None:
        left = memoryview(bytes(self._frames))
        self._frames.clear()
        while left:
            left = left[os.write(self._fd, left) :]

    def _end_data(self) -> None:
        if self._data:
            self._add(frame(DATA, self._data))
            self._data.clear()

    def _add(self, data: bytes) -> None:
        self._frames += data
        if len(self._frames) >= _GATHERED_BYTES:
            self.flush()


def _messages() -> Iterator[dict[str, Any]]:
    unpacker = Unpacker()
    while data := os.read(0, _READ_BYTES):
        yield from unpacker.feed(data)


if __name__ == "__main__":
    main()
