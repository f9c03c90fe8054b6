"""Plain text: paragraphs between empty lines."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from casemate.modalities.language.documents.block import MAX_TEXT, Block
from casemate.modalities.language.documents.source import Found, Source, UnreadableError
from casemate.store import texts

_WRAPPED = 50  # characters: a paragraph that is narrower is verse, an address or a list
_ITEM = re.compile(r"\s*(?:[-*+•–—>|#]|\d{1,3}[.)])\s")


def read(source: Source, found: Found) -> Iterator[Block]:
    """The paragraphs of a text."""
    yield from blocks(decoded(source.bytes(), found).splitlines())


def decoded(data: bytes, found: Found, said: str = "") -> str:
    """The text of bytes, as the airlock read it too; a note says an encoding that is not UTF-8. `said` is its own."""
    try:
        text = texts.decode(data, said)
    except texts.NotTextError as why:
        raise UnreadableError(why.expected, why.found) from why
    if text.note:
        found.note(text.note)
    return text.text


def blocks(lines: Iterable[str]) -> Iterator[Block]:
    """Paragraphs of lines; one that is too long for a message is cut between words."""
    gathered: list[str] = []
    for line in (*lines, ""):
        if line.strip():
            gathered.append(line)
        elif gathered:
            yield from cut(unwrapped(gathered))
            gathered = []


def unwrapped(lines: Sequence[str]) -> str:
    """The lines of a paragraph, those that were only wrapped at its width made one again."""
    width = max(len(line.rstrip()) for line in lines)
    out = [lines[0].strip()]
    for before, line in pairwise(lines):
        first = line.split(None, 1)[0]
        room = len(before.rstrip()) + 1 + len(first) <= width  # it was not for want of room that the line ended
        if width < _WRAPPED or room or _ITEM.match(line):
            out.append(line.strip())
        else:
            out[-1] += f" {line.strip()}"
    return "\n".join(out)


def cut(text: str, **facts: object) -> Iterator[Block]:
    """A block, or several where the text is too long for one."""
    while len(text) > MAX_TEXT:
        at = max(text.rfind("\n", 0, MAX_TEXT), text.rfind(" ", 0, MAX_TEXT)) + 1 or MAX_TEXT
        yield Block(text[:at], **facts)  # type: ignore[arg-type]
        text = text[at:]
    yield Block(text, **facts)  # type: ignore[arg-type]
