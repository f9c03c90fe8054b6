"""A page as a picture: what it looks like, the places that are cited, the marking on a banner above and below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from casemate.modalities.language.documents.kinds import kind_of
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.readers import pdf
from casemate.modalities.language.documents.source import Source, UnreadableError

_SCALE = 1.6  # pixels a point: a page of A4 is 952 pixels wide
_MOST_SIDE_PX = 2400
_BANNER_PX = 44
_INK, _PAPER, _CITED = "#16202b", "#ffffff", (255, 196, 0, 70)
_EDGE = (214, 120, 0, 255)


def drawn(source: Source, number: int, boxes: Sequence[Sequence[float]], banner: str, limits: Limits) -> bytes:
    """A PNG of page `number`, with `boxes` (points from its top left) and `banner` on it."""
    from PIL import Image, ImageDraw

    page, scale = _page(source, number, limits)
    marks = Image.new("RGBA", page.size, (0, 0, 0, 0))
    pen = ImageDraw.Draw(marks)
    for x0, y0, x1, y1 in boxes:
        pen.rectangle([x0 * scale - 3, y0 * scale - 3, x1 * scale + 3, y1 * scale + 3], _CITED, _EDGE, 2)
    page = Image.alpha_composite(page.convert("RGBA"), marks).convert("RGB")
    out = io.BytesIO()
    _bannered(page, banner).save(out, "PNG")
    return out.getvalue()


def _page(source: Source, number: int, limits: Limits) -> tuple[Any, float]:
    from PIL import Image

    if kind_of(source.name) == "image":
        Image.MAX_IMAGE_PIXELS = 400_000_000
        with source.open() as stream, Image.open(stream) as picture:
            if not 1 <= number <= getattr(picture, "n_frames", 1):
                raise UnreadableError("a page of the document", str(number))
            picture.seek(number - 1)
            scale = min(1.0, _MOST_SIDE_PX / max(picture.size))
            size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
            return picture.convert("RGB").resize(size), scale
    if kind_of(source.name) != "pdf":
        raise UnreadableError("a PDF or a picture", str(kind_of(source.name)))
    document = pdf.opened(source)
    if not 1 <= number <= len(document):
        raise UnreadableError("a page of the document", str(number))
    page = document[number - 1]
    scale = min(_SCALE, min(_MOST_SIDE_PX, limits.max_side_px) / max(*page.get_size(), 1.0))
    return page.render(scale=scale, rev_byteorder=True).to_pil(), scale


def _bannered(page: Any, banner: str) -> Any:
    from PIL import Image, ImageDraw, ImageFont

    whole = Image.new("RGB", (page.width, page.height + 2 * _BANNER_PX), _INK)
    whole.paste(page, (0, _BANNER_PX))
    pen, size, letters = ImageDraw.Draw(whole), 22, str(_letters())
    while size > 8 and pen.textlength(banner, ImageFont.truetype(letters, size)) > page.width - 16:
        size -= 1
    font = ImageFont.truetype(letters, size)
    for middle in (_BANNER_PX / 2, whole.height - _BANNER_PX / 2):
        pen.text((whole.width / 2, middle), banner, _PAPER, font, anchor="mm")
    return whole


def _letters() -> Path:
    """A font that has every accent; matplotlib carries it, and need not be imported for that."""
    spec = find_spec("matplotlib")
    if spec is None or spec.origin is None:
        raise UnreadableError("the font of matplotlib", "none")
    return Path(spec.origin).parent / "mpl-data" / "fonts" / "ttf" / "DejaVuSans-Bold.ttf"
