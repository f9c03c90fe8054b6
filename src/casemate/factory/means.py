"""What answers a person here: how they want it, the engine, the prompts, what they declared; and what the journal says.

Rules. Which release answers and which prompts hold is what the person may read; an engine on another machine gets
nothing above its ceiling. What a person typed has the marking that they declare: the lowest where nothing is said, but
a text that they bring must have one. Whoever was told something made of an entry is in the journal, about that entry.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from casemate.errors import AboveCeiling, BadInput
from casemate.factory import models, policies, searching
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.serving.answers import QUOTE, Grounding, Turn
from casemate.serving.engines import Sampling
from casemate.serving.pool import EnginePool
from casemate.serving.retrieval import Filters

PASSAGES = 8


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
class Means:
    """What answers: the engine, and how it is grounded."""

    chosen: models.Chosen
    grounding: Grounding


@asynccontextmanager
async def acting(desk: Desk, verb: str, subject: str, pool: EnginePool | None) -> AsyncGenerator[EnginePool]:
    """An act with engines: those of a server's pool, or of one of its own that ends with it."""
    with desk.act(verb, subject):
        own = pool or models.new_pool(desk.site, now=desk.now)
        try:
            yield own
        finally:
            if pool is None:
                await own.close()


def means_for(
    desk: Desk, wish: Wish, pool: EnginePool, meaning: searching.Meaning | None, before: Sequence[Marking]
) -> Means:
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
    used = (chosen.entry, meaning.model.entry if meaning else None)
    markings = [chosen.marking, *([meaning.model.marking] if meaning else [])]
    grounding = Grounding(
        desk.site.policy, policies.read_prompts(desk.view, desk.store, desk.officer), secrets.token_hex(16),
        releases=tuple(markings), sampling=wish.sampling, flag_unsupported=wish.flag_unsupported, notes=notes,
        embedder=meaning.embedder if meaning else None,
        digests=tuple(filter(None, (chosen.release, meaning.model.digest if meaning else ""))),
        uses=tuple(entry.id for entry in used if entry is not None),
    )  # fmt: skip
    return Means(chosen, grounding)


def note_about(
    desk: Desk, verb: str, entries: Sequence[str], means: Means, marking: Marking, facts: dict[str, Any]
) -> None:
    """A line about each of `entries` and each release used; one about nothing where there is neither."""
    subject = f"{facts.get('passages', 0)} passages of {len(entries)} document sets"
    abouts = dict.fromkeys([*entries, *means.grounding.uses])
    for about in abouts or ("",):
        desk.catalog.journal.append(
            desk.reader, verb, subject, marking=marking, about=about, facts=facts, sign=desk.sign
        )


def marking_typed(desk: Desk, text: str, thing: str) -> Marking:
    """The marking that a person declares for what they typed, the lowest if they say none."""
    return desk.admitted_marking(text, thing) if text else desk.site.policy.lowest


def marking_brought(desk: Desk, text: str, thing: str) -> Marking:
    """The marking that a person declares for a text that they bring; BadInput if they say none."""
    if not text:
        raise BadInput(thing, expected="the marking of the text (--marking)", found="none")
    return desk.admitted_marking(text, thing)
