"""Everyday functions over a text that a person brings: translate, minutes, redact, classify.

Rules. The text has the marking that its bringer declares, and what is made of it is marked at least so. Nothing of it
is kept, in the journal or anywhere else. `redact` lowers no marking, `classify` only suggests one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from casemate.factory import searching
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
from casemate.serving.answers import language_of
from casemate.serving.functions import Minutes, Redacted, Suggestion, Translation, suggest
from casemate.serving.functions import minutes as minutes_of
from casemate.serving.functions import redact as masked
from casemate.serving.functions import translate as translated
from casemate.serving.functions.translation import Translated
from casemate.serving.pool import EnginePool
from casemate.serving.retrieval import Filters

_LIKENESS_CHARACTERS = 4000


async def translate(
    desk: Desk, text: str, target: str, wish: Wish, *, pool: EnginePool | None = None
) -> AsyncGenerator[Translated | Translation]:
    """The parts of a translation as they are made, then the whole; Unavailable without an engine."""
    async with acting(desk, "translate", f"text of {len(text)} characters", pool) as own:
        marking = marking_brought(desk, wish.marking, "text to translate")
        means = await asyncio.to_thread(means_for, desk, wish, own, None, [marking])
        made = translated(text, marking, target, means.chosen.engine, means.grounding)
        async with aclosing(_counted(desk, made, means, marking)) as counted:
            async for part in counted:
                yield part


async def _counted(
    desk: Desk, made: AsyncGenerator[Translated | Translation], means: Means, marking: Marking
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
                note_about(desk, "translate", (), means, whole, facts)


async def minutes(desk: Desk, text: str, wish: Wish, *, pool: EnginePool | None = None) -> Minutes:
    """The minutes of a transcript."""
    async with acting(desk, "minutes", f"transcript of {len(text)} characters", pool) as own:
        marking = marking_brought(desk, wish.marking, "transcript")
        means = await asyncio.to_thread(means_for, desk, wish, own, None, [marking])
        language = wish.language or language_of(text, desk.site.language)
        made = await minutes_of(text, marking, means.chosen.engine, means.grounding, language=language)
        facts = {"engine": made.engine, "decisions": len(made.decisions), "actions": len(made.actions)}
        note_about(desk, "minutes", (), means, made.marking, facts | {"release": means.chosen.release})
        return made


def redact(desk: Desk, text: str, *, marking: str, kinds: Sequence[str] = (), language: str = "") -> dict[str, Any]:
    """A text with its personal data and secrets masked; its marking stays."""
    with desk.act("redact", f"text of {len(text)} characters"):
        marked = marking_brought(desk, marking, "text to redact")
        found: Redacted = masked(text, kinds=frozenset(kinds) or None, language=language or desk.site.language)
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
        declared = marking_typed(desk, marking, "text to classify") if marking else None
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


def _likeness(text: str, other: str) -> float:
    """The share of a passage's content stems that the text holds."""
    from casemate.serving.answers.facts import facts

    mine, theirs = facts(text[:200_000]).stems, facts(other).stems
    return len(mine & theirs) / len(theirs) if theirs else 0.0
