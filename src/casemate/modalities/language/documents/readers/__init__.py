"""Readers: one file a format, each yields blocks, page after page, and says what else it found out in `found`.

Rules. A reader runs only in the confined child; it may raise anything (the document is then refused, with that reason).
Nothing that it reads makes it open, fetch, expand or run anything else.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, cast

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.source import Found, Source, UnreadableError


class Reader(Protocol):
    """What each file of this folder has."""

    def read(self, source: Source, found: Found) -> Iterator[Block]:
        """The blocks of a document."""


def names() -> list[str]:
    """The readers of this installation, by listing the folder."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_"))


def find(name: str) -> Reader:
    """A reader by its name."""
    if name not in names():
        raise UnreadableError(f"a reader ({', '.join(names())})", name)
    return cast("Reader", importlib.import_module(f"casemate.modalities.language.documents.readers.{name}"))
