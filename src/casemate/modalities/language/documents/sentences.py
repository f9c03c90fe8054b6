"""Text cut into sentences, French and English: nothing is lost and nothing is moved. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

# An end, closing quotes or brackets, space; then what a sentence may begin with.
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?:\s?»)?\s+(?=[\"'«“‘(\[–—-]*\s?[0-9A-ZÀ-ÖØ-Þ])")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(«\"'’])(?:[A-ZÀ-Þ]|M|MM|Mme|Mlle|Me|Dr|Pr|St|Ste|art|al|av|bd|cf|chap|col|ed|env|etc|ex|fig|gén|hab|"
    r"éd|ibid|lt|max|min|n|no|num|op|p|pp|par|réf|sect|suiv|tab|tél|vol|vs|Mr|Mrs|Ms|Jr|Sr|Inc|Ltd|Co|e\.g|i\.e|approx)"
    r"\.\s+$"
)


def sentences(line: str) -> Iterator[str]:
    """The sentences of a line, in order."""
    start = 0
    for end in _END.finditer(line):
        if _ABBREVIATION.search(line[max(start, end.start() - 12) : end.end()]):
            continue
        yield line[start : end.end()].strip()
        start = end.end()
    if line[start:].strip():
        yield line[start:].strip()


def pieces(sentence: str, *, words: int, characters: int) -> Iterator[str]:
    """A sentence longer than so many words or characters, cut; itself where it is not."""
    found = sentence.split()
    if len(found) <= words and len(sentence) <= characters:
        yield sentence
        return
    piece: list[str] = []
    size = 0
    for word in (part for long in found for part in _cut(long, characters)):
        if piece and (len(piece) >= words or size + len(word) + 1 > characters):
            yield " ".join(piece)
            piece, size = [], 0
        piece.append(word)
        size += len(word) + 1
    if piece:
        yield " ".join(piece)


def _cut(word: str, characters: int) -> list[str]:
    return [word[i : i + characters] for i in range(0, len(word), characters)]
