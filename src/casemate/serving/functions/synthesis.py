"""Synthesis of long documents: parts first, then the parts together, every sentence with its passage.

Rules. Memory is bounded whatever the length: passages are read as they come and twice, and only sentences that may be
in the synthesis are kept. With an engine, each part is summarised and checked against its passages, then the checked
sentences are joined and checked again; without one, the sentences that hold most of what the documents speak of stand
as they are. The marking is the join of every passage that was read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

from casemate.errors import BadInput
from casemate.markings import Marking
from casemate.serving.answers.answering import QUOTE, Grounding, heard, uncited
from casemate.serving.answers.context import Source, as_data, delimiter, flags, framed, sources_of
from casemate.serving.answers.events import Answer, Citation, Done, Event, Note, Passages, Sentence
from casemate.serving.answers.filters import Filters
from casemate.serving.answers.notes import NOTHING, note, wording
from casemate.serving.answers.prompts import Prompt
from casemate.serving.answers.support import Ground, Verdict, check, ground
from casemate.serving.engines import Engine, Message, Usage
from casemate.serving.functions.extraction import Kept, best_of, extract, spoken_of, texts
from casemate.serving.retrieval.passages import Hit, Passage

MOST_SENTENCES, MOST_BATCHES, MOST_KEPT, MOST_FLAGS = 50, 200, 240, 10


@dataclass(frozen=True)
class Synthesis:
    """What is to be summarised: passages that can be read twice, on a subject, in so many sentences."""

    passages: Callable[[], Iterator[Passage]]
    marking: Marking
    language: str = "en"
    subject: str = ""
    sentences: int = 8

    def __post_init__(self) -> None:
        if not 1 <= self.sentences <= MOST_SENTENCES:
            raise BadInput("sentences", expected=f"1 to {MOST_SENTENCES}", found=self.sentences)


class _Reading:
    """The passages as data, one after another, and what was found on the way."""

    def __init__(self, task: Synthesis, codes: Sequence[str]) -> None:
        self._task = task
        self.marking = task.marking
        self.notes: list[Note] = [note(code, task.language) for code in codes]
        self.read = 0

    def sources(self, *, first: bool) -> Iterator[Source]:
        for number, passage in enumerate(self._task.passages(), 1):
            source = sources_of([Hit(passage, 0.0, 1.0, 0.0, None, 0)])[0]
            source = replace(source, citation=replace(source.citation, number=number))
            if first:
                self.read = number
                self.marking = self.marking.join(passage.marking)
                if len(self.notes) < MOST_FLAGS:
                    self.notes += flags([source], self._task.language)
            yield source


async def summarise(task: Synthesis, engine: Engine | None, grounding: Grounding) -> AsyncGenerator[Event]:
    """The events of a synthesis, ending with Done."""
    reading, counts = _Reading(task, grounding.notes), Counter[str]()
    speaks = engine if engine is not None and engine.name != QUOTE else None
    if speaks is None:
        said = spoken_of(reading.sources(first=True))
        kept = extract(reading.sources(first=False), said, task.subject, task.sentences)
    else:
        kept = await _mapped(task, reading, speaks, grounding, counts)
    chosen, citations = _numbered(kept)
    yield Passages(citations)
    for told in reading.notes:
        yield told
    filters = Filters(grounding.prompts.of("reduce", task.language).system, grounding.policy, task.language)
    made = [] if speaks is None else await _reduced(task, chosen, speaks, grounding, filters, counts)
    if not made:
        if speaks is not None and chosen:
            counts["quoted instead"] += 1
        made = _standing(best_of(chosen, task.sentences), filters)
    for sentence in made:
        yield sentence
    ending = _notes(counts, task.language)
    for told in ending:
        yield told
    marking = Marking.join_all(reading.marking, grounding.releases)
    text = "".join(sentence.before + sentence.written for sentence in made)
    yield Done(Answer(
        text or wording(NOTHING, task.language), tuple(made), citations, (*reading.notes, *ending), marking,
        refused=not made, reasons=() if made else (NOTHING,), engine=engine.name if speaks and engine else QUOTE,
        prompts=grounding.prompts.version, language=task.language, releases=grounding.digests,
        uses=grounding.uses,
    ))  # fmt: skip


# ── With an engine ───────────────────────────────────────────────────────────────────────────────────────────────────
async def _mapped(
    task: Synthesis, reading: _Reading, engine: Engine, grounding: Grounding, counts: Counter[str]
) -> list[Kept]:
    """What the engine says of each part and the part supports."""
    prompt = grounding.prompts.of("map", task.language)
    filters = Filters(prompt.system, grounding.policy, task.language)
    kept: list[Kept] = []
    for number, batch in enumerate(_batches(reading.sources(first=True), engine, prompt, grounding)):
        if number >= MOST_BATCHES:
            counts["left out"] += len(batch)
            continue
        grounds = [source.ground for source in batch]
        blocks = [(source.citation.title, source.citation.text) for source in batch]
        before = len(kept)
        async for text, places in _said(task, blocks, grounds, engine, grounding, prompt, filters, counts):
            kept.append(Kept(text, len(kept), batch[places[0]].citation, 1.0))
        if len(kept) == before:  # nothing held: its first sentence stands for the part
            first = next((text for source in batch for text in texts(source)), None)
            if first is not None:
                kept.append(Kept(first, len(kept), batch[0].citation, 0.5))
        if len(kept) > MOST_KEPT:
            kept = best_of(kept, MOST_KEPT // 2)
    return kept


def _batches(sources: Iterator[Source], engine: Engine, prompt: Prompt, grounding: Grounding) -> Iterator[list[Source]]:
    room = engine.context_tokens - grounding.sampling.max_tokens
    room -= engine.count([Message("system", prompt.system), Message("user", prompt.user)]) + 64
    held: list[Source] = []
    size = 0
    for source in sources:
        cost = 24 + engine.count([Message("user", f"{source.citation.title}\n{source.citation.text}")])
        if held and size + cost > room:
            yield held
            held, size = [], 0
        if cost <= room:
            held.append(source)
            size += cost
    if held:
        yield held


async def _reduced(
    task: Synthesis,
    chosen: Sequence[Kept],
    engine: Engine,
    grounding: Grounding,
    filters: Filters,
    counts: Counter[str],
) -> list[Sentence]:
    """The checked sentences joined by the engine, and checked once more."""
    if len(chosen) <= task.sentences:
        return []
    prompt = grounding.prompts.of("reduce", task.language)
    room = engine.context_tokens - grounding.sampling.max_tokens
    shown: list[Kept] = list(chosen)
    while shown and engine.count([Message("user", "\n".join(k.text for k in shown) + prompt.system)]) > room // 2:
        shown = best_of(shown, max(1, len(shown) // 2)) if len(shown) > 1 else []
    blocks = [("", kept.text) for kept in shown]
    grounds = [ground(kept.text) for kept in shown]
    made: list[Sentence] = []
    async for text, places in _said(task, blocks, grounds, engine, grounding, prompt, filters, counts):
        numbers = tuple(dict.fromkeys(shown[place].citation.number for place in places))
        if len(made) < task.sentences and all(text != other.text for other in made):
            made.append(Sentence(text, numbers, 1.0, before=" " if made else ""))
    return made


async def _said(
    task: Synthesis, blocks: Sequence[tuple[str, str]], grounds: Sequence[Ground], engine: Engine, grounding: Grounding,
    prompt: Prompt, filters: Filters, counts: Counter[str],
) -> AsyncGenerator[tuple[str, tuple[int, ...]]]:  # fmt: skip
    """The sentences that the engine says of these blocks and that they support, with their places."""
    shown = [text for _, text in blocks]
    mark = delimiter(grounding.nonce, shown)
    passages = "\n".join(framed(number, title, text, mark) for number, (title, text) in enumerate(blocks, 1))
    user = prompt.fill(passages=passages, delimiter=mark, subject=as_data(task.subject) or "—")
    spoken = heard(engine, [Message("system", prompt.system), Message("user", user)], grounding, counts)
    async with aclosing(spoken):
        async for cut in spoken:
            if isinstance(cut, Usage):
                continue
            text = filters.apply(uncited(cut.text), shown).text
            found = check(text, grounds, grounding.thresholds)
            if found.verdict is Verdict.SUPPORTED:
                yield text, found.places
            elif found.verdict is Verdict.UNSUPPORTED:
                counts["dropped"] += 1
            elif found.verdict is Verdict.CONTRADICTED:
                counts["contradicted"] += 1


# ── The end ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _numbered(kept: Sequence[Kept]) -> tuple[list[Kept], tuple[Citation, ...]]:
    """What was kept with its citations numbered from 1 in order, each passage once."""
    numbers: dict[str, Citation] = {}
    for one in kept:
        named = replace(one.citation, number=len(numbers) + 1)
        numbers.setdefault(one.citation.passage, named)
    return [replace(one, citation=numbers[one.citation.passage]) for one in kept], tuple(numbers.values())


def _standing(kept: Sequence[Kept], filters: Filters) -> list[Sentence]:
    """Sentences of the documents as they stand."""
    made: list[Sentence] = []
    for one in kept:
        text = filters.apply(one.text, [one.citation.text]).text
        if text:
            made.append(Sentence(text, (one.citation.number,), 1.0, before=" " if made else ""))
    return made


def _notes(counts: Counter[str], language: str) -> tuple[Note, ...]:
    plain = ("engine stopped", "cut", "tool refused", "quoted instead")
    told = [note(code, language) for code in plain if counts[code]]
    counted = ("left out", "dropped", "contradicted")
    return (*told, *(note(code, language, count=counts[code]) for code in counted if counts[code]))
