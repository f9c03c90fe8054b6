"""How the catalog writes things down: canonical JSON, times, identifiers, names.

Rules. What is hashed is canonical: sorted keys, no spaces, one line, and every character that a terminal would obey is
escaped. Times are UTC with microseconds, in a form that sorts as text. Identifiers are random and never counted, so
that nobody learns from one how many others there are.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from casemate.errors import BadInput

Chance = Callable[[int], bytes]
Clock = Callable[[], datetime]

ID_LENGTH = 26
ID_PREFIX_LENGTH = 6
_ID = re.compile(r"[a-z2-7]{26}")
_ID_PREFIX = re.compile(r"[a-z2-7]{6,26}")
NAME_LIMIT = 200
_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"


def canonical(value: Mapping[str, Any], *, thing: object = "facts") -> str:
    """`value` as canonical JSON on one printable line; BadInput that names `thing` if it is not JSON."""
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as why:
        raise BadInput(thing, expected="JSON values only, without NaN or infinity", found=why) from why
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def fingerprint(value: Mapping[str, Any]) -> str:
    """SHA-256 of the canonical JSON of `value`, in hexadecimal."""
    return sha256(canonical(value))


def sha256(line: str) -> str:
    """SHA-256 of a line of text in UTF-8, without its newline, in hexadecimal."""
    return hashlib.sha256(line.encode()).hexdigest()


def time_text(moment: datetime) -> str:
    """A moment with its time zone, as text that sorts."""
    if moment.tzinfo is None:
        raise BadInput("time", expected="a moment with its time zone", found=moment.isoformat())
    return moment.astimezone(UTC).strftime(_TIME)


def time_of(text: str) -> datetime:
    """The moment that `time_text` wrote."""
    return datetime.fromisoformat(text)


def new_id(chance: Chance) -> str:
    """128 random bits as 26 characters of base32, lower case."""
    return base64.b32encode(chance(16)).decode("ascii").rstrip("=").lower()


def is_id(text: str) -> bool:
    """Whether `text` has the form of a whole identifier."""
    return _ID.fullmatch(text) is not None


def is_id_prefix(text: str) -> bool:
    """Whether `text` may be the beginning of an identifier, long enough to look for."""
    return _ID_PREFIX.fullmatch(text) is not None


def checked_name(text: str, *, thing: str) -> str:
    """A name fit for the catalog, in NFC; BadInput otherwise."""
    name = unicodedata.normalize("NFC", text) if isinstance(text, str) else ""
    if not name or name != name.strip() or len(name) > NAME_LIMIT:
        expected = f"1 to {NAME_LIMIT} characters without spaces at the ends"
        raise BadInput(f"name of {thing}", expected=expected, found=repr(text))
    if "/" in name or not name.isprintable():
        raise BadInput(f"name of {thing}", expected="printable characters other than /", found=repr(text))
    if is_id(name) or name.startswith("sha256:"):
        raise BadInput(f"name of {thing}", expected="a name that is no identifier or digest", found=repr(text))
    return name


def _escaped(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) > 0x7F else f"\\u{ord(character):04x}"
