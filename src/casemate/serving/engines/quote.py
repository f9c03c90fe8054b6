"""The engine that is no model: it quotes what is put before it, always there and always the same.

Rules. Deterministic. Answers over documents quote passages by themselves where the engine's name is `quote`
(`casemate.serving.answers`); asked directly, it gives the paragraph of the last message that shares the most words with
the message's last paragraph, which is the question, and says so where there is none.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Sequence

from casemate.serving.engines import Message, Piece, Sampling, Usage

NAME = "quote"
NOTHING = (
    "Aucun modèle ne répond ici, et il n'y a rien à citer. "
    "No model answers here, and there is nothing to quote."
)  # fmt: skip
_CONTEXT_WORDS = 1 << 20


def open_engine() -> Quote:
    """The engine; it needs nothing."""
    return Quote()


class Quote:
    """No model; a token is a word."""

    @property
    def name(self) -> str:
        """Always `quote`."""
        return NAME

    @property
    def context_tokens(self) -> int:
        """As many words as anybody will ask."""
        return _CONTEXT_WORDS

    def count(self, messages: Sequence[Message]) -> int:
        """How many words the messages have."""
        return sum(len(message.content.split()) for message in messages)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        """The nearest paragraph, a word a piece."""
        words = re.findall(r"\S+\s*", quoted(messages))
        for word in words[: sampling.max_tokens]:
            yield Piece(word)
        finish = "stop" if len(words) <= sampling.max_tokens else "length"
        yield Piece("", finish, Usage(self.count(messages), min(len(words), sampling.max_tokens)))

    async def close(self) -> None:
        """Nothing is held."""


def quoted(messages: Sequence[Message]) -> str:
    """The paragraph of the last message from a person that is nearest to its last one."""
    last = next((message.content for message in reversed(messages) if message.role == "user"), "")
    *paragraphs, question = [p.strip() for p in re.split(r"\n\s*\n", last) if p.strip()] or [""]
    asked = _words(question)
    shared = [len(asked & _words(paragraph)) for paragraph in paragraphs]
    return paragraphs[shared.index(max(shared))] if max(shared, default=0) else NOTHING


def _words(text: str) -> set[str]:
    return {word.casefold() for word in re.findall(r"\w{3,}", text)}
