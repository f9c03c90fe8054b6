"""Verbs of the assistant: ask, summarise, translate, redact, classify, write minutes; and keep an answer.

Rules. Each acts as the reader: what is searched, which release answers and which prompts hold is what they may read,
and a search is capped by their ceiling. A text that a person brings has the marking that they declare. Who was told
something made of an entry is in the journal, about that entry, so that a spill finds them; texts are not, neither of
questions nor of answers. Nothing of a conversation is kept unless the reader keeps it: then it is an entry made from
the document sets and releases that were used, and a spill follows it like any other.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from casemate.catalog import Entry
from casemate.errors import AboveCeiling, BadInput
from casemate.factory import answers_kept, models, policies, searching
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.serving.answers import (
    PASTED,
    QUOTE,
    Answer,
    Done,
    Event,
    Grounding,
    Question,
    Turn,
    answer,
    language_of,
    pasted,
)
from casemate.serving.engines import Sampling
from casemate.serving.functions import KINDS, Minutes, Redacted, Suggestion, Synthesis, Translation, suggest
from casemate.serving.functions import minutes as minutes_of
from casemate.serving.functions import redact as masked
from casemate.serving.functions import summarise as synthesis
from casemate.serving.functions import translate as translated
from casemate.serving.functions.translation import Translated
from casemate.serving.pool import EnginePool
from casemate.serving.retrieval import Filters, Hit, Passage

PASSAGES = 8
_LIKENESS_CHARACTERS = 4000
_PASTED = {"fr": "Texte fourni", "en": "Pasted text"}


@dataclass(frozen=True)
class Wish:
    """How an answer is wanted: which engine ("": the newest release), how many passages, whose share, kept as what.

    `marking` is of what the person typed; empty, it is the lowest, but with a `pasted` text it must be said. `keep` is
    a name, and needs a project. `within` is the identifier of a project beyond which nothing is found.
    """

    marking: str = ""
    pasted: str = ""
    engine: str = ""
    limit: int = PASSAGES
    project: str = ""
    keep: str = ""
    language: str = ""
    filters: Filters = field(default_factory=Filters)
    within: str | None = None
    turns: tuple[Turn, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    flag_unsupported: bool = False

    def __post_init__(self) -> None:
        if self.keep and not self.project:
            raise BadInput(f"answer {self.keep}", expected="the project that keeps it (--project)", found="none")


@dataclass(frozen=True)
class Kept:
    """The entry that an answer became."""

    entry: dict[str, Any]
    kind: ClassVar[str] = "kept"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {"kind": self.kind, "entry": self.entry}


@dataclass(frozen=True)
class _Means:
    """What answers: the engine, how it is grounded, the entries of the releases used."""

    chosen: models.Chosen
    grounding: Grounding
    uses: tuple[Entry, ...]


@asynccontextmanager
async def _acting(desk: Desk, verb: str, subject: str, pool: EnginePool | None) -> AsyncGenerator[EnginePool]:
    """An act with engines: those of a server's pool, or of one of its own that ends with it."""
    with desk.act(verb, subject):
        own = pool or models.new_pool(desk.site, now=desk.now)
        try:
            yield own
        finally:
            if pool is None:
                await own.close()


# ── Ask ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def ask(
    desk: Desk, question: str, wish: Wish | None = None, *, pool: EnginePool | None = None
) -> AsyncGenerator[Event | Kept]:
    """The events of a grounded answer over the documents that this person may read; `pool` is a server's engines."""
    said = wish or Wish()
    async with _acting(desk, "ask", "question over documents", pool) as own:
        asked, hits, means = await asyncio.to_thread(_asked, desk, question, said, own)
        events = answer(asked, hits, means.chosen.engine, means.grounding)
        async with aclosing(_told(desk, "ask", events, means, asked, hits)) as told:
            async for event in told:
                yield event
                if isinstance(event, Done) and said.keep:
                    row = await asyncio.to_thread(_keep, desk, event.answer, question, said, means)
                    yield Kept(row)


def _asked(desk: Desk, question: str, wish: Wish, pool: EnginePool) -> tuple[Question, Sequence[Hit], _Means]:
    """What is asked, what was found and what answers it; the part that computes, for a thread."""
    declared = _required if wish.pasted else _declared
    marking = declared(desk, wish.marking, "pasted text" if wish.pasted else "question")
    language = wish.language or language_of(question, _language(desk))
    asked = Question(question, marking, language, wish.turns, desk.reader.ceiling)
    before = [turn.text for turn in wish.turns if turn.role == "user"][-1:]
    query = " ".join([question, *before])[:_LIKENESS_CHARACTERS]
    found = searching.hits(desk, query, filters=wish.filters, limit=wish.limit, within=wish.within)
    own = pasted(wish.pasted, question, marking, title=_PASTED[language], language=language) if wish.pasted else ()
    hits = tuple(sorted([*own, *found.hits], key=lambda hit: -hit.confidence))[: wish.limit]
    markings = [marking, *(turn.marking for turn in wish.turns), *(hit.passage.marking for hit in hits)]
    meaning = searching.embedder_of(desk) if found.embedder else None
    return asked, hits, _means(desk, wish, pool, meaning, markings)


