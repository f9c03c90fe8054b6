"""Text as it may come in: without control characters and without marks that turn what is read around.

Rules. UTF-8, or where a kind of delivery may hold older texts, what `casemate.store.texts` can tell: whoever reads the
file afterwards asks the same. Another encoding is a note; what is looked for is looked for in what it decodes to.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.store import texts
from casemate.store.texts import Decoded

# C0 but tab, line feed, carriage return and form feed; DEL; C1 (as UTF-8); direction overrides and isolates.
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9]")
_ONE_BYTE = bytes(byte for byte in range(0x80) if _CONTROL.match(bytes([byte])))
# The others by their first byte: such expressions are many times faster than one of them all.
_MORE_BYTES = tuple(map(re.compile, (rb"\xc2[\x80-\x9f]", rb"\xe2\x80[\xaa-\xae]", rb"\xe2\x81[\xa6-\xa9]")))
# Which formats are texts as a whole, and how one of them says its encoding.
_DECLARED: Mapping[str, Callable[[bytes], str] | None] = {
    "text": None, "csv": None, "json": None, "json lines": None, "geojson": None, "html": texts.said_in_html,
    "xml": texts.said_in_xml,
}  # fmt: skip
ENCODING = "encoding"  # the rule of the note that a text is in another encoding than UTF-8


def read_text(file: Path, limits: ScanLimits) -> tuple[str, list[Finding]]:
    """The text of a file without its byte order mark, and what there is to say of it; empty where it is refused."""
    decoded, findings = read_decoded(file, limits)
    return decoded.text, findings


def read_decoded(
    file: Path, limits: ScanLimits, said: Callable[[bytes], str] | None = None
) -> tuple[Decoded, list[Finding]]:
    """The same with the encoding; `said` finds what a file says of its own."""
    size = file.stat().st_size
    if size > limits.max_text_bytes:
        return Decoded(""), [Finding("size", f"text of at most {limits.max_text_bytes} bytes", str(size))]
    data = file.read_bytes()
    if not limits.older_texts:
        return _in_utf_8(data)
    try:
        decoded = texts.decode(data, said(data) if said else "")
    except texts.NotTextError as why:
        return Decoded(""), [Finding("text", why.expected, why.found)]
    if not decoded.note:
        return _in_utf_8(data)
    findings = _controls(decoded.text.encode())
    if findings:
        return Decoded(""), findings
    return decoded, [Finding(ENCODING, texts.UTF_8, decoded.encoding, note=True)]


def in_utf_8(file: Path, type_name: str, limits: ScanLimits) -> bytes | None:
    """A text in another encoding as UTF-8, for those who read bytes; None of every other file."""
    if not limits.older_texts or type_name not in _DECLARED or file.stat().st_size > limits.max_text_bytes:
        return None
    data, said = file.read_bytes(), _DECLARED[type_name]
    if data.isascii() and b"\0" not in data:
        return None
    try:
        decoded = texts.decode(data, said(data) if said else "")
    except texts.NotTextError:
        return None  # its format's scanner has refused it
    return decoded.text.encode() if decoded.note else None


def refused(findings: list[Finding]) -> bool:
    """Whether any of them is more than a note: then there is no text to look at."""
    return any(not finding.note for finding in findings)


def _in_utf_8(data: bytes) -> tuple[Decoded, list[Finding]]:
    findings = _controls(data)
    if findings:
        return Decoded(""), findings
    try:
        return Decoded(data.decode("utf-8").removeprefix("\ufeff")), []
    except UnicodeDecodeError as why:
        place = texts.line_of(data, why.start)
        return Decoded(""), [Finding("text", texts.UTF_8, f"byte 0x{data[why.start]:02x} {place}")]


def _controls(data: bytes) -> list[Finding]:
    """What is wrong with a text's characters, given as UTF-8."""
    control = _CONTROL.search(data) if _holds_control(data) else None
    if control is None:
        return []
    found = f"U+{ord(control[0].decode('utf-8', 'replace')):04X} {texts.line_of(data, control.start())}"
    return [Finding("text", "text without control or direction characters", found)]


def _holds_control(data: bytes) -> bool:
    """Whether `_CONTROL` finds something."""
    if len(data.translate(None, _ONE_BYTE)) < len(data):
        return True
    return not data.isascii() and any(expression.search(data) for expression in _MORE_BYTES)
