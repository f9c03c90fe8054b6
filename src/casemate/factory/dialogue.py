"""A conversation over documents: each question knows those before it, in the memory of this process alone.

Rules. Every answer is the one that `ask` gives, with what was said before as its turns, so that its marking is their
join too; a question has the marking of its answer, for who asks on may have it from there. The reader may lower the
ceiling of a conversation and never raise it: what was said above the new one is forgotten. Nothing is kept but an
answer that the reader keeps.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import Any

from casemate.errors import NotFound
from casemate.factory import assistant, models
from casemate.factory.desk import Desk
from casemate.factory.means import Wish
from casemate.markings import Marking
from casemate.serving.answers import Answer, Done, Event, Turn
from casemate.serving.pool import EnginePool

MOST_TURNS = 40  # what is older is forgotten; an engine's context holds fewer


@dataclass
class Dialogue:
    """A conversation at a desk; `wish` says how its answers are wanted. Whoever opens one closes it."""

    desk: Desk
    wish: Wish = field(default_factory=Wish)
    turns: tuple[Turn, ...] = ()
    _last: tuple[str, Answer] | None = None
    _pool: EnginePool = field(init=False)

    def __post_init__(self) -> None:
        """Make the engines that stay open from one question to the next."""
        self._pool = models.new_pool(self.desk.site, now=self.desk.now)

    @property
    def marking(self) -> Marking:
        """The join of what was said and is not forgotten."""
        return Marking.join_all(self.desk.site.policy.lowest, (turn.marking for turn in self.turns))

    async def ask(
        self, question: str, *, marking: str = "", pasted: str = ""
    ) -> AsyncGenerator[Event | assistant.Kept]:
        """The events of an answer; with `pasted`, its text takes part and `marking` must be said. Errors of `ask`."""
        wish = replace(self.wish, marking=marking, pasted=pasted, turns=self.turns)
        async with aclosing(assistant.ask(self.desk, question, wish, pool=self._pool)) as events:
            async for event in events:
                if isinstance(event, Done):
                    self._add(question, event.answer)
                yield event

    def under(self, ceiling: str) -> int:
        """Lower the ceiling; how many messages are forgotten, because they were above it."""
        self.desk = self.desk.under(ceiling)
        kept = tuple(turn for turn in self.turns if _within(turn.marking, self.desk))
        forgotten = len(self.turns) - len(kept)
        self.turns = kept
        if self._last is not None and not _within(self._last[1].marking, self.desk):
            self._last = None
        return forgotten

    def forget(self) -> int:
        """Forget what was said; how many messages that was."""
        forgotten, self.turns, self._last = len(self.turns), (), None
        return forgotten

    def keep(self, name: str) -> dict[str, Any]:
        """Make the last answer an entry of the wish's project; NotFound where nothing was answered."""
        if self._last is None:
            raise NotFound("answer to keep", expected="a question that was answered", found="none")
        question, answer = self._last
        return assistant.keep(self.desk, answer, question, replace(self.wish, keep=name))

    async def close(self) -> None:
        """Close the engines and forget everything."""
        self.forget()
        await self._pool.close()

    def _add(self, question: str, answer: Answer) -> None:
        self._last = (question, answer)
        if not answer.refused:  # else nothing was said that a later question could mean
            said = (Turn("user", question, answer.marking), Turn("assistant", answer.text, answer.marking))
            self.turns = (*self.turns, *said)[-MOST_TURNS:]


def _within(marking: Marking, desk: Desk) -> bool:
    return desk.reader.ceiling is None or marking.within(desk.reader.ceiling)
