"""Blocks gathered into passages: about 120 to 250 words that belong together. Pure, and a block at a time.

Rules. No text is lost: every character that is not a space is in exactly one passage, in order. A sentence is never
split unless it alone is longer than a passage. A heading begins a passage where what comes before is worth one, stands
in its text, and names what follows. Rows of tables stay whole lines. A passage says every place that it stands at.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.sentences import pieces, sentences

MOST_WORDS = 250
ENOUGH_WORDS = 120
ENOUGH_BEFORE_HEADING = 60
MOST_CHARACTERS = 2500  # of a language without spaces, or of rows of numbers
MOST_HEADING = 200
_ENDED = re.compile(r"[.!?:;…|][\"'»”’)\]]*$")


@dataclass(frozen=True)
class Draft:
    """A passage before its document is known whole: text, the heading that it is under, and where it stands."""

    text: str
    heading: str
    page: int
    boxes: tuple[tuple[float, ...], ...]


@dataclass
class _Gathered:
    """What is gathered for the next passage."""

    heading: str = ""
    lines: list[str] = field(default_factory=list)
    page: int = 0
    boxes: list[tuple[float, ...]] = field(default_factory=list)
    words: int = 0
    characters: int = 0

    def add(self, text: str, block: Block, *, new_line: bool) -> None:
        if not self.lines:
            self.page = block.page
        if new_line or not self.lines:
            self.lines.append(text)
        else:
            self.lines[-1] += f" {text}"
        if block.box is not None and (place := (block.page, *block.box)) not in self.boxes[-1:]:
            self.boxes.append(place)
        self.words += len(text.split())
        self.characters += len(text) + 1

    def has_room_for(self, text: str) -> bool:
        return self.words + len(text.split()) <= MOST_WORDS and self.characters + len(text) <= MOST_CHARACTERS

    def draft(self) -> Draft:
        return Draft("\n".join(self.lines), self.heading, self.page, tuple(self.boxes))


class Chunking:
    """Gathers the blocks of one document, and gives each passage as soon as it is whole."""

    def __init__(self) -> None:
        """Nothing gathered yet."""
        self._heading, self._gathered = "", _Gathered()
        self._only_headings = True  # so far gathered: headings one below another stay with what follows them

    def add(self, block: Block) -> Iterator[Draft]:
        """One more block; the passages that it completes."""
        if not block.text.strip():
            return
        enough = ENOUGH_BEFORE_HEADING if block.kind == "heading" else ENOUGH_WORDS
        continues = self._continues(block)
        if not self._only_headings and self._gathered.words >= enough and not continues:
            yield from self.end()
        if block.kind == "heading":
            self._heading = " ".join(block.text.split())[:MOST_HEADING]
        if self._only_headings:
            self._gathered.heading = self._heading
        for piece, new_line in _pieces(block):
            if self._gathered.lines and not self._gathered.has_room_for(piece):
                yield self._gathered.draft()
                self._gathered = _Gathered(self._heading)
            self._gathered.add(piece, block, new_line=new_line and not continues)
            continues = False
        self._only_headings = self._only_headings and block.kind == "heading"

    def _continues(self, block: Block) -> bool:
        """Whether a block goes on with the sentence of the one before, over the end of a column or page."""
        if block.kind != "paragraph" or not self._gathered.lines or self._only_headings:
            return False
        return not _ENDED.search(self._gathered.lines[-1]) and block.text.lstrip()[:1].islower()

    def end(self) -> Iterator[Draft]:
        """What is gathered, as a passage."""
        if self._gathered.lines:
            yield self._gathered.draft()
        self._gathered, self._only_headings = _Gathered(self._heading), True


def chunk(blocks: Iterable[Block]) -> Iterator[Draft]:
    """The passages of a document's blocks."""
    chunking = Chunking()
    for block in blocks:
        yield from chunking.add(block)
    yield from chunking.end()


def _pieces(block: Block) -> Iterator[tuple[str, bool]]:
    """Rows of a table, sentences of everything else; and whether each begins a line."""
    for line in block.text.split("\n"):
        whole = [line.strip()] if block.kind == "table" else sentences(line)
        begins = True
        for text in whole:
            for piece in pieces(text, words=MOST_WORDS, characters=MOST_CHARACTERS):
                yield piece, begins
                begins = False
