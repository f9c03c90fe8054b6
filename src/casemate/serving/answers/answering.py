"""An answer, sentence by sentence: each is checked against the passages before anybody sees it.

Rules. The passages come from a search that opened nothing above the reader; the marking is fixed before the engine is
asked, and nothing that the engine says changes it. Below the calibrated confidence there is no answer. Citations are
the application's: numbers that the engine writes are thrown away. No tool is offered, and one that is asked for ends
the answer. An engine that dies, never ends or says nothing that holds is answered by the passages themselves.
"""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field, replace

from casemate.errors import Busy, Unavailable
from casemate.markings import Marking, Policy
from casemate.serving.answers.confidence import sure
from casemate.serving.answers.context import Context, Question, assemble, flags, sources_of
from casemate.serving.answers.events import ABSTAINED, Answer, Done, Event, Note, Passages, Sentence
from casemate.serving.answers.filters import Filters
from casemate.serving.answers.notes import NOTHING, note, wording
from casemate.serving.answers.prompts import Prompts
from casemate.serving.answers.quoting import quote
from casemate.serving.answers.sentences import Cut, Sentences
from casemate.serving.answers.support import Support, Thresholds, Verdict, check
from casemate.serving.engines import Engine, Message, Sampling, Usage
from casemate.serving.retrieval.embedding import Embedder
from casemate.serving.retrieval.passages import Hit

QUOTE = "quote"

_ABSTAINS = re.compile(
    r"\b(?:(?:les?|ces?|ce) (?:passages?|documents?|textes?|extraits?)(?: fournis?)?(?: \d+)? "
    r"(?:ne|n['’])\s?\w*\s?(?:\w+ )?"
    r"(?:répond|contien|mentionn|précis|permet|fourni|indiqu|donn)\w*(?: pas| aucun\w*)?"
    r"|je ne (?:sais|peux|trouve|dispose) (?:pas|d['’]aucun)|aucune information|pas d['’]information"
    r"|the (?:passages?|documents?|texts?|context)(?: provided)? (?:do(?:es)? not|don['’]t|doesn['’]t) "
    r"(?:answer|contain|mention|provide|specify|say|give|state)|i (?:do not|don['’]t|cannot|can['’]t) "
    r"(?:know|answer|find|determine)|(?:there is )?no information)",
    re.IGNORECASE,
)
_CITED = re.compile(r"\s*\[\s?\d{1,3}(?:\s?[,;]\s?\d{1,3})*\s?\]")


@dataclass(frozen=True)
class Grounding:
    """How answers are made here; `nonce` must be new for every request.

    `releases` are the markings of the models used, `digests` name those models and `uses` their entries. `notes` are
    codes of what the reader is to be told before anything else.
    """

    policy: Policy
    prompts: Prompts
    nonce: str
    releases: tuple[Marking, ...] = ()
    digests: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()
    thresholds: Thresholds = field(default_factory=Thresholds)
    sampling: Sampling = field(default_factory=Sampling)
    embedder: Embedder | None = None
    flag_unsupported: bool = False
    max_characters: int = 20_000
    notes: tuple[str, ...] = ()


@dataclass
class _Draft:
    """What an answer has become so far."""

    sentences: list[Sentence] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    filtered: set[str] = field(default_factory=set)
    usage: Usage | None = None

    def keep(self, sentence: Sentence, tail: str) -> Sentence | None:
        """The sentence with what separates it from the one before; None for one that was said already."""
        if any(sentence.text == other.text for other in self.sentences):
            return None
        before = ("\n" if "\n" in tail else " ") if self.sentences else ""
        kept = replace(sentence, before=before)
        self.sentences.append(kept)
        return kept


async def answer(
    question: Question, hits: Sequence[Hit], engine: Engine | None, grounding: Grounding
) -> AsyncGenerator[Event]:
    """The events of an answer, ending with Done; without an engine (or with `quote`) the passages are quoted.

    AboveCeiling if the question's own marking exceeds its ceiling, BadInput if it does not fit into the context.
    """
    own = question.own_marking(grounding.releases)
    admitted = [hit for hit in hits if question.admits(hit.passage.marking)]
    if sure(question.query, admitted) < grounding.thresholds.confidence:
        yield Done(_refusal(question, engine, grounding, own))
        return
    # Engines count tokens by asking their process: the loop that streams to others must not wait for it.
    context = await asyncio.to_thread(_context, question, admitted, engine, grounding)
    marking = Marking.join_all(own, (citation.marking for citation in context.citations))
    filters = Filters(context.system, grounding.policy, question.language)
    yield Passages(context.citations, context.left_out, marking)
    beginning = (*(note(code, question.language) for code in grounding.notes), *context.notes)
    for told in beginning:
        yield told
    draft = _Draft()
    if engine is not None and engine.name != QUOTE and context.sources:
        spoken = _speak(context, engine, grounding, filters, draft)
        async with aclosing(spoken):
            async for sentence in spoken:
                yield sentence
    if not draft.sentences and not draft.counts[ABSTAINED]:
        if engine is not None and engine.name != QUOTE:
            draft.counts["quoted instead"] = 1
        for quoted in quote(question.text, context.sources, filters):
            if kept := draft.keep(quoted, "\n" if draft.sentences else ""):
                yield kept
    ending = _notes(draft, question.language)
    for told in ending:
        yield told
    yield Done(_whole(question, context, engine, grounding, draft, (*beginning, *ending), marking))


def _context(question: Question, hits: Sequence[Hit], engine: Engine | None, grounding: Grounding) -> Context:
    sources = sources_of(hits)
    prompt = grounding.prompts.of("answer", question.language)
    if engine is None or engine.name == QUOTE:
        return Context(sources, (), prompt.system, 0, flags(sources, question.language))
    return assemble(question, sources, engine, prompt, nonce=grounding.nonce, max_tokens=grounding.sampling.max_tokens)


