"""What a language data set holds, as values: texts, conversations, questions with their documents, attacks.

Rules. A set is of one kind. Values are what `data.read` checked: no text is empty, no control character is in one, and
ids are unique in their file. Nothing of a value is repaired: what was odd but allowed stands in the set's notes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "chat", "questions", "attacks", "pages"]
KINDS: tuple[Kind, ...] = ("text", "chat", "questions", "attacks", "pages")
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Text:
    """A document to learn from or to search in; `id` is its own, or `<file>:<line>`."""

    id: str
    text: str
    title: str = ""
    language: str = ""


@dataclass(frozen=True)
class Turn:
    """One message of a conversation."""

    role: str
    content: str


@dataclass(frozen=True)
class Conversation:
    """Turns in order: perhaps a system message, then user and assistant by turns; the assistant has the last word."""

    id: str
    turns: tuple[Turn, ...]
    language: str = ""


@dataclass(frozen=True)
class Question:
    """A question, the answers that are right, the document where one stands, and whether it can be answered at all.

    `document` is a text of the set. `source` names a document of the site that asks, by its path or its identifier, and
    `passage` gives words of the passage that answers; both are for judging a whole assistant.
    """

    id: str
    question: str
    answers: tuple[str, ...] = ()
    document: str | None = None
    answerable: bool = True
    language: str = ""
    source: str = ""
    passage: str = ""


@dataclass(frozen=True)
class Attack:
    """A hostile (or only hostile-looking) prompt; what else its pack says of it is in `extra`, as it was written."""

    id: str
    prompt: str
    language: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A picture of print, by its path in the folder, and what is written on it."""

    id: str
    image: str
    text: str
    language: str = ""


@dataclass(frozen=True)
class SourceFile:
    """One file of a set: its path in the folder, what its records are, and how many."""

    path: str
    records: str
    count: int


@dataclass(frozen=True)
class LanguageDataset:
    """A set, read and checked. `texts` are what is learned (kind text) or searched in (kind questions)."""

    folder: Path
    kind: Kind
    files: tuple[SourceFile, ...]
    texts: tuple[Text, ...] = ()
    conversations: tuple[Conversation, ...] = ()
    questions: tuple[Question, ...] = ()
    attacks: tuple[Attack, ...] = ()
    pages: tuple[Page, ...] = ()
    languages: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def contents(self) -> Iterator[tuple[str, str]]:
        """Every record as (id, text): what near-duplicates are looked for in, and what characters are counted of."""
        yield from ((t.id, t.text) for t in self.texts)
        yield from ((c.id, "\n".join(turn.content for turn in c.turns)) for c in self.conversations)
        yield from ((q.id, q.question) for q in self.questions)
        yield from ((a.id, a.prompt) for a in self.attacks)
        yield from ((p.id, p.text) for p in self.pages)

    @property
    def source(self) -> str:
        """How the set is written, for cards and dossiers."""
        return f"{self.kind} ({', '.join(sorted({Path(file.path).suffix.lstrip('.') for file in self.files}))})"
