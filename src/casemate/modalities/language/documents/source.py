"""What a reader is given and what it says besides blocks.

Rules. A reader keeps a page in memory, or as little as its format allows; what it cannot read of a document it notes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from casemate.modalities.language.documents.limits import Limits


class UnreadableError(ValueError):
    """What is wrong with a document: expected and found."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")


class Recogniser(Protocol):
    """What reads print in a picture."""

    def read(self, picture: Any) -> list[Any]:
        """The lines in a picture (RGB, H W 3): `layout.Line` in pixels."""


@dataclass(frozen=True)
class Source:
    """A document to be read: a file, or bytes out of a mail; its name tells one kind of text from another."""

    name: str
    path: Path | None = None
    data: bytes = b""

    def open(self) -> BinaryIO:
        """Its bytes from the beginning."""
        return io.BytesIO(self.data) if self.path is None else self.path.open("rb")

    def bytes(self) -> bytes:
        """All its bytes."""
        return self.data if self.path is None else self.path.read_bytes()


@dataclass
class Found:
    """What a reader says besides blocks: title, date, pages, notes; and what it is given: limits, a recogniser."""

    limits: Limits
    recogniser: Recogniser | None = None
    on_page: Callable[[], None] = lambda: None
    title: str = ""
    date: str = ""
    pages: int = 0
    ocr_pages: int = 0
    notes: list[str] = field(default_factory=list)
    attachments: list[tuple[str, bytes]] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Something that whoever reads the document's record should know."""
        if len(self.notes) < 200 and text not in self.notes:
            self.notes.append(text[:300])


def iso_date(value: object) -> str:
    """A date as YYYY-MM-DD; nothing for what is none."""
    try:
        return value.strftime("%Y-%m-%d") if 1900 <= value.year <= 2200 else ""  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return ""


def row_text(cells: list[str]) -> str:
    """A row of a table as text: `a | b | c`, without the empty cells at its end."""
    plain = [" ".join(cell.split()) for cell in cells]
    while plain and not plain[-1]:
        plain.pop()
    return " | ".join(plain)
