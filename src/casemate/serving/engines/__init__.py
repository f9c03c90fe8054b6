"""Engines: what turns messages into text; one file each, found by listing this folder.

Rules. An engine is asynchronous: `stream` gives pieces as they come, and closing the iterator (or cancelling the task
that reads it) stops the work behind it. Nothing is cut silently: what does not fit into the context is BadInput with
both numbers. An engine that dies says Unavailable and how far it got, and is there again at the next call. An engine
keeps nothing of what it is asked; a prompt's beginning is reused only among calls of one `Sampling.reuse`, because a
cache that others can hit is a clock that they can read (docs/engines.md).
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from casemate.errors import NotFound

__all__ = ["Engine", "Message", "Piece", "Sampling", "Usage", "find", "names"]


@dataclass(frozen=True)
class Message:
    """One message of a conversation; `extra` is passed through (tool calls and their results)."""

    role: str
    content: str
    extra: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The message as every OpenAI-compatible engine reads it."""
        return {"role": self.role, "content": self.content, **self.extra}


@dataclass(frozen=True)
class Sampling:
    """How an answer is drawn; the defaults are deterministic where the engine is.

    `reuse` says with which other calls this one may share the beginning of a prompt: "" with none.
    """

    max_tokens: int = 512
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int = 0
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: Any = None
    response_format: Mapping[str, Any] | None = None
    reuse: str = ""

    def to_json(self) -> dict[str, Any]:
        """The fields of a chat completion's request that say the same; `reuse` is ours and stays here."""
        said: dict[str, Any] = {
            "max_tokens": self.max_tokens, "temperature": self.temperature, "top_p": self.top_p, "seed": self.seed,
        }  # fmt: skip
        optional = {
            "stop": list(self.stop), "tools": [dict(tool) for tool in self.tools],
            "tool_choice": self.tool_choice, "response_format": self.response_format,
        }  # fmt: skip
        return said | {name: value for name, value in optional.items() if value}


@dataclass(frozen=True)
class Usage:
    """How many tokens went in and came out; `cached` of those that went in were known from an earlier call."""

    prompt_tokens: int
    completion_tokens: int
    cached: int = 0

    @property
    def total_tokens(self) -> int:
        """Both together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True)
class Piece:
    """What comes next of an answer; the last piece has `finish` (stop, length, tool_calls) and `usage`.

    `extra` is passed through: `tool_calls` as the deltas that an OpenAI-compatible engine gives.
    """

    text: str
    finish: str | None = None
    usage: Usage | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


class Engine(Protocol):
    """What answers; `name` is the release's, `context_tokens` bounds messages and answer together."""

    @property
    def name(self) -> str:
        """Name of the release that answers."""

    @property
    def context_tokens(self) -> int:
        """How many tokens messages and answer may have together."""

    def count(self, messages: Sequence[Message]) -> int:
        """How many tokens the messages are to this engine; an upper bound where it cannot be known."""

    def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        """The answer, piece by piece; BadInput for what does not fit, Unavailable for an engine that fails."""

    async def close(self) -> None:
        """Let go of what the engine holds; closing twice is allowed."""


def names() -> list[str]:
    """Names of the engines, by listing the folder."""
    files = (f.stem for f in Path(__file__).parent.glob("*.py"))
    return sorted(name for name in files if not name.startswith("_"))


def find(name: str) -> ModuleType:
    """The module of the engine of this name, imported when it is asked for; NotFound lists those that there are."""
    if name not in names():
        raise NotFound("engine", expected=" or ".join(names()), found=repr(name))
    return importlib.import_module(f"casemate.serving.engines.{name}")
