"""Turns at an engine: so many calls at once, the others wait in fair shares, and whoever goes away stops waiting.

Rules. On one event loop. A place that comes free goes to the next of the queue at once, so nobody who comes later takes
it. A call that is cancelled while it waits leaves the queue; one that is cancelled as its turn comes gives it on.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from casemate.errors import Busy
from casemate.serving.fair import FairQueue, Party


@dataclass(frozen=True)
class Limits:
    """How many calls run at once, how many wait (in all, and of one person), and how long."""

    at_once: int = 1
    waiting: int = 512
    waiting_each: int = 256
    waiting_s: float = 300.0
    weights: Mapping[str, int] = field(default_factory=dict)


class Turns:
    """The places of one engine."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._taken = limits, 0
        self._queue: FairQueue[asyncio.Future[None]] = FairQueue(
            weights=limits.weights, waiting=limits.waiting, waiting_each=limits.waiting_each
        )

    @asynccontextmanager
    async def turn(self, party: Party, cost: float) -> AsyncIterator[None]:
        """Wait for a place and hold it; Busy where too many wait, or for too long."""
        if self._taken < self._limits.at_once:
            self._taken += 1
            self._queue.charge(party, cost)
        else:
            await self._wait(party, cost)
        try:
            yield
        finally:
            self._give_on()

    async def _wait(self, party: Party, cost: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._queue.put(party, turn, cost)
        try:
            await asyncio.wait_for(asyncio.shield(turn), self._limits.waiting_s)
        except TimeoutError as why:
            self._leave(turn)
            expected = f"a turn within {self._limits.waiting_s:g} s"
            raise Busy("engine", expected=expected, found="others still before you") from why
        except asyncio.CancelledError:
            self._leave(turn)
            raise

    def _leave(self, turn: asyncio.Future[None]) -> None:
        if not self._queue.remove(turn) and turn.done():
            self._give_on()  # it came in the very moment

    def _give_on(self) -> None:
        following = self._queue.pop()
        if following is None:
            self._taken -= 1
        else:
            following.set_result(None)