def _means(
    desk: Desk, wish: Wish, pool: EnginePool, meaning: searching.Meaning | None, before: Sequence[Marking]
) -> _Means:
    """The engine and what grounds it; an engine on another machine gets nothing above its ceiling."""
    chosen = models.engine(desk, wish.engine, pool=pool, project=wish.project)
    notes: tuple[str, ...] = ()
    try:
        ranked_by = [meaning.model.marking] if meaning else []  # the order of passages says something of it
        chosen.require(Marking.join_all(desk.site.policy.lowest, [*before, *ranked_by]))
    except AboveCeiling:
        if wish.engine:
            raise
        chosen, notes = models.engine(desk, QUOTE, pool=pool, project=wish.project), ("engine ceiling",)
    used = [entry for entry in (chosen.entry, meaning.model.entry if meaning else None) if entry is not None]
    markings = [chosen.marking, *([meaning.model.marking] if meaning else [])]
    grounding = Grounding(
        desk.site.policy, policies.read_prompts(desk.view, desk.store, desk.officer), secrets.token_hex(16),
        releases=tuple(markings), sampling=wish.sampling, flag_unsupported=wish.flag_unsupported, notes=notes,
        embedder=meaning.embedder if meaning else None,
        digests=tuple(filter(None, (chosen.release, meaning.model.digest if meaning else ""))),
    )  # fmt: skip
    return _Means(chosen, grounding, tuple(used))


