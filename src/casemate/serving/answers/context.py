"""What is put before an engine: the system's prompt, examples, a conversation, passages as data, the question.

Rules. Passages are cleaned and stand between lines that carry a delimiter which nobody who wrote a document can know:
it is made from a nonce of the request. They are added in their order while they fit; what does not fit is counted and
said, never cut in silence, and the oldest messages of a conversation go first. A question that does not fit alone is
refused with both numbers. The marking of the context is the join of all that is in it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from casemate.errors import AboveCeiling, BadInput
from casemate.markings import Marking
from casemate.serving.answers.events import Citation, Note, cite
from casemate.serving.answers.hostile import clean, neutral, shown
from casemate.serving.answers.notes import note
from casemate.serving.answers.prompts import Prompt
from casemate.serving.answers.support import Ground, ground
from casemate.serving.engines import Engine, Message
from casemate.serving.retrieval.passages import Hit

MAX_QUESTION_CHARACTERS = 10_000  # what a search takes too
MAX_QUERY_CHARACTERS = 4000
ROLES = ("user", "assistant")


@dataclass(frozen=True)
class Turn:
    """An earlier message of a conversation, with the marking that it had."""

    role: str
    text: str
    marking: Marking

    def __post_init__(self) -> None:
        if self.role not in ROLES:
            raise BadInput("message of a conversation", expected=" or ".join(ROLES), found=repr(self.role[:40]))


@dataclass(frozen=True)
class Question:
    """What is asked: a text with the marking that its asker declares, after `turns`, within a ceiling."""

    text: str
    marking: Marking
    language: str = "en"
    turns: tuple[Turn, ...] = ()
    ceiling: Marking | None = None

    def __post_init__(self) -> None:
        if not clean(self.text)[0].strip():
            raise BadInput("question", expected="a text", found="an empty one")
        if len(self.text) > MAX_QUESTION_CHARACTERS:
            found = f"{len(self.text)} characters"
            raise BadInput("question", expected=f"at most {MAX_QUESTION_CHARACTERS} characters", found=found)

    @property
    def query(self) -> str:
        """What is searched, and held against what was found: the question, and the one before it that it may mean."""
        before = [turn.text for turn in self.turns if turn.role == "user"][-1:]
        return " ".join([self.text, *before])[:MAX_QUERY_CHARACTERS]

    def own_marking(self, releases: Sequence[Marking]) -> Marking:
        """The join of the question's marking, its conversation's and the releases'; AboveCeiling above the ceiling."""
        joined = Marking.join_all(self.marking, [*(turn.marking for turn in self.turns), *releases])
        if self.ceiling is not None and not joined.within(self.ceiling):
            raise AboveCeiling("question", expected=f"at most {self.ceiling}", found=joined)
        return joined

    def admits(self, marking: Marking) -> bool:
        """Whether a passage with this marking may take part."""
        return self.ceiling is None or marking.within(self.ceiling)


@dataclass(frozen=True)
class Source:
    """A passage as it is shown: its citation, what it supports, and what was found in it."""

    citation: Citation
    ground: Ground
    found: frozenset[str]


@dataclass(frozen=True)
class Context:
    """What an engine is shown; `left_out` passages did not fit."""

    sources: tuple[Source, ...]
    messages: tuple[Message, ...]
    system: str
    left_out: int
    notes: tuple[Note, ...]

    @property
    def citations(self) -> tuple[Citation, ...]:
        """The citations of the passages, in order."""
        return tuple(source.citation for source in self.sources)

    @property
    def grounds(self) -> tuple[Ground, ...]:
        """The passages as checks want them, in order."""
        return tuple(source.ground for source in self.sources)


def sources_of(hits: Sequence[Hit]) -> tuple[Source, ...]:
    """The hits as data, numbered from 1."""
    found = []
    for number, hit in enumerate(hits, 1):
        text, title = shown(hit.passage.text), shown(hit.passage.title)
        heading = shown(hit.passage.heading)
        kinds = text.found | title.found | heading.found
        citation = cite(number, hit.passage, title=" ".join(title.text.split()), text=text.text)
        found.append(Source(citation, ground(text.text, f"{title.text}\n{heading.text}"), kinds))
    return tuple(found)


def flags(sources: Sequence[Source], language: str) -> tuple[Note, ...]:
    """A note for every passage that speaks to the model."""
    return tuple(
        note("instructions", language, number=source.citation.number, kinds=", ".join(sorted(source.found)))
        for source in sources
        if source.found
    )


def delimiter(nonce: str, texts: Sequence[str]) -> str:
    """Sixteen characters that follow from the nonce and stand in none of the texts."""
    for attempt in range(1000):
        made = hashlib.sha256(f"casemate delimiter {attempt} {nonce}".encode()).hexdigest()[:16]
        if not any(made in text for text in texts):
            return made
    raise BadInput("passages", expected="texts without a thousand delimiters of one request", found="all of them")


def framed(number: int, title: str, text: str, mark: str) -> str:
    """A passage between its two lines."""
    head = f"{title}\n" if title else ""
    return f"<passage {number} {mark}>\n{head}{text}\n</passage {number} {mark}>"


def assemble(
    question: Question, sources: Sequence[Source], engine: Engine, prompt: Prompt, *, nonce: str, max_tokens: int
) -> Context:
    """The messages for an engine, with as many passages as fit."""
    room = engine.context_tokens - max_tokens
    layout = _Layout(question, tuple(sources), prompt, delimiter(nonce, [s.citation.text for s in sources]))
    first = _least(len(question.turns), lambda start: engine.count(layout.messages(0, start)) <= room // 2)
    if (least := engine.count(layout.messages(0, first))) > room:
        raise BadInput("question", expected=f"at most {room} tokens with its instructions", found=f"{least} tokens")
    used = len(sources)
    if engine.count(layout.messages(used, first)) > room:
        used = 0
        while used < len(sources) and engine.count(layout.messages(used + 1, first)) <= room:
            used += 1
    left, language = len(sources) - used, question.language
    told = [note("history left out", language, count=first)] if first else []
    told += [note("left out", language, count=left)] if left else []
    kept = tuple(sources[:used])
    messages = tuple(layout.messages(used, first))
    return Context(kept, messages, prompt.system, left, (*told, *flags(kept, language)))


@dataclass(frozen=True)
class _Layout:
    """How the messages are laid out, for any number of passages and any beginning of the conversation."""

    question: Question
    sources: tuple[Source, ...]
    prompt: Prompt
    mark: str

    def messages(self, used: int, first_turn: int) -> list[Message]:
        parts = (s.citation for s in self.sources[:used])
        passages = "\n".join(framed(c.number, c.title, c.text, self.mark) for c in parts)
        user = self.prompt.fill(question=as_data(self.question.text), passages=passages, delimiter=self.mark)
        shots = (
            message
            for example in self.prompt.examples
            for message in (Message("user", example.user.strip()), Message("assistant", example.assistant.strip()))
        )
        turns = (Message(turn.role, as_data(turn.text)) for turn in self.question.turns[first_turn:])
        return [Message("system", self.prompt.system), *shots, *turns, Message("user", user)]


def as_data(text: str) -> str:
    """A text that a person wrote, without what is not seen and what a chat template would read."""
    return neutral(clean(text)[0])[0].strip()


def _least(last: int, holds: Callable[[int], bool]) -> int:
    """The least number up to `last` for which something holds, or `last`."""
    return next((number for number in range(last) if holds(number)), last)
