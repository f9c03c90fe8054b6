"""GGUF: settings by name, then tensors by name, then the tensors.

Rules. Every count, text and offset is held against the file before it is followed. Names come once. Tensors follow one
another with no more than padding between them, from the first byte of the data to the last, and padding is zeros. Chat
templates are read (`casemate.airlock.templates`), and no setting hides characters. Little-endian, versions 2 and 3.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

from casemate.airlock import templates
from casemate.airlock.hidden import hidden_character
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

_MAGIC, _VERSIONS = b"GGUF", (2, 3)
_MAX_SETTINGS, _MAX_TENSORS, _MAX_DIMENSIONS = 1 << 16, 1 << 20, 4
_MAX_KEY_BYTES, _MAX_NAME_BYTES = (1 << 16) - 1, 64
_MAX_TEXT_BYTES, _MAX_ARRAY = 64 << 20, 1 << 24
_MAX_ALIGNMENT = 1 << 16
_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<B", 10: "<Q", 11: "<q", 12: "<d"}
_BOOL, _TEXT, _ARRAY = 7, 8, 9
# How many numbers a block of each type holds, and in how many bytes (ggml.h); those that no file holds are not here.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84),
    11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210), 16: (256, 66), 17: (256, 74),
    18: (256, 98), 19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2),
    26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18),
}  # fmt: skip
_ARCHITECTURE, _ALIGNMENT, _TEMPLATE = "general.architecture", "general.alignment", "tokenizer.chat_template"


@dataclass(frozen=True)
class _Tensor:
    name: str
    offset: int
    size: int


class _NotGGUFError(ValueError):
    """What is wrong with a file."""

    def __init__(self, expected: str, found: str) -> None:
        self.finding = Finding("gguf", expected, found)
        super().__init__(f"expected {expected}, found {found}")


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"gguf_file": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a model, whole, whose templates may be used."""
    with file.open("rb") as stream:
        reader = _Reader(stream, file.stat().st_size)
        try:
            return _read(reader)
        except _NotGGUFError as why:
            return [why.finding]


