"""Forward error correction by RaptorQ (RFC 6330), in a process of its own.

Rules. The first symbols of a block are its bytes (the code is systematic), so that where nothing is lost nothing is
computed. The child is never trusted: its answer is data, checked against the block's SHA-256 by who asked; a child that
dies is replaced, and its block counts as not decoded.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import IO, Self

from casemate.airlock.diode.coder import DECODE, ENCODE, HEAD, LENGTH
from casemate.airlock.diode.packet import SYMBOL_ID_BYTES
from casemate.airlock.pool import environment
from casemate.errors import Unavailable


def symbols_of(length: int, symbol_bytes: int) -> int:
    """How many symbols hold a block."""
    return -(-length // symbol_bytes)


def source_packets(data: bytes, symbol_bytes: int) -> list[bytes]:
    """A block's own bytes as packets, the last one filled with zeros."""
    count = symbols_of(len(data), symbol_bytes)
    padded = data.ljust(count * symbol_bytes, b"\0")
    return [
        number.to_bytes(SYMBOL_ID_BYTES, "big") + padded[number * symbol_bytes : (number + 1) * symbol_bytes]
        for number in range(count)
    ]


class Coder:
    """One coding process; not for two threads at once."""

    def __init__(self) -> None:
        """The process is started by the first use."""
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def repair_packets(self, data: bytes, symbol_bytes: int, count: int) -> list[bytes]:
        """`count` repair packets of a block."""
        if not count:
            return []
        step = SYMBOL_ID_BYTES + symbol_bytes
        answer = self._ask(HEAD.pack(ENCODE, symbol_bytes, count, len(data)), [data], count * step)
        if not answer:
            raise Unavailable("FEC coder", expected=f"{count} repair packets", found="a process that ended")
        return [answer[start : start + step] for start in range(0, len(answer), step)]

    def decode(self, packets: Sequence[bytes], symbol_bytes: int, length: int) -> bytes | None:
        """The block of `length` bytes that packets of the right size give, or None."""
        size = len(packets) * (SYMBOL_ID_BYTES + symbol_bytes)
        return self._ask(HEAD.pack(DECODE, symbol_bytes, length, size), packets, length) or None

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _ask(self, head: bytes, parts: Sequence[bytes], wanted: int) -> bytes | None:
        """`wanted` bytes, or none: "not enough"; None where the child broke."""
        process = self._process = self._process or _start()
        try:
            answer = _exchange(process, head + b"".join(parts), wanted)
        except BrokenPipeError:
            answer = None
        if answer is None:
            self.close()
        return answer


def _start() -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-I", "-W", "ignore", "-m", "casemate.airlock.diode.coder"]
    pipe = subprocess.PIPE
    return subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, env=environment(), cwd="/")


def _exchange(process: subprocess.Popen[bytes], message: bytes, wanted: int) -> bytes | None:
    into, out = _pipes(process)
    into.write(message)
    into.flush()
    head = out.read(LENGTH.size)
    if len(head) < LENGTH.size:
        return None
    length = LENGTH.unpack(head)[0]
    if length not in {0, wanted}:
        return None
    answer = out.read(length)
    return answer if len(answer) == length else None


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    if process.stdin is None or process.stdout is None:
        raise RuntimeError("a coder without pipes")
    return process.stdin, process.stdout
