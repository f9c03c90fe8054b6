"""The engines that are open: each opened once, given to callers with their turn, their quota and their own memory.

Rules. What is opened is kept by a key that names its release, so that another release is another engine; whether the
release still holds is asked before each use, by whoever gives the key. A caller's prompts meet the prompts of the same
caller only (`Caller.reuse`). A call waits for its turn, is counted against its quota, and gives both back however it
ends. Engines that nobody has used lately are closed when there are more than `kept`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import datetime

from casemate.catalog import Entry, Kept, Reader
from casemate.gates.release_check import Release
from casemate.serving.engines import Engine, Message, Piece, Sampling
from casemate.serving.fair import Party
from casemate.serving.quotas import Quotas
from casemate.serving.turns import Limits, Turns
from casemate.signing.trust import Trust
from casemate.store.digest import Digest

_BYTES_A_TOKEN = 3  # what a token takes at least, on the whole, in French and English


@dataclass(frozen=True)
class Caller:
    """Who asks: whose share it is, and with whose earlier prompts theirs may share a beginning ("": nobody's)."""

    party: Party
    reuse: str = ""


class EnginePool:
    """Open engines, by key; `verified` are the releases that held a moment ago, by what that was decided from.

    `found` are the releases that a reader's question came to, the last of which answered, and `withdrawn` how many
    withdrawals each reader sees, and the newest: both as long as nothing is written in the catalog.
    """

    def __init__(self, *, quotas: Quotas | None = None, kept: int = 2) -> None:
        self._quotas, self._kept = quotas, kept
        self.verified: dict[tuple[str, int, str], tuple[datetime, Trust, tuple[Release, Digest]]] = {}
        self.found: Kept[tuple[Reader, str], tuple[Entry, ...]] = Kept()
        self.withdrawn: Kept[Reader, tuple[int, str]] = Kept()
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: OrderedDict[str, _Opened] = OrderedDict()

    def engine(self, key: str, opener: Callable[[], Engine], limits: Limits, caller: Caller) -> Engine:
        """The engine of `key` as `caller` may use it; `opener` is called if it is not open, and may take long."""
        with self._lock:
            opening = self._opening.setdefault(key, threading.Lock())
        with opening:
            with self._lock:
                opened = self._open.get(key)
            if opened is None:
                opened = _Opened(opener(), Turns(limits))
            with self._lock:
                self._open[key] = opened
                self._open.move_to_end(key)
        return _Shared(opened, caller, self)

    @property
    def quotas(self) -> Quotas | None:
        """What counts the tokens of a day."""
        return self._quotas

    async def close_idle(self) -> None:
        """Close engines beyond those that are kept, the longest unused first, and none that is at work."""
        idle: list[_Opened] = []
        with self._lock:
            for key, opened in list(self._open.items()):
                if len(self._open) <= self._kept:
                    break
                if not opened.calls:
                    idle.append(self._open.pop(key))
        for opened in idle:
            await opened.engine.close()

    async def close(self) -> None:
        """Close every engine."""
        with self._lock:
            every, self._open = list(self._open.values()), OrderedDict()
        for opened in every:
            await opened.engine.close()


class _Opened:
    """An engine, its places, and how many calls are in it or wait for it."""

    def __init__(self, engine: Engine, turns: Turns) -> None:
        self.engine, self.turns, self.calls = engine, turns, 0


class _Shared:
    """An engine as one caller uses it."""

    def __init__(self, opened: _Opened, caller: Caller, pool: EnginePool) -> None:
        self._opened, self._caller, self._pool = opened, caller, pool

    @property
    def name(self) -> str:
        return self._opened.engine.name

    @property
    def context_tokens(self) -> int:
        return self._opened.engine.context_tokens

    def count(self, messages: Sequence[Message]) -> int:
        return self._opened.engine.count(messages)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        await self._pool.close_idle()
        prompt, party = _about(messages, sampling), self._caller.party
        quotas = self._pool.quotas
        reserved = quotas.reserve(party.share, prompt + sampling.max_tokens) if quotas else None
        used = 0
        self._opened.calls += 1
        try:
            async with self._opened.turns.turn(party, prompt + sampling.max_tokens):
                used = prompt
                asked = replace(sampling, reuse=self._caller.reuse)
                async with aclosing(self._opened.engine.stream(messages, asked)) as pieces:
                    async for piece in pieces:
                        used = piece.usage.total_tokens if piece.usage else used + 1
                        yield piece
        finally:
            self._opened.calls -= 1
            if reserved is not None:
                reserved.settle(used)

    async def close(self) -> None:
        """The engine stays open for others: the pool closes it."""


def _about(messages: Sequence[Message], sampling: Sampling) -> int:
    """About how many tokens are to be read, tools and formats too, without asking; rather too many than too few."""
    formats = [sampling.response_format] if sampling.response_format else []
    read = [*(message.to_json() for message in messages), *sampling.tools, *formats]
    return sum(8 + len(str(one).encode("utf-8", "replace")) // _BYTES_A_TOKEN for one in read)
