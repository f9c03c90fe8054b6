"""Outlook messages: a compound file with the streams of a message and no others.

Rules. Every stream and storage has a name that the format of messages knows; anything else (macros, documents, OLE
objects) is refused, as is a file whose structure has a defect. A file is attached by its bytes or is a message itself,
never by reference and never as an OLE object. Source: [MS-OXMSG] 2.1 to 2.4, [MS-OXCMSG] 2.2.2.9.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from casemate.airlock import mail_rules
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

_STREAM = re.compile(r"__substg1\.0_[0-9A-F]{8}(-[0-9A-F]{8})?|__properties_version1\.0")
_STORAGE = re.compile(r"__(recip|attach)_version1\.0_#[0-9A-F]{8}|__nameid_version1\.0|__substg1\.0_3701000D")
_ATTACH = re.compile(r"__attach_version1\.0_#[0-9A-F]{8}")
_TEXT, _HTML, _RTF = "__substg1.0_1000001F", "__substg1.0_10130102", "__substg1.0_10090102"
_DATA, _EMBEDDED, _PROPERTIES = "__substg1.0_37010102", "__substg1.0_3701000D", "__properties_version1.0"
_LONG_NAME, _NAME, _SHOWN_NAME = "__substg1.0_3707001F", "__substg1.0_3704001F", "__substg1.0_3001001F"
_METHOD = 0x37050003
_BY_VALUE, _IS_MESSAGE = 1, 5
_MAX_DEPTH, _MAX_STREAMS = 8, 50_000


class NotOutlookError(ValueError):
    """What is wrong with a message: expected and found."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")


@contextmanager
def opened(stream: BinaryIO) -> Iterator[Any]:
    """The compound file, without defects; NotOutlookError where it is none."""
    import olefile  # type: ignore[import-untyped]

    try:
        with olefile.OleFileIO(stream, raise_defects=olefile.DEFECT_INCORRECT) as ole:
            yield ole
    except (OSError, struct.error, LookupError, RecursionError, ValueError) as why:
        if isinstance(why, NotOutlookError):
            raise
        raise NotOutlookError("a compound file without defects", type(why).__name__) from why


def check(ole: Any, limits: ScanLimits) -> Iterator[Finding]:
    """What is wrong with a message, and how many files are attached to it."""
    entries = ole.listdir(streams=True, storages=True)
    if len(entries) > _MAX_STREAMS or max(map(len, entries), default=0) > 3 * _MAX_DEPTH:
        yield Finding("message", f"at most {_MAX_STREAMS} streams, messages {_MAX_DEPTH} deep", "more")
        return
    if [_PROPERTIES] not in entries:
        yield Finding("message", "the properties of a message", "none")
    for path in entries:
        known = _STREAM.fullmatch(path[-1]) if ole.get_type(path) == 2 else _STORAGE.fullmatch(path[-1])
        if not known or not all(_STORAGE.fullmatch(name) for name in path[:-1]):
            yield Finding("message", "streams of an Outlook message", f"{'/'.join(path)[:120]!a}")
    attached = 0
    for path in (path for path in entries if _ATTACH.fullmatch(path[-1])):
        attached += 1
        method = _method(ole, path)
        if method not in {_BY_VALUE, _IS_MESSAGE}:
            yield Finding("message", "files attached by their bytes", f"one attached by method {method}")
    yield from _words(ole, entries, limits)
    if attached:
        yield Finding(mail_rules.ATTACHED, "words alone", f"{attached} attached, inspected as files", note=True)


def _words(ole: Any, entries: list[list[str]], limits: ScanLimits) -> Iterator[Finding]:
    for path in entries:
        if path[-1] == _TEXT:
            yield from mail_rules.check_text(_read(ole, path, limits).decode("utf-16-le", "replace"))
        elif path[-1] == _HTML:
            text = _read(ole, path, limits).decode("utf-8", "replace")
            yield from mail_rules.check_html(text)
        elif path[-1] == _RTF:
            yield Finding("message", "words as text or HTML", "a body in RTF, which was not read", note=True)


def attachments(ole: Any, limits: ScanLimits) -> Iterator[tuple[str, bytes]]:
    """Every file attached to the message, or to a message within it: its name and its bytes."""
    for path in ole.listdir(streams=False, storages=True):
        if not _ATTACH.fullmatch(path[-1]) or ole.exists([*path, _EMBEDDED, _PROPERTIES]):
            continue
        if not ole.exists([*path, _DATA]):
            raise NotOutlookError("an attachment with its bytes", "one without")
        yield _name(ole, path, limits), _read(ole, [*path, _DATA], limits)


def _name(ole: Any, path: list[str], limits: ScanLimits) -> str:
    for name in (_LONG_NAME, _NAME, _SHOWN_NAME):
        if ole.exists([*path, name]):
            return _read(ole, [*path, name], limits).decode("utf-16-le", "replace").strip("\0")
    return ""


def _method(ole: Any, path: list[str]) -> int:
    """How a file is attached, as the properties of its storage say; 0 where they do not."""
    if not ole.exists([*path, _PROPERTIES]):
        return 0
    data = ole.openstream([*path, _PROPERTIES]).read()
    for at in range(8, len(data) - 15, 16):
        tag, _, value = struct.unpack_from("<IIi", data, at)
        if tag == _METHOD:
            return int(value)
    return 0


def _read(ole: Any, path: list[str], limits: ScanLimits) -> bytes:
    if ole.get_size(path) > limits.max_text_bytes:
        raise NotOutlookError(f"streams of at most {limits.max_text_bytes} bytes", "more")
    return bytes(ole.openstream(path).read())


def scan_file(file: Path, limits: ScanLimits) -> list[Finding]:
    """All findings about a file."""
    with file.open("rb") as stream:
        try:
            with opened(stream) as ole:
                return list(check(ole, limits))
        except NotOutlookError as why:
            return [Finding("message", why.expected, why.found)]
