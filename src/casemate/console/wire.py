"""HTTP/1.1 on a connection, as uvicorn speaks it, with a patience that ends: nobody holds a place by being slow.

Rules. A request's head must be there within `HEAD_S`, counted from the connection or from the end of the answer before
it; what comes after an answer and is no head (the rest of a body that was refused) is bounded by the same. A client
that takes nothing of its answer for `STALLED_S` is gone, and the engine behind it free. A body's pace is bounded where
bodies are read (`bodies`).
"""

from __future__ import annotations

import asyncio
import resource
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

HEAD_S, STALLED_S = 30.0, 60.0


class Wire(H11Protocol):
    """One connection."""

    def __init__(self, *args: Any, **more: Any) -> None:
        """Begin without a connection."""
        super().__init__(*args, **more)
        self._head: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        _stop(self._head)
        _stop(self._stalled)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Take what came; once it is a head, it is waited for no longer."""
        super().handle_events()
        if self.cycle is not None and not self.cycle.response_complete:
            _stop(self._head)

    def on_response_complete(self) -> None:
        """Wait for the next head."""
        self._await_head()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Wait for the client to take what was sent."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_S, self.transport.abort)

    def resume_writing(self) -> None:
        """It took some."""
        _stop(self._stalled)
        super().resume_writing()

    def _await_head(self) -> None:
        _stop(self._head)
        self._head = self.loop.call_later(HEAD_S, self.transport.close)


def as_many_files_as_allowed() -> None:
    """Let this process hold as many connections as its system allows it, which is often more than it gives at first."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _stop(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()
