"""Pictures: each is a page whose print is recognised; a pixel is a point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from casemate.modalities.language.documents.block import Block, Box
from casemate.modalities.language.documents.layout import Line, ordered, paragraphs
from casemate.modalities.language.documents.source import Found, Source


def read(source: Source, found: Found) -> Iterator[Block]:
    """The blocks of a picture, or of each picture of a TIFF."""
    from PIL import Image

    Image.MAX_IMAGE_PIXELS = 400_000_000
    with source.open() as stream, Image.open(stream) as picture:
        found.pages = min(getattr(picture, "n_frames", 1), found.limits.max_pages)
        for number in range(1, found.pages + 1):
            found.on_page()
            if found.recogniser is None:
                found.note(f"page {number}: a picture, not read: no OCR model")
                continue
            picture.seek(number - 1)
            yield from recognised(picture.convert("RGB"), number, found, 1.0)


def recognised(picture: Any, number: int, found: Found, points: float) -> Iterator[Block]:
    """The blocks of a picture (RGB); `points` is how many points a pixel is."""
    import numpy as np

    if found.recogniser is None:
        return
    most = found.limits.max_side_px
    shrunk = min(1.0, most / max(picture.size))
    if shrunk < 1:
        picture = picture.resize((max(1, round(picture.width * shrunk)), max(1, round(picture.height * shrunk))))
    scale = points / shrunk
    lines = found.recogniser.read(np.asarray(picture))
    found.ocr_pages += 1
    if not lines:
        found.note(f"page {number}: no print was recognised")
    yield from paragraphs(ordered([_scaled(line, scale) for line in lines]), number)


def _scaled(line: Line, scale: float) -> Line:
    place = None if line.place is None else _times(line.place, scale)
    return replace(line, box=_times(line.box, scale), size=line.size * scale, place=place)


def _times(box: Box, scale: float) -> Box:
    left, top, right, low = (edge * scale for edge in box)
    return left, top, right, low
