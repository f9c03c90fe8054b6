"""The embedded engine: a GGUF model by llama.cpp, on this machine's processors, in a process of its own.

Rules. A model is opened from a folder whose bytes the caller verified. Messages that leave no room for one token of an
answer are BadInput with both numbers; an answer that the context ends says `length`. Nobody waits for ever: an engine
that says nothing for `silence_s`, not even that it is working, is ended and started again at the next call.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from pathlib import Path
from typing import Any

from casemate.errors import BadInput, ContextTooLong, Unavailable
from casemate.modalities import find
from casemate.serving.engines import Message, Piece, Sampling, Usage

_SILENCE_S = 120.0


def open_engine(name: str, model_dir: Path, **options: Any) -> LlamaCpp:
    """The engine of a model in a verified folder; BadInput for one that llama.cpp does not load."""
    return LlamaCpp(name, find("language").predict.chat(model_dir, **options))


class LlamaCpp:
    """A chat model that runs here; `model` is what the modality opened."""

    def __init__(self, name: str, model: Any, *, silence_s: float = _SILENCE_S) -> None:
        self._name, self._model, self._silence_s = name, model, silence_s

    @property
    def name(self) -> str:
        """Name of the release that answers."""
        return self._name

    @property
    def context_tokens(self) -> int:
        """How many tokens messages and answer may have together."""
        return int(self._model.context_tokens)

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages are, in the model's own template."""
        return int(self._model.count([message.to_json() for message in messages]))

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        """The answer, piece by piece."""
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        body = sampling.to_json() | {"messages": [message.to_json() for message in messages]}
        number = self._model.new_call()
        try:
            hear = _into(loop, said)
            await asyncio.to_thread(self._model.start, number, body, hear, reuse=sampling.reuse)
            async for piece in self._pieces(said, len(messages)):
                yield piece
        finally:
            self._model.cancel(number)

    async def close(self) -> None:
        """End the process of the model."""
        await asyncio.to_thread(self._model.close)

    async def _pieces(self, said: asyncio.Queue[dict[str, Any]], messages: int) -> AsyncGenerator[Piece]:
        given = 0
        finish: str | None = None
        usage: Usage | None = None
        while True:
            event = await self._next(said, given)
            if "error" in event:
                raise _no(event["error"], self._name, given, messages)
            if event.get("end"):
                yield Piece("", finish or "stop", usage)
                return
            finish = event.get("finish", finish)
            usage = Usage(*event["usage"]) if "usage" in event else usage
            extra: dict[str, Any] = {name: event[name] for name in ("tool_calls", "reasoning_content") if name in event}
            if event.get("content") or extra:
                given += 1
                yield Piece(event.get("content", ""), extra=extra)

    async def _next(self, said: asyncio.Queue[dict[str, Any]], given: int) -> dict[str, Any]:
        if not said.empty():
            return said.get_nowait()
        try:
            async with asyncio.timeout(self._silence_s):
                return await said.get()
        except TimeoutError as why:
            self._model.kill()
            found = f"silence for {self._silence_s:g} s after {given} pieces"
            raise Unavailable(f"engine {self._name}", expected="an answer to its end", found=found) from why


def too_long(tokens: int, context_tokens: int) -> ContextTooLong:
    """What is said of messages that leave no room in a context for one token of an answer."""
    expected = f"messages of fewer than {context_tokens} tokens, which is all that the model's context holds"
    found = f"{tokens} tokens, so {tokens - context_tokens + 1} too many; nothing was cut and nothing was answered"
    return ContextTooLong("messages", expected=expected, found=found)


def _into(loop: asyncio.AbstractEventLoop, said: asyncio.Queue[dict[str, Any]]) -> Any:
    def hear(event: dict[str, Any]) -> None:
        try:
            loop.call_soon_threadsafe(said.put_nowait, event)
        except RuntimeError:
            return  # whoever listened has gone, and their loop with them

    return hear


def _no(error: Any, name: str, given: int, messages: int) -> Exception:
    if error == "died":
        found = f"an engine that ended after {given} pieces of an answer; it starts again at the next call"
        return Unavailable(f"engine {name}", expected="an answer to its end", found=found)
    if isinstance(error, dict):
        return too_long(int(error["prompt_tokens"]), int(error["context_tokens"]))
    found = f"{messages} messages that it refuses"
    return BadInput("messages", expected="a conversation that the model's template takes", found=found)
