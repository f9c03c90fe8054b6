"""Text as it may come in: UTF-8, without control characters and without marks that turn what is read around."""

from __future__ import annotations

import re
from pathlib import Path

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

# C0 but tab, line feed, carriage return and form feed; DEL; C1 (as UTF-8); direction overrides and isolates.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
_ONE_BYTE = bytes(byte for byte in range(0x80) if _CONTROL.match(bytes([byte])))
# The others by their first byte: such expressions are many times faster than one of them all.
_MORE_BYTES = tuple(map(re.compile, (rb"\xc2[\x80-\x9f]", rb"\xe2\x80[\xaa-\xae]", rb"\xe2\x81[\xa6-\xa9]")))
_NEWLINE = b"\n"


def read_text(file: Path, limits: ScanLimits) -> tuple[str, list[Finding]]:
    """The text of a file without its byte order mark, and what is wrong with it (then the text is empty)."""
    size = file.stat().st_size
    if size > limits.max_text_bytes:
        return "", [Finding("size", f"text of at most {limits.max_text_bytes} bytes", str(size))]
    data = file.read_bytes()
    control = _CONTROL.search(data) if _holds_control(data) else None
    if control:
        character = control[0].decode("utf-8", "replace")
        expected = "text without control or direction characters"
        return "", [Finding("text", expected, f"U+{ord(character):04X} {_place(data, control.start())}")]
    try:
        return data.decode("utf-8").removeprefix("\ufeff"), []
    except UnicodeDecodeError as why:
        return "", [Finding("text", "UTF-8", f"byte 0x{data[why.start]:02x} {_place(data, why.start)}")]


def _holds_control(data: bytes) -> bool:
    """Whether `_CONTROL` finds something."""
    if len(data.translate(None, _ONE_BYTE)) < len(data):
        return True
    return not data.isascii() and any(expression.search(data) for expression in _MORE_BYTES)


def _place(data: bytes, offset: int) -> str:
    line = data.count(_NEWLINE, 0, offset) + 1
    return f"in line {line}, at byte {offset}"
