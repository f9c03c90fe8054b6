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
_ROWS_A_PAGE = 2000


def read(source: Source, found: Found) -> Iterator[Block]:
    """The rows of a table."""
    text = decoded(source.bytes(), found)
    csv.field_size_limit(1 << 24)
    rows = csv.reader(io.StringIO(text), delimiter=mark_of_cells(text))
    yield from tables(([str(cell) for cell in row] for row in rows), found)


def tables(rows: Iterator[list[str]], found: Found, page: int = 0) -> Iterator[Block]:
    """Blocks of so many rows each; of a long table, so many rows count as a page to whoever waits for them."""
    gathered: list[str] = []
    for number, row in enumerate(rows, 1):
        if number % _ROWS_A_PAGE == 0:
            found.on_page()
        line = row_text(row)
        if line:
            gathered.append(line)
        if len(gathered) == _ROWS:
            yield from cut("\n".join(gathered), kind="table", page=page)
            gathered = []
    if gathered:
        yield from cut("\n".join(gathered), kind="table", page=page)
