"""The verb that talks to a released chat model as it is, without documents: for programs that bring their own context.

Rules. The marking is fixed before the engine is asked: the join of what was declared for the messages and of the
release. Whoever could not read such an answer gets none. The line in the journal says which release answered, at which
marking, how many tokens went in and out and how it ended: no text.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from anyio import CancelScope
from anyio.to_thread import run_sync

from casemate.errors import CasemateError
from casemate.factory import models
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.serving.engines import Message, Piece, Sampling, Usage
from casemate.serving.pool import EnginePool


@dataclass(frozen=True)
class Conversation:
    """An engine that is ready to answer, and what its answer will be marked."""

    desk: Desk
    chosen: models.Chosen
    marking: Marking

    @property
    def release(self) -> str:
        """The digest of the release that answers."""
        return self.chosen.release

    async def pieces(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        """The answer, piece by piece; closing the iterator stops the engine."""
        usage, ended, given, reason = Usage(0, 0), "stopped", 0, ""
        try:
            async with aclosing(self.chosen.engine.stream(messages, sampling)) as stream:
                async for piece in stream:
                    given += 1
                    usage, ended = piece.usage or usage, piece.finish or ended
                    yield piece
        except CasemateError as no:
            ended, reason = type(no).__name__, "" if given else str(no)
            raise
        finally:
            with CancelScope(shield=True):
                await run_sync(self._told, ended, usage, given, reason)

    def _told(self, ended: str, usage: Usage, given: int, reason: str) -> None:
        """A line of the journal; what ended before its first word, for a `reason`, was refused."""
        facts = {
            "release": self.release, "ended": ended, "pieces": given,
            "prompt_tokens": usage.prompt_tokens, "completion_tokens": usage.completion_tokens,
        }  # fmt: skip
        entry = self.chosen.entry
        self.desk.catalog.journal.append(
            self.desk.reader, "chat", f"release {entry.name}" if entry else "no model", marking=self.marking,
            about=entry.id if entry else "", facts=facts, sign=self.desk.sign, reason=reason,
            outcome="refused" if reason else "done",
        )  # fmt: skip


def converse(desk: Desk, model: str, *, marking: Marking, pool: EnginePool, project: str = "") -> Conversation:
    """Choose the engine of a release for messages with this marking; `project` is whose share it takes."""
    with desk.act("chat", f"release {model}"):
        chosen = models.engine(desk, model, pool=pool, project=project)
        joined = marking.join(chosen.marking)
        desk.catalog.site.admit_from(joined, desk.reader, thing="answer")
        chosen.require(marking)
        return Conversation(desk, chosen, joined)