class _Reader:
    """Numbers and texts one after another, never beyond the end."""

    def __init__(self, stream: BinaryIO, size: int) -> None:
        self._stream, self.size = stream, size

    def take(self, count: int, what: str) -> bytes:
        """So many bytes."""
        self._need(count, what)
        return self._stream.read(count)

    def number(self, kind: str, what: str) -> Any:
        """A number, as `struct` calls its kind."""
        return struct.unpack(kind, self.take(struct.calcsize(kind), what))[0]

    def count(self, at_most: int, what: str) -> int:
        """A count, within its limit."""
        count = int(self.number("<Q", what))
        if count > at_most:
            raise _NotGGUFError(f"at most {at_most} for {what}", str(count))
        return count

    def text(self, at_most: int, what: str) -> str:
        """A text with its length before it."""
        data = self.take(self.count(at_most, f"the length of {what}"), what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError as why:
            raise _NotGGUFError(f"UTF-8 in {what}", f"byte 0x{data[why.start]:02x} at {why.start}") from why

    def skip(self, count: int, what: str) -> None:
        """Pass over so many bytes."""
        self._need(count, what)
        self._stream.seek(count, 1)

    def skip_texts(self, count: int, what: str) -> None:
        """Pass over so many texts; vocabularies are long, so the room is counted here and not asked for."""
        room, read = self.size - self.at, self._stream.read
        for _ in range(count):
            head = read(8)
            size = int.from_bytes(head, "little")
            room -= 8 + size
            if len(head) < 8 or room < 0 or size > _MAX_TEXT_BYTES:
                raise _NotGGUFError(f"{count} texts in {what}, of at most {_MAX_TEXT_BYTES} bytes", "others")
            read(size)

    @property
    def at(self) -> int:
        """Where it stands."""
        return self._stream.tell()

    def _need(self, count: int, what: str) -> None:
        if count > self.size - self.at:
            raise _NotGGUFError(f"{count} bytes for {what}", f"{self.size - self.at} up to the end of the file")


def _read(reader: _Reader) -> list[Finding]:
    if reader.take(4, "the magic") != _MAGIC:
        raise _NotGGUFError("a file that begins with GGUF", "another")
    version = reader.number("<I", "the version")
    if version not in _VERSIONS:
        raise _NotGGUFError("version 2 or 3, little-endian", str(version))
    tensor_count = reader.count(_MAX_TENSORS, "the number of tensors")
    setting_count = reader.count(_MAX_SETTINGS, "the number of settings")
    settings = _settings(reader, setting_count)
    if not isinstance(settings.get(_ARCHITECTURE), str):
        raise _NotGGUFError(f"a text for {_ARCHITECTURE}", "none")
    alignment = settings.get(_ALIGNMENT, 32)
    if type(alignment) is not int or not 1 <= alignment <= _MAX_ALIGNMENT or alignment & (alignment - 1):
        raise _NotGGUFError(f"a power of two up to {_MAX_ALIGNMENT} for {_ALIGNMENT}", f"{alignment!a}"[:60])
    tensors = [_tensor(reader) for _ in range(tensor_count)]
    _check_layout(reader, tensors, alignment)
    return [finding for key, value in settings.items() for finding in _check_setting(key, value)]


# ── Settings ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _settings(reader: _Reader, count: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for _ in range(count):
        key = reader.text(_MAX_KEY_BYTES, "the name of a setting")
        shown = f"{key[:80]!a}"
        if not key or hidden_character(key):
            raise _NotGGUFError("names of settings that can be read", shown)
        if key in found:
            raise _NotGGUFError("each setting once", f"{shown} twice")
        found[key] = _value(reader, reader.number("<I", f"the type of {shown}"), shown)
    return found


def _value(reader: _Reader, kind: int, what: str) -> Any:
    """A setting's value; arrays (vocabularies and their scores) are passed over."""
    if kind == _TEXT:
        return reader.text(_MAX_TEXT_BYTES, what)
    if kind == _ARRAY:
        _pass_array(reader, what)
        return None
    if kind not in _SCALARS:
        raise _NotGGUFError(f"a type of value from 0 to 12 for {what}", str(kind))
    value = reader.number(_SCALARS[kind], what)
    if kind == _BOOL and value > 1:
        raise _NotGGUFError(f"0 or 1 for {what}", str(value))
    return value


def _pass_array(reader: _Reader, what: str) -> None:
    kind = reader.number("<I", f"the type of {what}")
    count = reader.count(_MAX_ARRAY, f"the length of {what}")
    if kind == _TEXT:
        reader.skip_texts(count, what)
    elif kind in _SCALARS:
        reader.skip(count * struct.calcsize(_SCALARS[kind]), what)
    else:  # arrays of arrays are in the format, and in no model
        raise _NotGGUFError(f"numbers or texts in {what}", f"type {kind}")


def _check_setting(key: str, value: Any) -> Iterator[Finding]:
    if not isinstance(value, str):
        return
    if key.startswith(_TEMPLATE):
        yield from templates.check(value, key)
    elif hidden := hidden_character(value):
        yield Finding("gguf", "settings without hidden characters", f"{hidden} of {key[:80]!a}")


# ── Tensors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _tensor(reader: _Reader) -> _Tensor:
    name = reader.text(_MAX_NAME_BYTES, "the name of a tensor")
    shown = f"tensor {name!a}"
    if not name or hidden_character(name):
        raise _NotGGUFError("names of tensors that can be read", shown)
    dimensions = reader.number("<I", f"the dimensions of {shown}")
    if not 1 <= dimensions <= _MAX_DIMENSIONS:
        raise _NotGGUFError(f"1 to {_MAX_DIMENSIONS} dimensions of {shown}", str(dimensions))
    shape = [reader.number("<Q", f"the shape of {shown}") for _ in range(dimensions)]
    kind = reader.number("<I", f"the type of {shown}")
    if kind not in _BLOCKS:
        raise _NotGGUFError(f"a known type of {shown}", str(kind))
    numbers, size = _BLOCKS[kind]
    if 0 in shape or shape[0] % numbers:
        raise _NotGGUFError(f"rows of whole blocks of {numbers} in {shown}", f"{shape}")
    return _Tensor(name, reader.number("<Q", f"the offset of {shown}"), prod(shape) // numbers * size)


def _check_layout(reader: _Reader, tensors: list[_Tensor], alignment: int) -> None:
    names = {tensor.name for tensor in tensors}
    if len(names) != len(tensors):
        raise _NotGGUFError("each tensor once", f"{len(tensors)} of {len(names)} names")
    data = _padded(reader.at, alignment)
    if not tensors:
        data = min(data, reader.size)
    _zeros(reader, min(data, reader.size))
    at = 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        shown = f"tensor {tensor.name!a}"
        if tensor.offset != _padded(at, alignment):
            what = "overlaps the one before" if tensor.offset < at else "leaves a hole"
            raise _NotGGUFError(f"{shown} at byte {_padded(at, alignment)} of the data", f"{tensor.offset}: it {what}")
        if data + at < reader.size:
            _zeros(reader, data + tensor.offset)
        reader.skip(tensor.size, shown)
        at = tensor.offset + tensor.size
    if reader.size - reader.at >= alignment:
        raise _NotGGUFError(
            f"an end at byte {reader.at}, after the last tensor", f"{reader.size - reader.at} bytes more"
        )
    _zeros(reader, reader.size)


def _padded(at: int, alignment: int) -> int:
    return (at + alignment - 1) // alignment * alignment


def _zeros(reader: _Reader, until: int) -> None:
    padding = reader.take(until - reader.at, "padding")
    if padding.strip(b"\0"):
        raise _NotGGUFError("zeros between tensors", f"{padding[:16].hex()} before byte {until}")
