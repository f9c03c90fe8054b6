"""Markdown: headings, tables and paragraphs; marks of emphasis and links stay as they are written."""

from __future__ import annotations

import re
from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.text import cut, decoded, unwrapped
from casemate.modalities.language.documents.source import Found, Source, row_text

_HEADING = re.compile(r" {0,3}(#{1,6})\s+(.*?)\s*#*\s*$")
_FENCE = re.compile(r" {0,3}(```|~~~)")
_RULE = re.compile(r"\s*\|?(?:\s*:?-{2,}:?\s*\|)+\s*:?-*:?\s*$")


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a page; its title is the first heading of the first level."""
    gathered: list[str] = []
    fenced, table = False, False
    for line in (*decoded(source.bytes(), found).splitlines(), ""):
        fence = bool(_FENCE.match(line))
        heading = None if fenced or fence else _HEADING.match(line)
        row = not fenced and line.lstrip().startswith("|")
        if gathered and (heading or row != table or (not line.strip() and not fenced)):
            yield from cut("\n".join(gathered) if table or fenced else unwrapped(gathered), kind=_kind(table))
            gathered = []
        fenced, table = fenced ^ fence, row
        if heading:
            found.title = found.title or (heading[2] if len(heading[1]) == 1 else "")
            yield from cut(heading[2], kind="heading")
        elif line.strip() and not (row and _RULE.match(line)):
            gathered.append(row_text(line.strip().strip("|").split("|")) if row else line)
    if gathered:
        yield from cut("\n".join(gathered))


def _kind(table: bool) -> str:
    return "table" if table else "paragraph"