async def _told(
    desk: Desk, verb: str, events: AsyncGenerator[Event], means: _Means, asked: Question, hits: Sequence[Hit]
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


def _note(desk: Desk, verb: str, whole: Answer | None, means: _Means, asked: Question, hits: Sequence[Hit]) -> None:
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
    _note_about(desk, verb, entries, means, marking, facts)


def _note_about(
    desk: Desk, verb: str, entries: Sequence[str], means: _Means, marking: Marking, facts: dict[str, Any]
) -> None:
    subject = f"{facts.get('passages', 0)} passages of {len(entries)} document sets"
    abouts = dict.fromkeys([*entries, *(entry.id for entry in means.uses)])
    for about in abouts or ("",):
        desk.catalog.journal.append(
            desk.reader, verb, subject, marking=marking, about=about, facts=facts, sign=desk.sign
        )


def _keep(
    desk: Desk, whole: Answer, about: str, wish: Wish, means: _Means, found: Sequence[str] = ()
) -> dict[str, Any]:
    """The answer as an entry, made from the document sets (`found`, or those cited) and the releases used."""
    parents = tuple(dict.fromkeys([*(found or whole.entries), *(entry.id for entry in means.uses)]))
    return answers_kept.keep(desk, whole, about, name=wish.keep, project=wish.project, parents=parents)


# ── Everyday functions ───────────────────────────────────────────────────────────────────────────────────────────────
async def summarise(
    desk: Desk, entries: Sequence[str], wish: Wish | None = None, *, subject: str = "", sentences: int = 8,
    pool: EnginePool | None = None,
) -> AsyncGenerator[Event | Kept]:  # fmt: skip
    """The events of a synthesis of whole document sets."""
    said = wish or Wish()
    async with _acting(desk, "summarise", f"{len(entries)} document sets", pool) as own:
        found = [desk.view.find(entry, kind="documents") for entry in entries]
        if not found:
            raise BadInput("documents to summarise", expected="at least one document set", found="none")
        typed = _declared(desk, said.marking, "subject")
        markings = [typed, *(entry.marking for entry in found)]
        means = await asyncio.to_thread(_means, desk, said, own, None, markings)
        task = Synthesis(_passages(desk, found), typed, said.language or _language(desk), subject, sentences)
        events = synthesis(task, means.chosen.engine, means.grounding)
        async with aclosing(_told_of(desk, "summarise", events, means, typed, found)) as told:
            async for event in told:
                yield event
                if isinstance(event, Done) and said.keep:
                    sets = [entry.id for entry in found]
                    row = await asyncio.to_thread(_keep, desk, event.answer, subject, said, means, sets)
                    yield Kept(row)


async def _told_of(
    desk: Desk, verb: str, events: AsyncGenerator[Event], means: _Means, typed: Marking, found: Sequence[Entry]
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
            _note_about(desk, verb, [entry.id for entry in found], means, marking, facts)


def _passages(desk: Desk, found: Sequence[Entry]) -> Callable[[], Iterator[Passage]]:
    return lambda: (passage for entry in found for passage in searching.passages(desk, entry))


async def translate(
    desk: Desk, text: str, target: str, wish: Wish, *, pool: EnginePool | None = None
) -> AsyncGenerator[Translated | Translation]:
    """The parts of a translation as they are made, then the whole; Unavailable without an engine."""
    async with _acting(desk, "translate", f"text of {len(text)} characters", pool) as own:
        marking = _required(desk, wish.marking, "text to translate")
        means = await asyncio.to_thread(_means, desk, wish, own, None, [marking])
        made = translated(text, marking, target, means.chosen.engine, means.grounding)
        async with aclosing(_counted(desk, made, means, marking)) as counted:
            async for part in counted:
                yield part


async def _counted(
    desk: Desk, made: AsyncGenerator[Translated | Translation], means: _Means, marking: Marking
) -> AsyncGenerator[Translated | Translation]:
    """The parts; whoever stops listening is in the journal with those that they were given."""
    facts: dict[str, Any] = {
        "engine": means.chosen.engine.name, "parts": 0, "release": means.chosen.release, "stopped": True,
    }  # fmt: skip
    async with aclosing(made):
        try:
            async for part in made:
                if isinstance(part, Translation):
                    del facts["stopped"]
                else:
                    facts["parts"] += 1
                yield part
        finally:
            if facts["parts"]:
                whole = Marking.join_all(marking, means.grounding.releases)
                _note_about(desk, "translate", (), means, whole, facts)


async def minutes(desk: Desk, text: str, wish: Wish, *, pool: EnginePool | None = None) -> Minutes:
    """The minutes of a transcript."""
    async with _acting(desk, "minutes", f"transcript of {len(text)} characters", pool) as own:
        marking = _required(desk, wish.marking, "transcript")
        means = await asyncio.to_thread(_means, desk, wish, own, None, [marking])
        language = wish.language or language_of(text, _language(desk))
        made = await minutes_of(text, marking, means.chosen.engine, means.grounding, language=language)
        facts = {"engine": made.engine, "decisions": len(made.decisions), "actions": len(made.actions)}
        _note_about(desk, "minutes", (), means, made.marking, facts | {"release": means.chosen.release})
        return made


def redact(desk: Desk, text: str, *, marking: str, kinds: Sequence[str] = (), language: str = "") -> dict[str, Any]:
    """A text with its personal data and secrets masked; its marking stays."""
    with desk.act("redact", f"text of {len(text)} characters"):
        marked = _required(desk, marking, "text to redact")
        found: Redacted = masked(text, kinds=frozenset(kinds) or None, language=language or _language(desk))
        desk.catalog.journal.append(
            desk.reader, "redact", f"text of {len(text)} characters", marking=marked,
            facts={"masked": sum(found.counts.values())}, sign=desk.sign,
        )  # fmt: skip
        return {**found.to_json(), "marking": str(marked)}


def classify(desk: Desk, text: str, *, marking: str = "") -> dict[str, Any]:
    """A suggestion of a text's marking, by what is written in it and by the documents that this person may read.

    The text is taken to be as high as its suggestion in the journal, and as the reader may read where there is none.
    """
    with desk.act("classify", f"text of {len(text)} characters"):
        declared = _declared(desk, marking, "text to classify") if marking else None
        similar: list[tuple[Marking, float]] = []
        if query := " ".join(text[:_LIKENESS_CHARACTERS].split()):
            found = searching.hits(desk, query, filters=Filters(), limit=PASSAGES)
            similar = [(hit.passage.marking, _likeness(text, hit.passage.text)) for hit in found.hits]
        told: Suggestion = suggest(text, desk.site.policy, declared=declared, similar=similar)
        facts = {"suggested": told.marking is not None, "reasons": len(told.reasons)}
        desk.catalog.journal.append(
            desk.reader, "classify", f"text of {len(text)} characters", facts=facts, sign=desk.sign
        )
        return told.to_json()


def redaction_kinds() -> tuple[str, ...]:
    """The kinds of personal data and secrets that can be masked."""
    return KINDS


# ── What all share ───────────────────────────────────────────────────────────────────────────────────────────────────
def _declared(desk: Desk, text: str, thing: str) -> Marking:
    """The marking that a person declares for what they typed, the lowest if they say none."""
    return desk.admitted_marking(text, thing) if text else desk.site.policy.lowest


def _required(desk: Desk, text: str, thing: str) -> Marking:
    if not text:
        raise BadInput(thing, expected="the marking of the text (--marking)", found="none")
    return desk.admitted_marking(text, thing)


def _language(desk: Desk) -> str:
    return "fr" if desk.site.policy.name == "fr" else "en"


def _likeness(text: str, other: str) -> float:
    """The share of a passage's content stems that the text holds."""
    from casemate.serving.answers.facts import facts

    mine, theirs = facts(text[:200_000]).stems, facts(other).stems
    return len(mine & theirs) / len(theirs) if theirs else 0.0