async def _speak(
    context: Context, engine: Engine, grounding: Grounding, filters: Filters, draft: _Draft
) -> AsyncGenerator[Sentence]:
    texts = [source.citation.text for source in context.sources]
    tail = ""
    spoken = heard(engine, context.messages, grounding, draft.counts)
    async with aclosing(spoken):
        async for cut in spoken:
            if isinstance(cut, Usage):
                draft.usage = cut
                continue
            sentence = await _checked(cut, context, grounding, filters, texts, draft)
            if sentence is not None and (kept := draft.keep(sentence, tail)):
                yield kept
            tail = cut.tail


async def heard(
    engine: Engine, messages: Sequence[Message], grounding: Grounding, counts: Counter[str]
) -> AsyncGenerator[Cut | Usage]:
    """What an engine says, a sentence at a time, and its usage; `counts` gets why it stopped if it did not end well."""
    sampling = replace(grounding.sampling, tools=(), tool_choice=None)
    sentences, characters, pieces = Sentences(), 0, 0
    most_pieces = 16 * sampling.max_tokens + 1000  # an engine that says nothing without end is cut too
    stream = engine.stream(messages, sampling)
    async with aclosing(stream):
        try:
            async for piece in stream:
                pieces += 1
                if piece.extra.get("tool_calls") or piece.finish == "tool_calls":
                    counts["tool refused"] = 1
                    break
                for cut in sentences.feed(piece.text[: grounding.max_characters - characters]):
                    yield cut
                characters += len(piece.text)
                if piece.usage is not None:
                    yield piece.usage
                if characters > grounding.max_characters or pieces > most_pieces:
                    counts["cut"] = 1
                    sentences.drop()
                    break
                counts["cut"] += piece.finish == "length"
        except Busy:
            raise  # no turn, or no tokens left: that is for who asks to know, and for the journal
        except Unavailable:
            counts["engine stopped"] = 1
            sentences.drop()  # half a sentence may say the contrary of the whole
    if counts["cut"] or counts["tool refused"]:
        sentences.drop()
    for cut in sentences.end():
        yield cut


def uncited(text: str) -> str:
    """A sentence without the citations that an engine wrote."""
    return _CITED.sub("", text).strip()


async def _checked(
    cut: Cut, context: Context, grounding: Grounding, filters: Filters, texts: Sequence[str], draft: _Draft
) -> Sentence | None:
    """The sentence as it may be shown, or None with its reason counted."""
    said = uncited(cut.text)
    if _ABSTAINS.search(said):
        draft.counts[ABSTAINED] += 1
        return None
    filtered = filters.apply(said, texts)
    if filtered.found:
        draft.counts["filtered"] += 1
        draft.filtered |= filtered.found
    if not filtered.text:
        return None
    found = await _check(filtered.text, context, grounding)
    if found.verdict is Verdict.SUPPORTED:
        numbers = tuple(context.sources[place].citation.number for place in found.places)
        return Sentence(filtered.text, numbers, found.score)
    if found.verdict is Verdict.UNSUPPORTED:
        if grounding.flag_unsupported:
            return Sentence(filtered.text, (), 0.0, flagged=found.verdict.value)
        draft.counts["dropped"] += 1
    elif found.verdict is Verdict.CONTRADICTED:
        draft.counts["contradicted"] += 1
    return None


async def _check(text: str, context: Context, grounding: Grounding) -> Support:
    if grounding.embedder is None:
        return check(text, context.grounds, grounding.thresholds)
    return await asyncio.to_thread(check, text, context.grounds, grounding.thresholds, embedder=grounding.embedder)


def _notes(draft: _Draft, language: str) -> tuple[Note, ...]:
    told = [
        note(code, language)
        for code in ("engine stopped", "cut", "tool refused", "quoted instead")
        if draft.counts[code]
    ]
    told += [note(code, language, count=n) for code in ("dropped", "contradicted") if (n := draft.counts[code])]
    if draft.counts["filtered"]:
        kinds = ", ".join(sorted(draft.filtered))
        told.append(note("filtered", language, count=draft.counts["filtered"], kinds=kinds))
    if draft.counts[ABSTAINED] and not draft.sentences:
        told.append(note(ABSTAINED, language))
    return tuple(told)


def _whole(
    question: Question, context: Context, engine: Engine | None, grounding: Grounding, draft: _Draft,
    notes: tuple[Note, ...], marking: Marking,
) -> Answer:  # fmt: skip
    refused = not draft.sentences
    reasons = (ABSTAINED,) if draft.counts[ABSTAINED] else (NOTHING,)
    text = "".join(sentence.before + sentence.written for sentence in draft.sentences)
    return Answer(
        text=wording(NOTHING, question.language) if refused else text,
        sentences=tuple(draft.sentences),
        citations=context.citations,
        notes=notes,
        marking=marking,
        refused=refused,
        reasons=reasons if refused else (),
        engine=engine.name if engine is not None else QUOTE,
        prompts=grounding.prompts.version,
        language=question.language,
        usage=draft.usage,
        releases=grounding.digests,
        uses=grounding.uses,
    )


def _refusal(question: Question, engine: Engine | None, grounding: Grounding, marking: Marking) -> Answer:
    return Answer(
        wording(NOTHING, question.language), (), (), (), marking, refused=True, reasons=(NOTHING,),
        engine=engine.name if engine is not None else QUOTE, prompts=grounding.prompts.version,
        language=question.language, releases=grounding.digests, uses=grounding.uses,
    )  # fmt: skip
