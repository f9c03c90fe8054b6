"""Workbooks: each sheet is a page, its name a heading, its rows a table; values as they were last calculated."""

from __future__ import annotations

import datetime as dt
import html
import re
import zipfile
from collections.abc import Iterator
from typing import BinaryIO

from casemate.modalities.language.documents.block import Block
from casemate.modalities.language.documents.readers.csv import tables
from casemate.modalities.language.documents.readers.text import cut
from casemate.modalities.language.documents.source import Found, Source, iso_date

_AROUND = re.compile(r"<(?:odd|even|first)(?:Header|Footer)>([^<]*)<")
_CODE = re.compile(r'&(?:"[^"]*"|K[0-9A-Fa-f+-]{1,8}|\d{1,3}|[A-Z])')  # fonts, sizes, page numbers
_END_BYTES = 1 << 16


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
            yield from tables(rows, found, page)
        book.close()
        yield from _around_pages(stream)


def _around_pages(stream: BinaryIO) -> Iterator[Block]:
    """Headers and footers, each once: they stand at the end of a sheet's part, and markings often stand in them."""
    seen: set[str] = set()
    with zipfile.ZipFile(stream) as archive:
        for name in (name for name in archive.namelist() if name.startswith("xl/worksheets/")):
            end = b""
            with archive.open(name) as part:
                while data := part.read(_END_BYTES):
                    end = (end + data)[-_END_BYTES:]
            for found in _AROUND.findall(end.decode("utf-8", "replace")):
                text = " ".join(_CODE.sub(_meant, html.unescape(found)).split())
                if text and text not in seen:
                    seen.add(text)
                    yield from cut(text)


def _meant(code: re.Match[str]) -> str:
    return "1" if code[0] in {"&P", "&N"} else " "


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, dt.datetime):
        return value.isoformat(" ") if value.time() != dt.time() else value.date().isoformat()
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)
