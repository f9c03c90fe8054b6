"""Verbs of the assistant over documents: ask, summarise, and keep what was answered.

Rules. Each acts as the reader: what is searched, which release answers and which prompts hold is what they may read,
and a search is capped by their ceiling. Who was told something made of an entry is in the journal, about that entry, so
that a spill finds them; texts are not, neither of questions nor of answers. Nothing is kept unless the reader keeps it:
then it is an entry made from the document sets and releases that were used, and a spill follows it like any other.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, ClassVar

from casemate.catalog import Entry
from casemate.errors import BadInput
from casemate.factory import answers_kept, searching
from casemate.factory.desk import Desk
from casemate.factory.means import (
    PASSAGES,
    Means,
    Wish,
    acting,
    marking_brought,
    marking_typed,
    means_for,
    note_about,
)
from casemate.markings import Marking
from casemate.serving.answers import PASTED, Answer, Done, Event, Question, answer, language_of, pasted
from casemate.serving.functions import Synthesis
from casemate.serving.functions import summarise as synthesis
from casemate.serving.pool import EnginePool
from casemate.serving.retrieval import Hit, Passage

__all__ = ["PASSAGES", "Kept", "Wish", "ask", "keep", "summarise"]

_PASTED = {"fr": "Texte fourni", "en": "Pasted text"}


@dataclass(frozen=True)
class Kept:
    """The entry that an answer became."""

    entry: dict[str, Any]
    kind: ClassVar[str] = "kept"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {"kind": self.kind, "entry": self.entry}


# ── Ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def ask(
    desk: Desk, question: str, wish: Wish | None = None, *, pool: EnginePool | None = None
) -> AsyncGenerator[Event | Kept]:
    """The events of a grounded answer over the documents that this person may read; `pool` is a server's engines."""
    said = wish or Wish()
    async with acting(desk, "ask", "question over documents", pool) as own:
        asked, hits, means = await asyncio.to_thread(_asked, desk, question, said, own)
        events = answer(asked, hits, means.chosen.engine, means.grounding)
        async with aclosing(_told(desk, "ask", events, means, asked, hits)) as told:
            async for event in told:
                yield event
                if isinstance(event, Done) and said.keep:
                    yield Kept(await asyncio.to_thread(keep, desk, event.answer, question, said))


def _asked(desk: Desk, question: str, wish: Wish, pool: EnginePool) -> tuple[Question, Sequence[Hit], Means]:
    """What is asked, what was found and what answers it; the part that computes, for a thread."""
    declared = marking_brought if wish.pasted else marking_typed
    marking = declared(desk, wish.marking, "pasted text" if wish.pasted else "question")
    language = wish.language or language_of(question, desk.site.language)
    asked = Question(question, marking, language, wish.turns, desk.reader.ceiling)
    found = searching.hits(desk, asked.query, filters=wish.filters, limit=wish.limit, within=wish.within)
    own = pasted(wish.pasted, question, marking, title=_PASTED[language], language=language) if wish.pasted else ()
    hits = tuple(sorted([*own, *found.hits], key=lambda hit: -hit.confidence))[: wish.limit]
    markings = [marking, *(turn.marking for turn in wish.turns), *(hit.passage.marking for hit in hits)]
    return asked, hits, means_for(desk, wish, pool, found.meaning, markings)


async def _told(
    desk: Desk, verb: str, events: AsyncGenerator[Event], means: Means, asked: Question, hits: Sequence[Hit]
) -> AsyncGenerator[Event]:
    """The events; whatever becomes of who listens, the journal says what they may have been told of."""
    whole: Answer | None = None
    async with aclosing(events):
        try:
            async for event in events:
                if isinstance(event, Done):
                    whole = event.answer
                yield event
        finally:
            _note(desk, verb, whole, means, asked, hits)


def _note(desk: Desk, verb: str, whole: Answer | None, means: Means, asked: Question, hits: Sequence[Hit]) -> None:
    """A line about every entry that was used; one without any where nothing was."""
    if whole is not None:
        entries, marking = whole.entries, whole.marking
        facts: dict[str, Any] = {"refused": whole.refused, "passages": len(whole.citations), "engine": whole.engine}
        facts |= {"tokens": whole.usage.total_tokens} if whole.usage else {}
    else:
        entries = tuple(dict.fromkeys(hit.passage.entry for hit in hits if hit.passage.entry != PASTED))
        marking = Marking.join_all(asked.marking, [
            *(turn.marking for turn in asked.turns), *(hit.passage.marking for hit in hits), *means.grounding.releases,
        ])  # fmt: skip
        facts = {"stopped": True, "passages": len(hits), "engine": means.chosen.engine.name}
    facts |= {"prompts": means.grounding.prompts.version, "release": means.chosen.release}
    note_about(desk, verb, entries, means, marking, facts)


def keep(desk: Desk, whole: Answer, about: str, wish: Wish, sets: Sequence[str] = ()) -> dict[str, Any]:
    """An answer as an entry, made from the document sets (`sets`, or those it was given) and the releases used."""
    parents = tuple(dict.fromkeys([*(sets or whole.entries), *whole.uses]))
    return answers_kept.keep(desk, whole, about, name=wish.keep, project=wish.project, parents=parents)


# ── Summarise ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def summarise(
    desk: Desk, entries: Sequence[str], wish: Wish | None = None, *, subject: str = "", sentences: int = 8,
    pool: EnginePool | None = None,
) -> AsyncGenerator[Event | Kept]:  # fmt: skip
    """The events of a synthesis of whole document sets."""
    said = wish or Wish()
    async with acting(desk, "summarise", f"{len(entries)} document sets", pool) as own:
        found = [desk.view.find(entry, kind="documents") for entry in entries]
        if not found:
            raise BadInput("documents to summarise", expected="at least one document set", found="none")
        typed = marking_typed(desk, said.marking, "subject")
        markings = [typed, *(entry.marking for entry in found)]
        means = await asyncio.to_thread(means_for, desk, said, own, None, markings)
        task = Synthesis(_passages(desk, found), typed, said.language or desk.site.language, subject, sentences)
        events = synthesis(task, means.chosen.engine, means.grounding)
        async with aclosing(_told_of(desk, "summarise", events, means, typed, found)) as told:
            async for event in told:
                yield event
                if isinstance(event, Done) and said.keep:
                    sets = [entry.id for entry in found]
                    yield Kept(await asyncio.to_thread(keep, desk, event.answer, subject, said, sets))


async def _told_of(
    desk: Desk, verb: str, events: AsyncGenerator[Event], means: Means, typed: Marking, found: Sequence[Entry]
) -> AsyncGenerator[Event]:
    marking = Marking.join_all(typed, [*(e.marking for e in found), *means.grounding.releases])
    facts: dict[str, Any] = {"stopped": True, "engine": means.chosen.engine.name, "release": means.chosen.release}
    async with aclosing(events):
        try:
            async for event in events:
                if isinstance(event, Done):
                    del facts["stopped"]
                    facts |= {"passages": len(event.answer.citations), "refused": event.answer.refused}
                yield event
        finally:
            note_about(desk, verb, [entry.id for entry in found], means, marking, facts)


def _passages(desk: Desk, found: Sequence[Entry]) -> Callable[[], Iterator[Passage]]:
    return lambda: (passage for entry in found for passage in searching.passages(desk, entry))
