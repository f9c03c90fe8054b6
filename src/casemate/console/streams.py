"""Streams: server-sent events as they come, and work that ends when its client has gone.

Rules. Whatever is refused before the first event is an answer with its own status; what fails after it is the last
event. A client that goes away ends the work behind it, whether it was streamed to or waited. Iterators are closed by
who reads them and in the same task, so that an engine is let go at once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Awaitable, Mapping
from contextlib import aclosing, suppress
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from casemate.console import faults
from casemate.console.faults import Fault
from casemate.errors import CasemateError

DONE = "data: [DONE]\n\n"
_T = TypeVar("_T")


class Events(StreamingResponse):
    """Server-sent events; each is a JSON object, or text that is sent as it is."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[Mapping[str, Any] | str], headers: Mapping[str, str]) -> None:
        """Send what `events` yields."""
        super().__init__(_lines(events), headers={**headers, "X-Accel-Buffering": "no"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all of it, and close the iterator however it ends."""
        async with aclosing(self.body_iterator):  # type: ignore[type-var]
            await super().__call__(scope, receive, send)


async def begun(request: Request, events: AsyncGenerator[_T]) -> AsyncGenerator[_T]:
    """The same events once the first is there, so that what is refused before it can still be answered."""
    try:
        first = await while_connected(request, anext(events, None))
    except BaseException:
        await events.aclose()
        raise

    async def whole() -> AsyncGenerator[_T]:
        async with aclosing(events):
            if first is not None:
                yield first
                async for event in events:
                    yield event

    return whole()


async def while_connected(request: Request, work: Awaitable[_T]) -> _T:
    """The result of `work`, which is cancelled when its client goes away; its body must have been read."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Fault(499, "client_gone", "The client went away.")
        return await working
    finally:
        leaving.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError, CasemateError):
                await working


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _lines(events: AsyncGenerator[Mapping[str, Any] | str]) -> AsyncGenerator[str]:
    async with aclosing(events):
        try:
            async for event in events:
                yield event if isinstance(event, str) else line(event)
        except CasemateError as no:
            yield line(faults.error_of(no))


def line(event: Mapping[str, Any]) -> str:
    """An event as it is sent; half a character, which an engine may say, is escaped."""
    return f"data: {json.dumps(event, separators=(',', ':'))}\n\n"
