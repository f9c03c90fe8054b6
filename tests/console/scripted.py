"""An engine that says what a test wrote, as it is told to: on, never, or not to the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field

from casemate.errors import ContextTooLong, Unavailable
from casemate.serving.engines import Engine, Message, Piece, Sampling, Usage
from casemate.serving.pool import Caller, EnginePool
from casemate.serving.turns import Limits

CONTEXT = 1000


@dataclass
class Scripted:
    """Says `words` one by one; dies after `dies_after` of them, or then waits for ever (`waits_after`)."""

    words: Sequence[str | Piece] = ("Bonjour", ", ", "monde", ".")
    dies_after: int | None = None
    waits_after: int | None = None
    name: str = "scripted"
    context_tokens: int = CONTEXT
    asked: list[tuple[Sequence[Message], Sampling]] = field(default_factory=list)
    let_go: threading.Event = field(default_factory=threading.Event)

    def count(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) for message in messages)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        self.asked.append((messages, sampling))
        tokens = self.count(messages)
        if tokens >= CONTEXT:
            raise ContextTooLong("messages", expected=f"fewer than {CONTEXT} tokens", found=f"{tokens} tokens")
        try:
            for number, word in enumerate(self.words):
                if number == self.dies_after:
                    raise Unavailable(f"engine {self.name}", expected="an answer to its end", found=f"{number} pieces")
                if number == self.waits_after:
                    await asyncio.Event().wait()
                piece = word if isinstance(word, Piece) else Piece(word)
                yield piece
                if piece.finish:
                    return
            yield Piece("", "stop", Usage(tokens, len(self.words)))
        finally:
            self.let_go.set()

    async def close(self) -> None:
        self.let_go.set()


class ScriptedPool(EnginePool):
    """A pool in which every release is run by one scripted engine."""

    def __init__(self, engine: Scripted) -> None:
        super().__init__()
        self.scripted = engine

    def engine(self, key: str, opener: Callable[[], Engine], limits: Limits, caller: Caller) -> Engine:
        return super().engine(key, opener if key == "quote" else lambda: self.scripted, limits, caller)
