"""Translation by an engine, paragraph by paragraph, with what may have gone wrong told.

Rules. The text is data between delimiter lines. A part whose numbers differ from the original's is flagged, because a
number that was lost is the costliest mistake of a small engine and the easiest to see. There is no translation without
an engine, and that is Unavailable. The translation is marked as its text and the release together, and names both.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from casemate.errors import BadInput, Unavailable
from casemate.markings import Marking
from casemate.serving.answers.answering import QUOTE, Grounding, heard
from casemate.serving.answers.context import as_data, delimiter
from casemate.serving.answers.events import Note
from casemate.serving.answers.facts import facts
from casemate.serving.answers.filters import Filters
from casemate.serving.answers.hostile import clean
from casemate.serving.answers.notes import note
from casemate.serving.answers.prompts import Prompt
from casemate.serving.answers.sentences import sentences
from casemate.serving.engines import Engine, Message, Usage

LANGUAGES = {"fr": ("français", "French"), "en": ("anglais", "English")}
MAX_CHARACTERS = 500_000
_PART_CHARACTERS = 1200


@dataclass(frozen=True)
class Translated:
    """One part: its translation, and whether a person should look at it (numbers differ, or it is missing)."""

    text: str
    flagged: str = ""

    def to_json(self) -> dict[str, Any]:
        """The part as JSON-ready facts."""
        return {"text": self.text, "flagged": self.flagged}


@dataclass(frozen=True)
class Translation:
    """A whole translation, with the engine and the prompts that made it."""

    parts: tuple[Translated, ...]
    marking: Marking
    target: str
    engine: str
    prompts: str
    notes: tuple[Note, ...]

    @property
    def text(self) -> str:
        """The translation, a paragraph a part."""
        return "\n".join(part.text for part in self.parts)

    def to_json(self) -> dict[str, Any]:
        """The translation as JSON-ready facts."""
        return {
            "text": self.text, "parts": [part.to_json() for part in self.parts], "marking": str(self.marking),
            "target": self.target, "engine": self.engine, "prompts": self.prompts,
            "notes": [n.to_json() for n in self.notes],
        }  # fmt: skip


async def translate(
    text: str, marking: Marking, target: str, engine: Engine | None, grounding: Grounding
) -> AsyncGenerator[Translated | Translation]:
    """The parts of a translation into `target` (fr or en) as they are made, then the whole."""
    if target not in LANGUAGES:
        raise BadInput("language of the translation", expected=" or ".join(sorted(LANGUAGES)), found=repr(target))
    if len(text) > MAX_CHARACTERS:
        raise BadInput("text to translate", expected=f"at most {MAX_CHARACTERS} characters", found=len(text))
    if engine is None or engine.name == QUOTE:
        raise Unavailable("translation", expected="a released chat model that you may use", found="none")
    prompt = grounding.prompts.of("translate", target)
    filters = Filters(prompt.system, grounding.policy, target)
    counts: Counter[str] = Counter()
    made: list[Translated] = []
    for part in parts(text):
        one = await _translated(part, target, engine, grounding, prompt, filters, counts)
        made.append(one)
        yield one
    notes = tuple(note(code, target) for code in ("engine stopped", "cut", "tool refused") if counts[code])
    whole = Marking.join_all(marking, grounding.releases)
    yield Translation(tuple(made), whole, target, engine.name, grounding.prompts.version, notes)


def parts(text: str) -> Iterator[str]:
    """The text in paragraphs, long ones cut between sentences; blank lines are dropped."""
    for paragraph in clean(text)[0].split("\n"):
        held = ""
        for cut in sentences(paragraph.strip()):
            if held and len(held) + len(cut.text) > _PART_CHARACTERS:
                yield held
                held = ""
            held = f"{held} {cut.text}" if held else cut.text
        if held:
            yield held


async def _translated(
    part: str, target: str, engine: Engine, grounding: Grounding, prompt: Prompt, filters: Filters, counts: Counter[str]
) -> Translated:
    data = as_data(part)
    mark = delimiter(grounding.nonce, [data])
    framed = f"<text {mark}>\n{data}\n</text {mark}>"
    user = prompt.fill(text=framed, delimiter=mark, target=LANGUAGES[target][0 if target == "fr" else 1])
    spoken = heard(engine, [Message("system", prompt.system), Message("user", user)], grounding, counts)
    async with aclosing(spoken):
        said = [
            filters.apply(cut.text, [data]).text
            async for cut in spoken
            if not isinstance(cut, Usage) and mark not in cut.text
        ]
    written = " ".join(filter(None, said))
    if not written:
        return Translated("[…]", flagged="missing")
    return Translated(written, flagged="" if facts(data).numbers == facts(written).numbers else "numbers differ")
