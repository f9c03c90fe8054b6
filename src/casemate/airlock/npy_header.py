"""The header of an array of NumPy: read by a reader of its own, which knows numbers, texts, tuples, lists and no more.

Rules. NumPy reads these headers as Python; here nothing is evaluated. A type is a plain one, or fields of plain ones.
An object is a pickle in disguise and is refused as one. Pure, but for reading.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from math import prod
from typing import Any, BinaryIO

from casemate.airlock.pickles import EXPECTED
from casemate.airlock.report import Finding

MAGIC = b"\x93NUMPY"
_VERSIONS = {(1, 0): "<H", (2, 0): "<I", (3, 0): "<I"}
_MAX_HEADER_BYTES = 64 << 10
_MAX_DIMENSIONS = 64
_MAX_DEPTH = 12
_TOKEN = re.compile(
    r"""\s*(?:(?P<text>'[^'\\\n]*'|"[^"\\\n]*")|(?P<number>\d{1,19})L?|(?P<word>True|False|None)|(?P<mark>[][(){},:]))"""
)
_TYPE = re.compile(r"[<>|=]?([bBiufcSUVmM])(\d{0,9})(\[\w{1,8}\])?")
_OBJECT = re.compile(r"[<>|=]?O\d*")
_SIZES = {
    "b": {1}, "B": {1}, "i": {1, 2, 4, 8}, "u": {1, 2, 4, 8}, "f": {2, 4, 8, 12, 16}, "c": {8, 16, 24, 32}, "m": {8},
    "M": {8},
}  # fmt: skip


@dataclass(frozen=True)
class Header:
    """What an array is: bytes for each number or record, its shape, and where its data begin."""

    item_bytes: int
    shape: tuple[int, ...]
    start: int

    @property
    def data_bytes(self) -> int:
        """How many bytes follow the header."""
        return self.item_bytes * prod(self.shape)


class NotArrayError(ValueError):
    """What is wrong with a header."""

    def __init__(self, expected: str, found: str, rule: str = "numpy") -> None:
        """Keep the facts."""
        self.finding = Finding(rule, expected, found)
        super().__init__(f"expected {expected}, found {found}")


def read_header(stream: BinaryIO) -> Header:
    """The header at the beginning of a stream; raises NotArrayError."""
    head = stream.read(8)
    version = tuple(head[6:8])
    if head[:6] != MAGIC or version not in _VERSIONS:
        raise NotArrayError("an array of NumPy, of version 1.0, 2.0 or 3.0", f"{head!a}")
    kind = _VERSIONS[version]
    width = struct.calcsize(kind)
    size = int.from_bytes(stream.read(width), "little")
    if not 0 < size <= _MAX_HEADER_BYTES:
        raise NotArrayError(f"a header of at most {_MAX_HEADER_BYTES} bytes", str(size))
    data = stream.read(size)
    if len(data) < size or not data.endswith(b"\n"):
        raise NotArrayError(f"a header of {size} bytes that ends its line", "one cut short or open")
    try:
        text = data.decode("utf-8" if version == (3, 0) else "latin-1")
    except UnicodeDecodeError as why:
        raise NotArrayError("a header of text", f"byte 0x{data[why.start]:02x} at {why.start}") from why
    return _header(_parse(text), 8 + width + size)


def _header(value: Any, start: int) -> Header:
    if not isinstance(value, dict) or value.keys() != {"descr", "fortran_order", "shape"}:
        raise NotArrayError("descr, fortran_order and shape", f"{value!a}"[:120])
    shape = value["shape"]
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS or any(type(n) is not int for n in shape):
        raise NotArrayError(f"a shape of at most {_MAX_DIMENSIONS} numbers", f"{shape!a}"[:120])
    if not isinstance(value["fortran_order"], bool):
        raise NotArrayError("True or False for fortran_order", f"{value['fortran_order']!a}"[:120])
    return Header(_item_bytes(value["descr"], 0), shape, start)


