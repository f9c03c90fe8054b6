"""What an answer is made of, as values: passages, sentences, notes, and the whole at the end.

Rules. A sentence is emitted once and only after it was checked: it has citations, or it says that it is flagged. Notes
are codes with facts, worded by `notes`; none holds text of a document. The marking of a whole answer is the join of
what was put before the engine, of the question's and of the releases used. Nothing here is kept by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from casemate.markings import Marking
from casemate.serving.engines import Usage
from casemate.serving.retrieval.passages import Box, Passage

PASTED: Final = "pasted"  # where a document set's identifier would stand
ABSTAINED: Final = "abstained"

__all__ = ["ABSTAINED", "PASTED", "Answer", "Citation", "Done", "Event", "Note", "Passages", "Sentence", "cite"]


@dataclass(frozen=True)
class Citation:
    """A passage as an answer names it: `[number]`, where it stands and how it is marked."""

    number: int
    passage: str
    entry: str
    document: str
    title: str
    page: int
    boxes: tuple[Box, ...]
    marking: Marking
    text: str = field(repr=False)

    def to_json(self) -> dict[str, Any]:
        """The citation as JSON-ready facts; `text` is the passage, cleaned."""
        return {
            "number": self.number, "passage": self.passage, "entry": self.entry, "document": self.document,
            "title": self.title, "page": self.page, "boxes": [list(box) for box in self.boxes],
            "marking": str(self.marking), "text": self.text,
        }  # fmt: skip


def cite(number: int, passage: Passage, *, title: str, text: str) -> Citation:
    """The citation of a passage, with its title and its text as they were cleaned."""
    return Citation(
        number, passage.name, passage.entry, passage.document, title, passage.page, passage.boxes, passage.marking, text
    )


@dataclass(frozen=True)
class Passages:
    """What was put before the engine, in its order; `left_out` did not fit into its context.

    `marking` is that of the whole answer where it is fixed by now, so that a stream can say it before its first word.
    """

    citations: tuple[Citation, ...]
    left_out: int = 0
    marking: Marking | None = None
    kind: ClassVar[str] = "passages"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {"kind": self.kind, "passages": [c.to_json() for c in self.citations], "left_out": self.left_out}


@dataclass(frozen=True)
class Sentence:
    """A checked sentence, with the numbers of the passages that support it and how well, in [0, 1].

    `flagged` says why it has no citation ("unsupported"), and is empty otherwise. `before` separates it from the
    sentence before it: nothing, a space, or a line feed where the engine began a new line.
    """

    text: str
    citations: tuple[int, ...]
    support: float
    flagged: str = ""
    before: str = ""
    kind: ClassVar[str] = "sentence"

    @property
    def written(self) -> str:
        """The sentence with its citations, as people read it."""
        marks = "".join(f" [{number}]" for number in self.citations)
        return f"{self.text}{marks}"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {
            "kind": self.kind, "text": self.text, "citations": list(self.citations),
            "support": round(self.support, 4), "flagged": self.flagged, "before": self.before,
        }  # fmt: skip


@dataclass(frozen=True)
class Note:
    """Something that the reader should know about the answer: a code, its numbers, and its wording."""

    code: str
    text: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    kind: ClassVar[str] = "note"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {"kind": self.kind, "code": self.code, "text": self.text, "facts": dict(self.facts)}


@dataclass(frozen=True)
class Answer:
    """A whole answer. `refused` says that nothing was answered, and `reasons` (codes of notes) why.

    `releases` are the digests of the models used, so that a revocation finds what was made with them, and `uses` the
    entries of these releases, from which it is made when it is kept.
    """

    text: str
    sentences: tuple[Sentence, ...]
    citations: tuple[Citation, ...]
    notes: tuple[Note, ...]
    marking: Marking
    refused: bool
    reasons: tuple[str, ...]
    engine: str
    prompts: str
    language: str
    usage: Usage | None = None
    releases: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()

    @property
    def cited(self) -> tuple[Citation, ...]:
        """The citations that a sentence names."""
        named = {number for sentence in self.sentences for number in sentence.citations}
        return tuple(citation for citation in self.citations if citation.number in named)

    @property
    def shown(self) -> tuple[Citation, ...]:
        """The citations that are told with the answer: all that the engine had, where it did not find the answer."""
        return self.citations if self.refused and ABSTAINED in self.reasons else self.cited

    @property
    def entries(self) -> tuple[str, ...]:
        """The document sets whose passages were put before the engine, in order; a pasted text is of none."""
        return tuple(dict.fromkeys(c.entry for c in self.citations if c.entry != PASTED))

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON-ready facts."""
        usage = self.usage
        return {
            "text": self.text, "sentences": [s.to_json() for s in self.sentences],
            "citations": [c.to_json() for c in self.shown], "notes": [n.to_json() for n in self.notes],
            "passages": len(self.citations), "marking": str(self.marking), "refused": self.refused,
            "reasons": list(self.reasons), "engine": self.engine, "releases": list(self.releases),
            "prompts": self.prompts, "language": self.language,
            "usage": None if usage is None else {"prompt_tokens": usage.prompt_tokens,
                                                 "completion_tokens": usage.completion_tokens},
        }  # fmt: skip


@dataclass(frozen=True)
class Done:
    """The end of the stream, with the whole."""

    answer: Answer
    kind: ClassVar[str] = "done"

    def to_json(self) -> dict[str, Any]:
        """The event as JSON-ready facts."""
        return {"kind": self.kind, "answer": self.answer.to_json()}


Event = Passages | Sentence | Note | Done
