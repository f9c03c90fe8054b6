"""Tables as text, their cells between commas, semicolons or tabs: rows, some at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.text import cut, decoded
from casemate.modalities.language.documents.source import Found, Source, row_text
from casemate.store.texts import mark_of_cells

_ROWS = 20


def read(source: Source, found: Found) -> Iterator[Block]:
    """The rows of a table."""
    text = decoded(source.bytes(), found)
    csv.field_size_limit(1 << 24)
    yield from tables(
        [str(cell) for cell in row] for row in csv.reader(io.StringIO(text), delimiter=mark_of_cells(text))
    )


def tables(rows: Iterator[list[str]], page: int = 0) -> Iterator[Block]:
    """Blocks of so many rows each."""
    gathered: list[str] = []
    for row in rows:
        line = row_text(row)
        if line:
            gathered.append(line)
        if len(gathered) == _ROWS:
            yield from cut("\n".join(gathered), kind="table", page=page)
            gathered = []
    if gathered:
        yield from cut("\n".join(gathered), kind="table", page=page)
