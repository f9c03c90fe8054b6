"""One spelling for every signed JSON text, and the door through which it is read.

Rules. Canonical is: UTF-8, keys sorted, one space of indent, one newline at the end, no NaN or infinity. Text that is
not spelled so is refused, so that any changed byte changes the meaning or is an error: repeated keys, trailing data,
other spacing and other spellings of a number cannot pass. Base64 is the standard alphabet with its padding, canonical
too. Sizes are bounded before anything is parsed.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from casemate.errors import BadInput

MAX_BYTES = 16 * 1024 * 1024
_SHOWN_CHARACTERS = 80


class Door(BaseModel):
    """A JSON or TOML object at the door: strict types, and no key that is not named."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @classmethod
    def enter(cls, value: object, thing: str) -> Self:
        """The object from parsed `value`; BadInput naming the first wrong field of `thing`."""
        try:
            return cls.model_validate(value)
        except ValidationError as why:
            expected, found, where = _first_fault(why)
            raise BadInput(f"{thing} {where}".rstrip(), expected=expected, found=found) from why


def _first_fault(why: ValidationError) -> tuple[str, str, str]:
    """What was expected, what was found and where; never a whole object, which may hold a secret."""
    fault = why.errors(include_url=False)[0]
    where = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "missing":
        return "a value", "none", where
    if fault["type"] == "extra_forbidden":
        return "no such key", "one", where
    given = fault["input"]
    found = type(given).__name__ if isinstance(given, dict | list) else shorten(repr(given))
    return fault["msg"], found, where


def dump(value: Any) -> bytes:
    """`value` in canonical JSON; BadInput for NaN, infinity or text that UTF-8 cannot hold."""
    try:
        text = json.dumps(value, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False)
        return (text + "\n").encode()
    except ValueError as why:
        raise BadInput("JSON text", expected="finite numbers and Unicode text", found=why) from why


def load(data: bytes, thing: str, *, max_bytes: int = MAX_BYTES) -> Any:
    """The value of canonical JSON `data`; BadInput names `thing`, what was expected and what was found."""
    if len(data) > max_bytes:
        raise BadInput(thing, expected=f"at most {max_bytes} bytes", found=f"{len(data)} bytes")
    try:
        value = json.loads(data.decode())
        spelled = dump(value)
    except RecursionError as why:
        raise BadInput(thing, expected="JSON of reasonable depth", found="nesting without end") from why
    except (ValueError, BadInput) as why:
        raise BadInput(thing, expected="canonical JSON", found=why) from why
    if spelled != data:
        raise BadInput(thing, expected="canonical JSON", found="other spacing, order of keys, repeated keys or numbers")
    return value


def encode_base64(data: bytes) -> str:
    """`data` in standard base64."""
    return base64.b64encode(data).decode()


def decode_base64(text: str, thing: str) -> bytes:
    """The bytes of canonical base64 `text`; BadInput naming `thing` otherwise."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as why:
        raise BadInput(thing, expected="base64", found=shorten(repr(text))) from why
    if encode_base64(data) != text:
        raise BadInput(thing, expected="canonical base64", found=shorten(repr(text)))
    return data


def shorten(text: str) -> str:
    """`text`, cut to what fits in a message."""
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "…"
