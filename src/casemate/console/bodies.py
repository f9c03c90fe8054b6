"""Reading what is sent: bytes within a limit, JSON of bounded depth, a body of known fields.

Rules. Nothing is read beyond the limit. JSON is UTF-8 (RFC 8259), nested 64 deep at most, has neither NaN nor half a
character, and a field that is not known is refused with its name. What the refusal says is where and what was expected;
it does not repeat what was sent.
"""

from __future__ import annotations

import asyncio
import json
import re
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.types import Message

from casemate.console.faults import Fault, too_large

MOST_NESTED = 64
_PATIENCE_S = 60.0  # between two parts of a body, and for all of it beside what its bytes may take
_SLOWEST_BYTES_S = 4096
_STRUCTURE = re.compile(rb"\"(?:[^\"\\]++|\\.)*+\\?(?:\"|\Z)|[\[\]{}]", re.DOTALL)  # an open end too: else quadratic
_BAD = 400

B = TypeVar("B", bound=BaseModel)


class Body(BaseModel):
    """A body as it came in: known fields only, never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


async def received(request: Request, *, most_bytes: int) -> bytes:
    """The whole body; Fault 413 for one beyond the limit, 408 for one that does not come."""
    parts = []
    stream = bounded(request, most_bytes=most_bytes).stream()
    try:
        while True:
            parts.append(await anext(stream))
    except StopAsyncIteration:
        return b"".join(parts)
    except ClientDisconnect as why:
        raise Fault(_BAD, "client_gone", "The client went away.") from why


def bounded(request: Request, *, most_bytes: int) -> Request:
    """The same request, of which no more than so many bytes are read; Fault 413 beyond."""
    length = request.headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 20 and int(length) > most_bytes:
        raise too_large(most_bytes)
    size, began = 0, asyncio.get_running_loop().time()

    async def receive() -> Message:
        nonlocal size
        left_s = began + _PATIENCE_S + size / _SLOWEST_BYTES_S - asyncio.get_running_loop().time()
        try:
            message = await asyncio.wait_for(request.receive(), min(_PATIENCE_S, max(0.0, left_s)))
        except TimeoutError as why:
            raise Fault(408, "request_timeout", "The body did not come within its time.") from why
        size += len(message.get("body", b""))
        if size > most_bytes:
            raise too_large(most_bytes)
        return message

    return Request(request.scope, receive)


def parsed(data: bytes, kind: type[B]) -> B:
    """A body of this kind; Fault 400 that says where it is not one."""
    value = json_of(data)
    if not isinstance(value, dict):
        raise Fault(_BAD, "invalid_json", "The body must be a JSON object.")
    return checked(value, kind)


def checked(value: object, kind: type[B]) -> B:
    """A value as a body of this kind; Fault 400 naming the first field that is not right."""
    try:
        return kind.model_validate(value)
    except ValidationError as why:
        first = why.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"])[:200]
        message = f"{where}: {first['msg']}" if where else first["msg"]
        raise Fault(_BAD, "invalid_value", _plain(message)[:500], param=_plain(where) or None) from why
    except RecursionError as why:
        raise _too_deep() from why


def json_of(data: bytes) -> object:
    """A JSON value from bytes that anybody sent; Fault 400 for what is not one."""
    if _depth(data) > MOST_NESTED:
        raise _too_deep()
    try:
        value: object = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
        json.dumps(value, ensure_ascii=False).encode()  # half a character cannot be written, nor can a text that has it
    except UnicodeEncodeError as why:
        raise Fault(_BAD, "invalid_json", "The body has half a character (a lone surrogate).") from why
    except RecursionError as why:
        raise _too_deep() from why
    except ValueError as why:
        place = f" at character {why.pos}" if isinstance(why, json.JSONDecodeError) else ""
        raise Fault(_BAD, "invalid_json", f"The body is not JSON{place}.") from why
    return value


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for found in _STRUCTURE.finditer(data):
        mark = found[0]
        if mark in {b"[", b"{"}:
            depth += 1
            deepest = max(deepest, depth)
            if deepest > MOST_NESTED:
                return deepest
        elif mark in {b"]", b"}"}:
            depth -= 1
    return deepest


def _too_deep() -> Fault:
    return Fault(_BAD, "invalid_json", f"The body is nested more than {MOST_NESTED} deep.")


def _no_constant(word: str) -> float:
    raise ValueError(word)


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in text)
