"""Presentations: each slide is a page, with the boxes of its shapes; notes after them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from casemate.modalities.language.documents.block import Block, Box
from casemate.modalities.language.documents.readers.text import cut
from casemate.modalities.language.documents.source import Found, Source, iso_date, row_text

_EMU = 12700  # a point


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a presentation."""
    import pptx

    with source.open() as stream:
        deck = pptx.Presentation(stream)
        found.title = deck.core_properties.title or ""
        found.date = iso_date(deck.core_properties.modified or deck.core_properties.created)
        behind: set[str] = set()
        for page, slide in enumerate(deck.slides, 1):
            found.pages = page
            found.on_page()
            yield from _behind(slide, page, behind)
            title = slide.shapes.title
            yield from _shapes(slide.shapes, page, title.shape_id if title is not None else None)
            if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
                notes = slide.notes_slide.notes_text_frame.text
                if notes.strip():
                    yield from cut(notes, page=page)


def _behind(slide: Any, page: int, seen: set[str]) -> Iterator[Block]:
    """What stands on every slide, once: markings often do; a place that is to be filled in says nothing."""
    for layer in (slide.slide_layout.slide_master, slide.slide_layout):
        for block in _shapes([shape for shape in layer.shapes if not shape.is_placeholder], page, None):
            if block.text not in seen:
                seen.add(block.text)
                yield block


def _shapes(shapes: Any, page: int, title: int | None) -> Iterator[Block]:
    for shape in shapes:
        if shape.shape_type == 6:  # a group
            yield from _shapes(shape.shapes, page, title)
        elif getattr(shape, "has_table", False) and shape.has_table:
            rows = [row_text([cell.text for cell in row.cells]) for row in shape.table.rows]
            text = "\n".join(row for row in rows if row)
            if text:
                yield from cut(text, page=page, box=_box(shape), kind="table")
        elif shape.has_text_frame and shape.text_frame.text.strip():
            kind = "heading" if shape.shape_id == title else "paragraph"
            yield from cut(shape.text_frame.text, page=page, box=_box(shape), kind=kind)


def _box(shape: Any) -> Box | None:
    if None in {shape.left, shape.top, shape.width, shape.height}:
        return None
    left, top = shape.left / _EMU, shape.top / _EMU
    return (left, top, left + shape.width / _EMU, top + shape.height / _EMU)
