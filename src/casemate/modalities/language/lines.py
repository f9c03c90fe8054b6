"""Files of records, strictly read: JSON lines and plain texts, UTF-8, within limits.

Rules. An error names file and line. A name given twice, NaN, a lone surrogate or a control character other than tab and
newline is refused: two readers would understand them differently, or a terminal would obey them. Byte order marks are
refused too. Nothing is repaired.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casemate.errors import BadInput

LINE_BYTES = 16 << 20
FILE_BYTES = 2 << 30
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
_INVISIBLE = re.compile("[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff]|[\U000e0000-\U000e007f]")


def json_lines(folder: Path, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each object of a file of JSON lines, with `path:line`; empty lines are passed over."""
    with _opened(folder, path).open("rb") as stream:
        number = 0
        while line := stream.readline(LINE_BYTES + 1):
            number += 1
            where = f"{path}:{number}"
            if len(line) > LINE_BYTES:
                raise BadInput(where, expected=f"a line of at most {LINE_BYTES} bytes", found="a longer one")
            if line.strip():
                yield where, _object(line, where)


def whole_text(folder: Path, path: str) -> str:
    """A plain text file."""
    file = _opened(folder, path)
    if file.stat().st_size > LINE_BYTES:
        expected = f"a text of at most {LINE_BYTES} bytes (or JSON lines)"
        raise BadInput(path, expected=expected, found=f"{file.stat().st_size} bytes")
    text = _decoded(file.read_bytes(), path).replace("\r\n", "\n")
    return checked(text, path)


def checked(text: str, where: str) -> str:
    """A text without control characters; where it has one, BadInput says which and where."""
    bad = _CONTROL.search(text)
    if bad:
        place = f"{bad.group()!a} at character {bad.start()}"
        raise BadInput(where, expected="text without control characters", found=place)
    return text


def invisible(text: str) -> int:
    """How many characters of a text take no room: zero-width, right-to-left overrides, tags."""
    return len(_INVISIBLE.findall(text))


def field_text(raw: dict[str, Any], name: str, where: str, *, default: str | None = None) -> str:
    """A field that is a text; empty only where `default` is given."""
    value = raw.get(name, default)
    if not isinstance(value, str):
        raise BadInput(f"{where} {name}", expected="a text", found=_kind(value))
    if not value.strip() and default is None:
        raise BadInput(f"{where} {name}", expected="a text that is not empty", found=repr(value[:20]))
    return checked(value.replace("\r\n", "\n"), f"{where} {name}")


def _kind(value: Any) -> str:
    return "none" if value is None else f"{type(value).__name__} {value!r:.40}"


def _opened(folder: Path, path: str) -> Path:
    file = folder / path
    if not file.is_file():
        raise BadInput(path, expected="a file of the data set", found="none")
    if file.stat().st_size > FILE_BYTES:
        raise BadInput(path, expected=f"at most {FILE_BYTES} bytes a file", found=f"{file.stat().st_size} bytes")
    return file


def _decoded(data: bytes, where: str) -> str:
    if data.startswith(b"\xef\xbb\xbf"):
        raise BadInput(where, expected="UTF-8 without a byte order mark", found="one")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as why:
        raise BadInput(where, expected="UTF-8", found=f"byte {data[why.start]:#04x} at {why.start}") from why


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(_decoded(line, where), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as why:
        raise BadInput(where, expected="a JSON object", found=f"{why!s:.120}") from why
    if not isinstance(value, dict):
        raise BadInput(where, expected="a JSON object", found=type(value).__name__)
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} twice")
    return found


def _no_constant(name: str) -> None:
    raise ValueError(f"{name}, which is no JSON")
