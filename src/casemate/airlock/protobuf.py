"""Messages of protobuf, read field by field as their schema says, without what is heavy in them.

Rules. Fields that the schema does not know, fields of another kind, single fields given twice, texts that are not UTF-8
or hide characters, and nesting beyond a limit are refused: a lenient reader would pass over them, and two readers would
understand them differently. Heavy fields are passed over, so that a model of 2 GB costs the memory of its structure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from casemate.airlock.hidden import hidden_character

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
# google.protobuf.descriptor.FieldDescriptor: the types of fields, by how they are written.
_WIRE = {
    **dict.fromkeys((3, 4, 5, 8, 13, 14, 17, 18), _VARINT), **dict.fromkeys((1, 6, 16), _FIXED64),
    **dict.fromkeys((2, 7, 15), _FIXED32), **dict.fromkeys((9, 11, 12), _BYTES),
}  # fmt: skip
_TEXT, _MESSAGE = 9, 11
_MAX_VARINT_BYTES = 10
_MAX_KEPT_BYTES = 256 << 20

# What happens to a finished message: its name, what was kept of it and how many bytes each heavy field had; the answer
# takes its place.
Finish = Callable[[str, bytes, Mapping[str, int]], bytes]


class NotMessageError(ValueError):
    """What is wrong with a message."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")


class Skeleton:
    """Reads messages from a stream; `heavy` names fields, as `message.field`, that are passed over."""

    def __init__(self, stream: BinaryIO, heavy: frozenset[str], finish: Finish, *, max_nesting: int) -> None:
        self._stream, self._heavy, self._finish, self._max_nesting = stream, heavy, finish, max_nesting
        self._kept = 0

    def read(self, descriptor: Any, size: int, depth: int = 0) -> bytes:
        """The next `size` bytes as a message, without its heavy fields."""
        if depth > self._max_nesting:
            raise NotMessageError(f"messages nested at most {self._max_nesting} deep", "more")
        end = self._stream.tell() + size
        kept: list[bytes] = []
        passed: dict[str, int] = {}
        seen: set[int] = set()
        while self._stream.tell() < end:
            number, wire, key = self._key(descriptor, end)
            field = descriptor.fields_by_number[number]
            if not field.is_repeated and number in seen:
                raise NotMessageError(f"{field.name} once in {descriptor.name}", "it twice")
            seen.add(number)
            if f"{descriptor.name}.{field.name}" in self._heavy:
                passed[field.name] = passed.get(field.name, 0) + self._pass(wire, end)
            else:
                kept.append(key + self._value(field, wire, end, depth))
        return self._finish(descriptor.name, b"".join(kept), passed)

    def _key(self, descriptor: Any, end: int) -> tuple[int, int, bytes]:
        key, raw = self._varint(end)
        number, wire = key >> 3, key & 7
        field = descriptor.fields_by_number.get(number)
        if field is None:
            raise NotMessageError(f"fields of {descriptor.name}", f"field {number}, before byte {self._stream.tell()}")
        packed = wire == _BYTES and field.is_repeated and field.type in _WIRE
        if wire != _WIRE.get(field.type) and not packed:
            raise NotMessageError(f"{field.name} of {descriptor.name} as its schema says", f"kind {wire}")
        return number, wire, raw

    def _value(self, field: Any, wire: int, end: int, depth: int) -> bytes:
        if wire == _VARINT:
            return self._varint(end)[1]
        if wire in {_FIXED32, _FIXED64}:
            return self._take(4 if wire == _FIXED32 else 8, end)
        size, raw = self._varint(end)
        if field.type == _MESSAGE:
            self._room(size, end)
            inner = self.read(field.message_type, size, depth + 1)
            return _as_varint(len(inner)) + inner
        data = self._take(size, end)
        if field.type == _TEXT:
            _check_text(data, field.name)
        return raw + data

    def _pass(self, wire: int, end: int) -> int:
        """Pass over a value; how many bytes it had."""
        if wire == _VARINT:
            return len(self._varint(end)[1])
        size = {_FIXED32: 4, _FIXED64: 8}.get(wire)
        size = self._varint(end)[0] if size is None else size
        self._room(size, end)
        self._stream.seek(size, 1)
        return size

    def _varint(self, end: int) -> tuple[int, bytes]:
        raw = bytearray()
        value = 0
        while len(raw) < _MAX_VARINT_BYTES:
            byte = self._take(1, end)
            raw += byte
            value |= (byte[0] & 0x7F) << 7 * (len(raw) - 1)
            if byte[0] < 0x80:
                return value, bytes(raw)
        raise NotMessageError(f"numbers of at most {_MAX_VARINT_BYTES} bytes", f"more, at {self._stream.tell()}")

    def _take(self, size: int, end: int) -> bytes:
        self._room(size, end)
        self._kept += size
        if self._kept > _MAX_KEPT_BYTES:
            raise NotMessageError(f"at most {_MAX_KEPT_BYTES} bytes beside weights", "more")
        return self._stream.read(size)

    def _room(self, size: int, end: int) -> None:
        room = end - self._stream.tell()
        if size > room:
            raise NotMessageError(f"{size} bytes at {self._stream.tell()}", f"{room} up to the end of the message")


def _as_varint(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _check_text(data: bytes, name: str) -> None:
    try:
        hidden = hidden_character(data.decode("utf-8"))
    except UnicodeDecodeError as why:
        raise NotMessageError(f"UTF-8 in {name}", f"byte 0x{data[why.start]:02x} at {why.start}") from why
    if hidden:
        raise NotMessageError(f"no hidden characters in {name}", hidden)
