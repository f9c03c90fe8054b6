"""Whether bytes are a pickle: a program for a small machine that can call anything, whatever the file is called.

Rules. The program is followed without running it: what each instruction takes and leaves is counted, no object is made
and nothing is imported. Bytes are a pickle when, from the first one, they either end as a pickle ends or call something
before they break: what is called has run by then. All protocols, the oldest of plain text too. Pure, but for reading.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

HINT = "`casemate airlock convert FILE` makes safetensors of plain weights"
EXPECTED = f"data and no pickle, which runs code when it is loaded; {HINT}"

_MAX_STEPS = 1_000_000
_MAX_LINE_BYTES = 1 << 16

# Instructions by how what they carry is told: so many bytes, lines of text, or bytes whose number comes first.
_FIXED = {
    b"\x80": 1, b"J": 4, b"K": 1, b"M": 2, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4, b"\x82": 1, b"\x83": 2,
    b"\x84": 4, b"\x95": 8,
}  # fmt: skip
_LINES = {b"F": 1, b"I": 1, b"L": 1, b"S": 1, b"V": 1, b"P": 1, b"g": 1, b"p": 1, b"c": 2, b"i": 2}
_COUNTED = {
    b"T": 4, b"U": 1, b"X": 4, b"B": 4, b"C": 1, b"\x8a": 1, b"\x8b": 4, b"\x8c": 1, b"\x8d": 8, b"\x8e": 8, b"\x96": 8,
}  # fmt: skip
_NAME, _NUMBER = re.compile(rb"[\w.<>-]+"), re.compile(rb"-?\d{1,4096}L?")
_LEGAL = {
    b"c": _NAME, b"i": _NAME, b"g": _NUMBER, b"p": _NUMBER, b"I": _NUMBER, b"L": _NUMBER,
    b"F": re.compile(rb"[-+.\w]{1,64}"), b"S": re.compile(rb"'.*'|\".*\"", re.DOTALL),
}  # fmt: skip
# How many things an instruction takes, and how many it leaves; those that take all since a mark are not here.
_STACK = {
    **dict.fromkeys((b"J", b"K", b"M", b"G", b"F", b"I", b"L", b"S", b"V", b"T", b"U", b"X", b"B", b"C"), (0, 1)),
    **dict.fromkeys((b"\x8a", b"\x8b", b"\x8c", b"\x8d", b"\x8e", b"\x96", b"\x97", b"N", b")", b"}", b"]"), (0, 1)),
    **dict.fromkeys((b"\x88", b"\x89", b"\x8f", b"c", b"P", b"g", b"h", b"j", b"\x82", b"\x83", b"\x84"), (0, 1)),
    **dict.fromkeys((b"p", b"q", b"r", b"\x94", b"\x98", b"Q", b"\x85"), (1, 1)),
    **dict.fromkeys((b"\x93", b"R", b"\x81", b"a", b"b", b"\x86"), (2, 1)),
    **dict.fromkeys((b"\x92", b"s", b"\x87"), (3, 1)),
    **dict.fromkeys((b"\x80", b"\x95"), (0, 0)),
    b"0": (1, 0),
    b"2": (1, 2),
}
_TO_MARK = {b"l": 1, b"t": 1, b"d": 1, b"\x91": 1, b"i": 1, b"o": 1, b"1": 0}  # leave so many in place of the mark
_INTO_BELOW = frozenset({b"e", b"u", b"\x90"})  # put all since the mark into what is below it
_KNOWN = _STACK.keys() | _TO_MARK.keys() | _INTO_BELOW | {b"("}
_CALLS = frozenset({b"R", b"i", b"o", b"\x81", b"\x92", b"b", b"\x82", b"\x83", b"\x84"})


@dataclass(frozen=True)
class Walk:
    """What following a program saw: its steps, whether it reached its end, the names it takes, whether it calls."""

    steps: int
    ended: bool
    names: tuple[str, ...]
    calls: bool

    @property
    def is_pickle(self) -> bool:
        """Whether loading it would give something, or would have called something before it failed."""
        return self.ended or self.calls


def follow(stream: BinaryIO) -> Walk:
    """Follow the bytes of a stream as a pickle until they end or make no sense."""
    machine = _Machine(stream)
    while machine.steps < _MAX_STEPS and machine.step():
        pass
    return Walk(machine.steps, machine.ended, tuple(machine.names), machine.calls or machine.steps >= _MAX_STEPS)


class _Machine:
    """The stack of a pickle, of which only the height and the places of its marks are kept."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._end = stream, _length(stream)
        self._height = 0
        self._marks: list[int] = []
        self.steps, self.ended, self.calls = 0, False, False
        self.names: list[str] = []

    def step(self) -> bool:
        """One instruction; false when it was the last or makes no sense."""
        code = self._stream.read(1)
        if code == b".":
            self.ended = self._free() > 0
            return False
        if not code or not self._carried(code) or not self._move(code):
            return False
        self.steps += 1
        self.calls |= code in _CALLS
        return True

    def _free(self) -> int:
        """How many things lie above the last mark."""
        return self._height - (self._marks[-1] if self._marks else 0)

    def _carried(self, code: bytes) -> bool:
        """Read what an instruction carries; false where that is not what it takes."""
        if code in _FIXED:
            return len(self._stream.read(_FIXED[code])) == _FIXED[code]
        if code in _COUNTED:
            return self._skip(_COUNTED[code])
        lines = [self._line() for _ in range(_LINES.get(code, 0))]
        if code in {b"c", b"i"}:
            self.names.append(b" ".join(lines).decode("utf-8", "replace")[:120])
        legal = _LEGAL.get(code)
        return code in _KNOWN and (legal is None or all(legal.fullmatch(line) for line in lines))

    def _skip(self, width: int) -> bool:
        head = self._stream.read(width)
        to = self._stream.tell() + int.from_bytes(head, "little")
        if len(head) < width or to > self._end:
            return False
        self._stream.seek(to)
        return True

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE_BYTES)
        return line[:-1] if line.endswith(b"\n") else b"\n"

    def _move(self, code: bytes) -> bool:
        """Take and leave what an instruction does; false where there is too little."""
        if code == b"(":
            self._marks.append(self._height)
            return True
        if code in _TO_MARK or code in _INTO_BELOW or (code == b"0" and self._marks and not self._free()):
            if not self._marks:
                return False
            self._height = self._marks.pop() + _TO_MARK.get(code, 0)
            return code not in _INTO_BELOW or self._free() > 0
        takes, leaves = _STACK[code]
        if takes > self._free():
            return False
        self._height += leaves - takes
        return True


def _length(stream: BinaryIO) -> int:
    here = stream.tell()
    end = stream.seek(0, 2)
    stream.seek(here)
    return end
