"""What is searched and what is found: passages, hits and filters, as values.

Rules. A passage is one line of a document set's `passages.jsonl`, with the entry that it is in and that entry's
marking. It is named `<entry>:<passage>`. A line that is not as the contract says is
BadInput, with its number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from datetime import date
from typing import Any

from casemate.errors import BadInput
from casemate.markings import Marking
from casemate.serving.retrieval.confidence import Facts

Box = tuple[float, float, float, float, float]  # page, x0, y0, x1, y1 in points from the top left

_TEXTS = ("id", "document", "title", "heading", "text", "language", "kind", "date")
_NUMBERS = ("number", "page")
_ID = re.compile(r"[\x21-\x7e]{1,200}")


@dataclass(frozen=True)
class Passage:
    """A piece of a document, as long as a paragraph or two; `boxes` say where it stands on its pages."""

    id: str
    document: str
    number: int
    title: str
    heading: str
    text: str
    language: str
    page: int
    boxes: tuple[Box, ...]
    kind: str
    date: str
    entry: str
    project: str
    marking: Marking

    @property
    def name(self) -> str:
        """How answers name it."""
        return f"{self.entry}:{self.id}"

    @property
    def order(self) -> str:
        """What orders passages of equal score: their own identifier, then that of their entry."""
        return f"{self.id}:{self.entry}"


@dataclass(frozen=True)
class Hit:
    """A passage that was found.

    `score` orders the hits of one search and means nothing between searches; `confidence` is in [0, 1], and says how
    likely it is that the passage answers the query (docs/retrieval.md); `lexical` is its exact BM25 score and `dense`
    its cosine, None where no embedder was used. `facts` are those on which confidence rests.
    """

    passage: Passage
    score: float
    confidence: float
    lexical: float
    dense: float | None
    rank: int
    facts: Facts | None = None


@dataclass(frozen=True)
class Filters:
    """What may be found; None lets everything pass. Dates are ISO and inclusive; a passage without one has no date.

    `projects` are names, `documents` identifiers of documents or of entries; `entries` bind all the others to
    document sets, whatever is asked for.
    """

    projects: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    languages: frozenset[str] | None = None
    since: str | None = None
    until: str | None = None
    documents: frozenset[str] | None = None
    entries: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name in ("since", "until"):
            text = getattr(self, name)
            if text is not None and not _is_date(text):
                raise BadInput(name, expected="a date as YYYY-MM-DD", found=repr(text))

    @property
    def none(self) -> bool:
        """Whether everything passes."""
        return all(getattr(self, f.name) is None for f in fields(self))


def read_passages(lines: Iterator[bytes], *, entry: str, project: str, marking: Marking) -> Iterator[Passage]:
    """The passages of a document set, read from the lines of its `passages.jsonl`."""
    for number, line in enumerate(lines, 1):
        thing = f"passages.jsonl of {entry}, line {number}"
        try:
            record = json.loads(line)
        except ValueError as why:
            raise BadInput(thing, expected="a passage as JSON", found=why) from why
        yield passage_of(record, thing=thing, entry=entry, project=project, marking=marking)


def passage_of(record: object, *, thing: str, entry: str, project: str, marking: Marking) -> Passage:
    """A passage from its record; BadInput for what is not one."""
    if not isinstance(record, dict):
        raise BadInput(thing, expected="an object", found=type(record).__name__)
    wrong = [key for key in _TEXTS if not isinstance(record.get(key), str)]
    wrong += [key for key in _NUMBERS if type(record.get(key)) is not int]
    boxes = record.get("boxes", [])
    if wrong or not _ID.fullmatch(record["id"]) or not _are_boxes(boxes):
        raise BadInput(thing, expected="the fields of a passage", found=f"bad {', '.join(wrong) or 'id or boxes'}")
    facts: dict[str, Any] = {key: record[key] for key in (*_TEXTS, *_NUMBERS)}
    box = tuple((float(p), float(x0), float(y0), float(x1), float(y1)) for p, x0, y0, x1, y1 in boxes)
    return Passage(**facts, boxes=box, entry=entry, project=project, marking=marking)


def record_of(passage: Passage) -> Mapping[str, Any]:
    """A passage as its record, which `passage_of` reads back."""
    return {key: getattr(passage, key) for key in (*_TEXTS, *_NUMBERS, "boxes")}


def _are_boxes(boxes: object) -> bool:
    return isinstance(boxes, list) and all(
        isinstance(box, list) and len(box) == 5 and all(type(n) in {int, float} for n in box) for box in boxes
    )


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == 10