def _item_bytes(descr: Any, depth: int) -> int:
    if isinstance(descr, list) and depth < _MAX_DEPTH and descr:
        return sum(_field_bytes(field, depth) for field in descr)
    if not isinstance(descr, str):
        raise NotArrayError("a plain type, or fields of plain types", f"{descr!a}"[:120])
    if _OBJECT.fullmatch(descr):
        raise NotArrayError(EXPECTED, f"an array of Python objects ({descr!a}), which is a pickle", "pickle")
    found = _TYPE.fullmatch(descr)
    kind, size = (found[1], int(found[2] or 0)) if found else ("", 0)
    if not found or (kind in _SIZES and size not in _SIZES[kind]) or (found[3] and kind not in "mM"):
        raise NotArrayError("a type of numbers, texts or times", f"{descr!a}"[:120])
    return size * 4 if kind == "U" else size


def _field_bytes(field: Any, depth: int) -> int:
    """A field is (name, type) or (name, type, shape); its name may be (title, name)."""
    if not isinstance(field, tuple) or not 2 <= len(field) <= 3:
        raise NotArrayError("fields with a name, a type and perhaps a shape", f"{field!a}"[:120])
    name, shape = field[0], field[2] if len(field) == 3 else ()
    names = name if isinstance(name, tuple) else (name,)
    if not all(isinstance(part, str) for part in names) or len(names) > 2:
        raise NotArrayError("a field with a name", f"{name!a}"[:120])
    if not isinstance(shape, tuple) or len(shape) > _MAX_DIMENSIONS or any(type(n) is not int for n in shape):
        raise NotArrayError("a field with a shape of numbers", f"{shape!a}"[:120])
    return _item_bytes(field[1], depth + 1) * prod(shape)


# ── Python's own notation, as far as headers need it ─────────────────────────────────────────────────────────────────
def _parse(text: str) -> Any:
    tokens = _Tokens(text.rstrip(" \n"))
    value = _value(tokens, 0)
    if tokens.left():
        raise NotArrayError("nothing after the header's }", f"{tokens.left()[:60]!a}")
    return value


class _Tokens:
    """Cuts a header into what it is made of."""

    def __init__(self, text: str) -> None:
        self._text, self._at = text, 0

    def left(self) -> str:
        """What was not cut yet."""
        return self._text[self._at :]

    def next(self) -> tuple[str, str]:
        """The next piece: its kind and its text."""
        found = _TOKEN.match(self._text, self._at)
        if found is None or found.lastgroup is None:
            raise NotArrayError("a header of texts, numbers, tuples and lists", f"{self.left()[:60]!a}")
        self._at = found.end()
        return found.lastgroup, found[found.lastgroup]

    def take(self, mark: str) -> bool:
        """Whether the next piece is this mark; if so it is taken."""
        here = self._at
        if self.left().strip() and self.next() == ("mark", mark):
            return True
        self._at = here
        return False


def _value(tokens: _Tokens, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise NotArrayError(f"a header nested at most {_MAX_DEPTH} deep", "more")
    kind, text = tokens.next()
    if kind == "text":
        return text[1:-1]
    if kind == "number":
        return int(text)
    if kind == "word":
        return {"True": True, "False": False, "None": None}[text]
    if text == "{":
        return _dictionary(tokens, depth)
    if text in "([":
        return _sequence(tokens, depth, ")" if text == "(" else "]")
    raise NotArrayError("a value", f"{text!a}")


def _dictionary(tokens: _Tokens, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    comma = True
    while not tokens.take("}"):
        kind, key = tokens.next()
        if not comma or kind != "text" or key[1:-1] in found or not tokens.take(":"):
            raise NotArrayError("each name once with its value, and commas between", f"{key!a}")
        found[key[1:-1]] = _value(tokens, depth + 1)
        comma = tokens.take(",")
    return found


def _sequence(tokens: _Tokens, depth: int, end: str) -> Any:
    found: list[Any] = []
    comma = True
    while not tokens.take(end):
        if not comma:
            raise NotArrayError(f"a comma or {end}", f"{tokens.left()[:60]!a}")
        found.append(_value(tokens, depth + 1))
        comma = tokens.take(",")
    if end == ")":
        return tuple(found) if comma or len(found) != 1 else found[0]
    return found
