"""What an address in a document points to, and what a picture inside one is. Pure.

Rules. An address is read as a browser reads it: white space and control characters inside are dropped, case is folded,
backslashes are slashes. What is not known to stay inside is outside.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote, unquote_to_bytes

from casemate.airlock.formats import sniff

Kind = Literal["inside", "link", "outside", "active", "picture", "drawing"]
_DROPPED = re.compile(r"[\x00-\x20\x7f-\xa0\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*(?=:)")
_LINKS = frozenset({"http", "https", "mailto", "tel"})
_ACTIVE = frozenset(
    {"javascript", "vbscript", "data", "livescript", "mocha", "blob", "filesystem", "ms-office", "ms-msdt"}
)
_PICTURE = re.compile(r"data:image/(png|jpe?g|webp|gif)(;base64)?,", re.IGNORECASE)
_DRAWING = re.compile(r"data:image/svg\+xml((?:;[\w=.-]+)*?)(;base64)?,", re.IGNORECASE)
_PICTURES = {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "webp": "webp", "gif": "GIF picture"}
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Reference:
    """An address: its kind, how it is shown in a finding, and the bytes that it holds itself."""

    kind: Kind
    shown: str
    data: bytes = b""


def read(address: str) -> Reference:
    """Where an address points: inside the document or its folder, to a page, outside, or to something that acts."""
    plain = _DROPPED.sub("", address).replace("\\", "/")
    shown = plain[:_SHOWN_CHARS] + ("…" if len(plain) > _SHOWN_CHARS else "")
    folded = plain.casefold()
    if folded.startswith("data:"):
        return _read_data(plain, shown)
    scheme = _SCHEME.match(folded)
    if scheme:
        kind: Kind = "link" if scheme[0] in _LINKS else "active" if scheme[0] in _ACTIVE else "outside"
        return Reference(kind, shown)
    steps = unquote(folded.partition("#")[0].partition("?")[0]).replace("\\", "/").split("/")
    leaves = folded.startswith("/") or ".." in steps or (not steps[0] and len(steps) > 1)
    return Reference("outside" if leaves else "inside", shown)


def _read_data(plain: str, shown: str) -> Reference:
    picture, drawing = _PICTURE.match(plain), _DRAWING.match(plain)
    held = picture or drawing
    if held is None:
        return Reference("active", shown)
    content = plain[held.end() :]
    try:
        is_base64 = held[2]
        data = base64.b64decode(unquote(content), validate=True) if is_base64 else unquote_to_bytes(content)
    except binascii.Error:
        return Reference("active", f"{shown}, which is not base64")
    if drawing:
        return Reference("drawing", shown, data)
    expected = _PICTURES[held[1].lower()]
    found = picture_type(data)
    return Reference("picture", shown, data) if found == expected else Reference("active", f"{shown}, which is {found}")


def picture_type(head: bytes) -> str:
    """The type that the first bytes of an embedded picture say it is: `png`, `jpeg`, `webp`, `GIF picture`, …"""
    return sniff(head[:4096], "")
