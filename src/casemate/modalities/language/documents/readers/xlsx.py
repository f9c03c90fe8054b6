"""Workbooks: each sheet is a page, its name a heading, its rows a table; values as they were last calculated."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.csv import tables
from casemate.modalities.language.documents.source import Found, Source, iso_date


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a workbook."""
    import openpyxl

    with source.open() as stream:
        book = openpyxl.load_workbook(stream, read_only=True, data_only=True, keep_links=False)
        found.title = book.properties.title or ""
        found.date = iso_date(book.properties.modified or book.properties.created)
        for page, sheet in enumerate(book.worksheets, 1):
            found.pages = page
            found.on_page()
            yield Block(sheet.title[:1000], page, kind="heading")
            rows = ([_cell(value) for value in row] for row in sheet.iter_rows(values_only=True))
            yield from tables(rows, page)
        book.close()


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(" ") if value.time() != dt.time() else value.date().isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
