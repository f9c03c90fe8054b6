"""Minutes from a transcript: who took part, what was decided, who does what by when, each with its line.

Rules. How lines are read is in `transcript`. Without an engine, decisions and actions are what stands under a heading
that says so, and the sentences that say so in the words that French and English minutes use. With one, what it writes
is checked against the lines and cited to them, or dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from casemate.markings import Marking
from casemate.serving.answers.answering import QUOTE, Grounding, heard, uncited
from casemate.serving.answers.context import as_data, delimiter
from casemate.serving.answers.events import Note
from casemate.serving.answers.filters import Filters
from casemate.serving.answers.hostile import instructions
from casemate.serving.answers.notes import note
from casemate.serving.answers.sentences import sentences
from casemate.serving.answers.support import Verdict, check, ground
from casemate.serving.engines import Engine, Message, Usage
from casemate.serving.functions.transcript import (
    ABSENT,
    ACTION,
    DECISION,
    OTHER,
    PRESENT,
    Line,
    participants,
    transcript,
)

_DECISION = re.compile(
    r"\b(?:(?:il est|c'est|est) (?:donc )?(?:décidé|acté|convenu|entendu|adopté|validé)"
    r"|(?:nous|on) (?:avons |a )?(?:décid\w+|retenons|retient|valid\w+|adopt\w+|convenons|acte\w*)"
    r"|décision(?:\s+n[°o]\s*\d{1,3})?\s*:"
    r"|(?:we|it was|have|is) (?:have )?(?:decided|agreed|resolved|approved)|(?:the )?decision(?: is)?\s*:)",
    re.IGNORECASE,
)
_ACTION = re.compile(
    r"\b(?:action\s*:|à faire\s*:|todo\s*:|to do\s*:|je (?:vais|m['’]occupe|m['’]en occupe|me charge|prends en charge)"
    r"|je (?:prépare\w*|ferai|enverrai|rédige\w*)|(?:tu|vous) (?:peux|pouvez|devez|dois) "
    r"|(?:doit|devra|devront|doivent|est chargée?s? de|se charge|s['’]occupe) "
    r"|d['’]ici (?:le|la|lundi|mardi|mercredi|jeudi|vendredi|demain|fin)|i(?:['’]ll| will| am going to) "
    r"|(?:will|must|shall|has to|needs to|is to) (?:send|write|prepare|check|call|do|finish|deliver|review|update)"
    r"|(?:will|must|shall|has to|needs to|is to) (?:organi[sz]e|provide|contact|draft|report)"
    r"|by (?:monday|tuesday|wednesday|thursday|friday|tomorrow|the end|next))",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Item:
    """A decision or an action, with the lines that it comes from."""

    text: str
    speaker: str
    lines: tuple[int, ...]
    time: str = ""

    def to_json(self) -> dict[str, Any]:
        """The item as JSON-ready facts."""
        return {"text": self.text, "speaker": self.speaker, "lines": list(self.lines), "time": self.time}


@dataclass(frozen=True)
class Minutes:
    """The minutes of a meeting; `participants` as they are named or, where they are not, by when they first spoke."""

    participants: tuple[str, ...]
    decisions: tuple[Item, ...]
    actions: tuple[Item, ...]
    marking: Marking
    engine: str
    prompts: str
    notes: tuple[Note, ...]

    def to_json(self) -> dict[str, Any]:
        """The minutes as JSON-ready facts."""
        return {
            "participants": list(self.participants), "decisions": [item.to_json() for item in self.decisions],
            "actions": [item.to_json() for item in self.actions], "marking": str(self.marking), "engine": self.engine,
            "prompts": self.prompts, "notes": [n.to_json() for n in self.notes],
        }  # fmt: skip


async def minutes(
    text: str, marking: Marking, engine: Engine | None, grounding: Grounding, *, language: str
) -> Minutes:
    """The minutes of a transcript; without an engine, by the words that decisions and actions are said in."""
    lines = transcript(text)
    decisions, actions = by_rule(lines)
    told = [note(code, language) for code in grounding.notes]
    whole = Marking.join_all(marking, grounding.releases)
    name = QUOTE
    if engine is not None and engine.name != QUOTE:
        name = engine.name
        written, told = await _by_engine(lines, engine, grounding, language)  # nothing kept it from being asked
        known = {number for item in (*decisions, *actions) for number in item.lines}
        more = [item for item in written if known.isdisjoint(item.lines)]
        decisions += [item for item in more if _DECISION.search(item.text)]
        actions += [item for item in more if not _DECISION.search(item.text)]
    return Minutes(
        participants(lines), tuple(decisions), tuple(actions), whole, name, grounding.prompts.version, tuple(told)
    )


def by_rule(lines: Sequence[Line]) -> tuple[list[Item], list[Item]]:
    """Decisions and actions, by the words that they are said in; what speaks to a model is neither."""
    decisions, actions = [], []
    for line in lines:
        if line.kind in {PRESENT, ABSENT, OTHER}:
            continue
        for cut in sentences(line.text):
            if instructions(cut.text):
                continue
            item = Item(cut.text, line.speaker, (line.number,), line.time)
            if line.kind == DECISION or (not line.kind and _DECISION.search(cut.text)):
                decisions.append(item)
            elif line.kind == ACTION or (_ACTION.search(cut.text) and not cut.text.rstrip().endswith("?")):
                actions.append(item)
    return decisions, actions


async def _by_engine(
    lines: Sequence[Line], engine: Engine, grounding: Grounding, language: str
) -> tuple[list[Item], list[Note]]:
    """What an engine writes and the lines support."""
    prompt = grounding.prompts.of("minutes", language)
    filters = Filters(prompt.system, grounding.policy, language)
    counts: Counter[str] = Counter()
    found: list[Item] = []
    for part in _parts(lines, engine, grounding, len(prompt.system)):
        shown = [line for line in part if not instructions(line.text)]
        data = "\n".join(f"[{line.number}] {as_data(line.speaker)} : {as_data(line.text)}" for line in shown)
        mark = delimiter(grounding.nonce, [data])
        user = prompt.fill(text=f"<transcript {mark}>\n{data}\n</transcript {mark}>", delimiter=mark)
        grounds = [ground(line.text, line.speaker) for line in shown]
        spoken = heard(engine, [Message("system", prompt.system), Message("user", user)], grounding, counts)
        async with aclosing(spoken):
            async for cut in spoken:
                if isinstance(cut, Usage):
                    continue
                said = filters.apply(uncited(cut.text), [data]).text
                support = check(said, grounds, grounding.thresholds)
                if support.verdict is Verdict.SUPPORTED:
                    cited = [shown[place] for place in support.places]
                    found.append(Item(said, cited[0].speaker, tuple(line.number for line in cited), cited[0].time))
                elif support.verdict is not Verdict.EMPTY:
                    counts["dropped"] += 1
    told = [note(code, language) for code in ("engine stopped", "cut", "tool refused") if counts[code]]
    told += [note("dropped", language, count=counts["dropped"])] if counts["dropped"] else []
    return found, told


def _parts(lines: Sequence[Line], engine: Engine, grounding: Grounding, overhead: int) -> Iterator[list[Line]]:
    """The transcript in parts that fit into the engine's context."""
    room = engine.context_tokens - grounding.sampling.max_tokens - 64
    held: list[Line] = []
    size = base = overhead // 2
    for line in lines:
        cost = engine.count([Message("user", f"[{line.number}] {line.speaker} : {line.text}")])
        if held and size + cost > room:
            yield held
            held, size = [], base
        held.append(line)
        size += cost
    if held:
        yield held
