"""Whether bytes are a pickle: a program for a small machine that can call anything, whatever the file is called.

Rules. The program is followed without running it: of each thing that an instruction makes only its kind is kept, no
object is made and nothing is imported. Bytes are a pickle when, from the first one, they call what they named, even if
they break later: it has run by then. They are one too when they end as a pickle ends and it is no chance: they name
something, begin as protocols 2 and later do, are lines of the oldest protocol, or are long. Without a name nothing can
run: what is called must be callable, what names must be text. Codes of extensions name nothing where no program
registers them, so they count only in what ends. All protocols, the oldest of plain text too. Pure, but for reading.

Random bytes are one about once in a million files (2 of 2,000,000 seen).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import BinaryIO

HINT = "`casemate airlock convert FILE` makes safetensors of plain weights"
EXPECTED = f"data and no pickle, which runs code when it is loaded; {HINT}"

_MAX_STEPS = 1_000_000
_PIECE_BYTES, _KEPT_BYTES = 1 << 16, 1 << 16
_LAST_PROTOCOL = 15  # 5 in 2031, and some room
_LONG_STEPS = 8  # that many instructions in a row are no chance

# Instructions by how what they carry is told: so many bytes, lines of text, or bytes whose number comes first.
_FIXED = {
    b"\x80": 1, b"J": 4, b"K": 1, b"M": 2, b"G": 8, b"h": 1, b"j": 4, b"q": 1, b"r": 4, b"\x82": 1, b"\x83": 2,
    b"\x84": 4, b"\x95": 8,
}  # fmt: skip
_LINES = {b"F": 1, b"I": 1, b"L": 1, b"S": 1, b"V": 1, b"P": 1, b"g": 1, b"p": 1, b"c": 2, b"i": 2}
_COUNTED = {
    b"T": 4, b"U": 1, b"X": 4, b"B": 4, b"C": 1, b"\x8a": 1, b"\x8b": 4, b"\x8c": 1, b"\x8d": 8, b"\x8e": 8, b"\x96": 8,
}  # fmt: skip
_SPACE = rb"[ \t\v\f\r]*"
_NAME, _INDEX = re.compile(rb"[\w.<>-]+"), re.compile(_SPACE + rb"[-+]?\d(?:_?\d){0,1000}" + _SPACE)
_NUMBER = re.compile(_SPACE + rb"[-+]?\d\w{0,4096}" + _SPACE)
_LEGAL = {
    b"c": _NAME, b"i": _NAME, b"g": _INDEX, b"p": _INDEX, b"I": _NUMBER, b"L": _NUMBER,
    b"F": re.compile(_SPACE + rb"[-+.\w]{1,64}" + _SPACE),
    b"S": re.compile(_SPACE + rb"(?:'.*'|\".*\")" + _SPACE, re.DOTALL),
    b"P": re.compile(rb"[\x00-\x7f]*"),
}  # fmt: skip
_NOT_TEXT = re.compile(rb"[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f]")
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
# The kinds of things: text, a tuple, what was named, an extension, what was called or is up to who loads, any other.
_TEXT, _TUPLE, _NAMED, _EXTENSION, _ANYTHING, _OTHER = "text", "tuple", "named", "extension", "anything", "other"
_MAKES = {
    **dict.fromkeys((b"V", b"X", b"\x8c", b"\x8d", b"S", b"T", b"U"), _TEXT),
    **dict.fromkeys((b")", b"\x85", b"\x86", b"\x87", b"t"), _TUPLE),
    **dict.fromkeys((b"c", b"\x93"), _NAMED),
    **dict.fromkeys((b"\x82", b"\x83", b"\x84"), _EXTENSION),
    **dict.fromkeys((b"P", b"Q", b"i", b"o", b"R", b"\x81", b"\x92"), _ANYTHING),
}
# What an instruction that calls or names takes, from the lowest; what is missing here takes anything.
_CALLABLE, _ARGUMENTS = {_NAMED, _EXTENSION, _ANYTHING}, {_TUPLE, _NAMED, _ANYTHING}
_TEXTS = {_TEXT, _NAMED, _ANYTHING}
_TAKES: dict[bytes, tuple[set[str], ...]] = {
    b"R": (_CALLABLE, _ARGUMENTS), b"\x81": (_CALLABLE, _ARGUMENTS), b"\x92": (_CALLABLE, _ARGUMENTS),
    b"b": (_CALLABLE,), b"o": (_CALLABLE,), b"\x93": (_TEXTS, _TEXTS),
}  # fmt: skip
_CALLS = frozenset({b"R", b"i", b"o", b"\x81", b"\x92", b"b"})
_KEEPS = frozenset({b"p", b"q", b"r", b"\x94", b"a", b"s", b"b"})  # what is below stays what it is
_PUTS, _GETS = {b"p", b"q", b"r"}, {b"g", b"h", b"j"}


@dataclass(frozen=True)
class Walk:
    """What following a program saw: its steps, whether it ended (not by chance), its names, whether it calls."""

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
    """The stack of a pickle, of which the kinds of things and the places of its marks are kept, and its memory."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream, self._start, self._end = stream, stream.tell(), _length(stream)
        self._stack: list[str] = []
        self._marks: list[int] = []
        self._memory: dict[int, str] = {}
        self._named = self._head = False
        self.steps, self.ended, self.calls = 0, False, False
        self.names: list[str] = []

    def step(self) -> bool:
        """One instruction; false when it was the last or makes no sense."""
        code = self._stream.read(1)
        if code == b".":
            self.ended = self._free() > 0 and self._is_no_chance()
            return False
        carried = self._carried(code) if code in _KNOWN else None
        if carried is None or not self._move(code, carried):
            return False
        self._head |= code == b"\x80" and self.steps == 0
        self.steps += 1
        return True

    def _is_no_chance(self) -> bool:
        """Whether what ended here was written as a pickle."""
        if self._named or self._head or self.steps >= _LONG_STEPS:
            return True
        length = self._stream.tell() - self._start
        self._stream.seek(self._start)
        program = self._stream.read(min(length, _KEPT_BYTES))
        return b"\n" in program and not _NOT_TEXT.search(program)

    def _free(self) -> int:
        """How many things lie above the last mark."""
        return len(self._stack) - (self._marks[-1] if self._marks else 0)

    def _carried(self, code: bytes) -> bytes | None:
        """What an instruction carries, as far as it matters here; none where it is not what the instruction takes."""
        if code in _FIXED:
            carried = self._stream.read(_FIXED[code])
            whole = len(carried) == _FIXED[code] and not (code == b"\x80" and carried[0] > _LAST_PROTOCOL)
            return carried if whole else None
        if code in _COUNTED:
            return self._skip(_COUNTED[code])
        lines = [self._line() for _ in range(_LINES.get(code, 0))]
        legal = _LEGAL.get(code)
        if any(line is None or (legal and not legal.fullmatch(line)) for line in lines):
            return None
        carried = b" ".join(line for line in lines if line is not None)
        if code in {b"c", b"i"}:
            self.names.append(carried.decode("utf-8", "replace")[:120])
        return carried

    def _skip(self, width: int) -> bytes | None:
        head = self._stream.read(width)
        to = self._stream.tell() + int.from_bytes(head, "little")
        if len(head) < width or to > self._end:
            return None
        self._stream.seek(to)
        return b""

    def _line(self) -> bytes | None:
        """A line of any length, of which the beginning is kept; none where the file ends first."""
        line = piece = self._stream.readline(_PIECE_BYTES)
        while piece and not piece.endswith(b"\n"):
            piece = self._stream.readline(_PIECE_BYTES)
        return line.removesuffix(b"\n") if piece else None

    def _move(self, code: bytes, carried: bytes) -> bool:
        """Take and leave what an instruction does; false where there is too little, or another kind of thing."""
        if code == b"(":
            self._marks.append(len(self._stack))
            return True
        if code in _GETS:
            return self._get(_index(code, carried))
        to_mark = code in _TO_MARK or code in _INTO_BELOW or (code == b"0" and bool(self._marks) and not self._free())
        if to_mark and not self._marks:
            return False
        takes, leaves = (self._free(), _TO_MARK.get(code, 0)) if to_mark else _STACK[code]
        if takes > self._free():
            return False
        taken = self._stack[len(self._stack) - takes :]
        if not self._suits(code, taken):
            return False
        del self._stack[len(self._stack) - takes :]
        if to_mark:
            self._marks.pop()
        made = taken[0] if taken and (code in _KEEPS or code == b"2") else _MAKES.get(code, _OTHER)
        self._stack += [made] * leaves
        self._put(code, carried, made)
        self._named |= made == _NAMED or code in _CALLS
        return code not in _INTO_BELOW or self._free() > 0

    def _suits(self, code: bytes, taken: list[str]) -> bool:
        wanted = _TAKES.get(code, ())
        if len(taken) < len(wanted) or any(kind not in kinds for kind, kinds in zip(taken, wanted, strict=False)):
            return False
        self.calls |= code == b"i" or (code in _CALLS and taken[0] != _EXTENSION)
        return True

    def _get(self, index: int) -> bool:
        kind = self._memory.get(index)
        if kind is not None:
            self._stack.append(kind)
        return kind is not None

    def _put(self, code: bytes, carried: bytes, kind: str) -> None:
        if code in _PUTS or code == b"\x94":
            self._memory[len(self._memory) if code == b"\x94" else _index(code, carried)] = kind


def _index(code: bytes, carried: bytes) -> int:
    return int(carried) if code in {b"g", b"p"} else int.from_bytes(carried, "little")


def _length(stream: BinaryIO) -> int:
    here = stream.tell()
    end = stream.seek(0, 2)
    stream.seek(here)
    return end
