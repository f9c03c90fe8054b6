"""Passages, hits and engines for tests: an engine says what it was told to, whole or in pieces of any size."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Any

from casemate.errors import Unavailable
from casemate.markings import Marking, Policy
from casemate.serving.answers import Answer, Done, Event, Grounding, Prompts, Question, answer
from casemate.serving.engines import Engine, Message, Piece, Sampling, Usage
from casemate.serving.retrieval.passages import Hit, Passage

POLICY = Policy.shipped("fr")
NP, DR, S = (POLICY.parse(code) for code in ("NP", "DR", "S"))


def passage(
    text: str, *, number: int = 0, marking: Marking = NP, entry: str = "e" * 26, title: str = "Note"
) -> Passage:
    return Passage(
        id=f"{number:032x}-00000", document=f"{number:032x}", number=number, title=title, heading="", text=text,
        language="fr", page=1, boxes=((1.0, 10.0, 20.0, 300.0, 60.0),), kind="pdf", date="2024-05-01", entry=entry,
        project="harbour", marking=marking,
    )  # fmt: skip


def hits(*passages: Passage, confidence: float = 0.9) -> tuple[Hit, ...]:
    return tuple(Hit(p, 1.0 / (rank + 1), confidence, 1.0, None, rank) for rank, p in enumerate(passages))


@dataclass
class Says:
    """An engine that says a text; `dies` after that many characters, or goes on for ever."""

    text: str
    piece: int = 7
    dies: int | None = None
    endless: bool = False
    extra: dict[str, Any] = field(default_factory=dict)
    context_tokens: int = 4096
    name: str = "fake"
    heard: list[Message] = field(default_factory=list)
    sampling: Sampling | None = None
    closed: bool = False

    def count(self, messages: Sequence[Message]) -> int:
        return sum(len(message.content.split()) + 4 for message in messages)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        self.heard, self.sampling, said = list(messages), sampling, 0
        try:
            while True:
                for start in range(0, len(self.text), self.piece):
                    if self.dies is not None and said >= self.dies:
                        raise Unavailable("engine fake", expected="an answer", found="a process that ended")
                    await asyncio.sleep(0)
                    yield Piece(self.text[start : start + self.piece], extra=self.extra)
                    said += self.piece
                if not self.endless:
                    break
                await asyncio.sleep(0)
                yield Piece("")
            yield Piece("", "stop", Usage(self.count(messages), said))
        finally:
            self.closed = True

    async def close(self) -> None:
        self.closed = True


def grounding(**given: Any) -> Grounding:
    return Grounding(**{"policy": POLICY, "prompts": Prompts.shipped(), "nonce": "test", "releases": ()} | given)


def events(question: Question | str, found: Sequence[Hit], engine: Engine | None = None, **given: Any) -> list[Event]:
    asked = Question(question, NP, "fr") if isinstance(question, str) else question

    async def all_of() -> list[Event]:
        return [event async for event in answer(asked, found, engine, grounding(**given))]

    return asyncio.run(all_of())


def answered(question: Question | str, found: Sequence[Hit], engine: Engine | None = None, **given: Any) -> Answer:
    last = events(question, found, engine, **given)[-1]
    assert isinstance(last, Done)
    return last.answer
