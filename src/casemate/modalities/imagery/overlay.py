"""A picture of a scene with what was found in it, its legend, and the marking on a banner above and below.

Rules. The picture is at most `LONG_SIDE_PX` a side, whatever the scene's size: it is made of the windows' reduced
cores, and boxes are drawn as they come, so that millions of them take no memory. Where the scene had to be reduced, up
to three places with the most detections are shown beside it at full resolution. Colours go to labels in the order in
which they are first met, and differ in lightness too, so that most readers without full colour vision tell them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from casemate.modalities.imagery.pixels import RGB_HWC
from casemate.store.whole import written_whole

LONG_SIDE_PX = 1536
SMALL_SIDE_PX = 1200
DETAIL_PX = 352
DETAILS = 3
_CELLS_A_SIDE = 256
_PANEL_PX, _MARGIN_PX, _BANNER_PX = 352, 24, 52
_LEGEND_ROWS = 12
_PAPER, _INK, _FAINT, _BANNER = "#ffffff", "#16202b", "#5b6875", "#16202b"
_PALETTE = (
    "#ffd400", "#00d5ff", "#ff4fa3", "#7cff3d", "#ff8a1f", "#b18cff", "#ffffff", "#ff5148", "#2f8dff", "#00c08b",
)  # fmt: skip

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Caption:
    """What the picture says in words."""

    marking: str
    scene: str
    release: str
    size_px: tuple[int, int]
    gsd_m: float | None


@dataclass
class Overlay:
    """The picture while boxes come in; `factor` says how many pixels of the scene one of `base` averages."""

    base: RGB_HWC
    factor: int
    size_px: tuple[int, int]
    counts: dict[str, int] = field(default_factory=dict)
    _cells: NDArray[np.int64] = field(init=False, repr=False)
    _image: Image.Image = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Enlarge the picture of a small scene, so that its boxes can be told apart."""
        image = Image.fromarray(self.base)
        enlarge = max(1, SMALL_SIDE_PX // max(image.size)) if self.factor == 1 else 1
        self._scale = enlarge / self.factor
        self._image = image.resize((image.width * enlarge, image.height * enlarge), Image.Resampling.BICUBIC)
        self._cell_px = max(DETAIL_PX // 2, -(-max(self.size_px) // _CELLS_A_SIDE))
        self._cells = np.zeros([side // self._cell_px + 1 for side in self.size_px[::-1]], np.int64)

    def add(self, box_xyxy_px: Box, label: str) -> None:
        """Draw one box, given in pixels of the scene."""
        self.counts[label] = self.counts.get(label, 0) + 1
        x0, y0, x1, y1 = box_xyxy_px
        self._cells[int((y0 + y1) / 2) // self._cell_px, int((x0 + x1) / 2) // self._cell_px] += 1
        _outline(ImageDraw.Draw(self._image), [edge * self._scale for edge in box_xyxy_px], self.colour(label))

    def colour(self, label: str) -> str:
        """The colour of a label that was added."""
        return _PALETTE[list(self.counts).index(label) % len(_PALETTE)]

    def crowded(self) -> list[tuple[int, int, int, int]]:
        """Up to three squares of the scene with the most boxes, far apart, where the picture was reduced; may be none.

        Each as (x0, y0, x1, y1) in pixels of the scene, and inside it.
        """
        if self.factor == 1 or min(self.size_px) < DETAIL_PX:
            return []
        squares: list[tuple[int, int, int, int]] = []
        for cell in np.argsort(-self._cells, axis=None, kind="stable"):
            row, column = divmod(int(cell), self._cells.shape[1])
            if not self._cells[row, column] or len(squares) == DETAILS:
                break
            x0, y0 = (
                min(max(int((place + 0.5) * self._cell_px) - DETAIL_PX // 2, 0), side - DETAIL_PX)
                for place, side in zip((column, row), self.size_px, strict=True)
            )
            if all(abs(x0 - x) >= DETAIL_PX or abs(y0 - y) >= DETAIL_PX for x, y, _, _ in squares):
                squares.append((x0, y0, x0 + DETAIL_PX, y0 + DETAIL_PX))
        return squares

    def save(self, path: Path, caption: Caption, details: Iterable[Detail] = ()) -> None:
        """Write the finished picture to `path` (PNG), whole or not at all."""
        shown = list(details)
        draw = ImageDraw.Draw(self._image)
        for number, detail in enumerate(shown, 1):
            _number(draw, [edge * self._scale for edge in detail.square_px], number)
        if caption.gsd_m:
            _scale_bar(self._image, caption.gsd_m / self._scale)
        with written_whole(path) as file:
            _page(self._image, self, caption, shown).save(file, "PNG", compress_level=3)


@dataclass(frozen=True)
class Detail:
    """A square of the scene at full resolution, with the boxes in it, all in pixels of the scene."""

    square_px: tuple[int, int, int, int]
    pixels: RGB_HWC
    boxes: tuple[tuple[Box, str], ...]


def reduction(width: int, height: int) -> int:
    """How many pixels of a scene one pixel of its picture averages, each way."""
    return -(-max(width, height) // LONG_SIDE_PX)


# ── the page ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _page(picture: Image.Image, overlay: Overlay, caption: Caption, details: list[Detail]) -> Image.Image:
    panel = _panel(overlay, caption, details)
    height = max(picture.height, panel.height)
    page = Image.new(
        "RGB", (picture.width + _PANEL_PX + 3 * _MARGIN_PX, height + 2 * (_BANNER_PX + _MARGIN_PX)), _PAPER
    )
    page.paste(picture, (_MARGIN_PX, _BANNER_PX + _MARGIN_PX))
    page.paste(panel, (picture.width + 2 * _MARGIN_PX, _BANNER_PX + _MARGIN_PX))
    draw = ImageDraw.Draw(page)
    for top in (0, page.height - _BANNER_PX):
        draw.rectangle((0, top, page.width, top + _BANNER_PX), fill=_BANNER)
        words = _fitted(caption.marking, 26, page.width - 2 * _MARGIN_PX)
        draw.text((page.width / 2, top + _BANNER_PX / 2), **words, fill=_PAPER, anchor="mm")
    return page


def _panel(overlay: Overlay, caption: Caption, details: list[Detail]) -> Image.Image:
    """The column beside the picture: what it is, the legend, and the details."""
    rows = sorted(overlay.counts.items(), key=lambda item: -item[1])
    height = 190 + 34 * (min(len(rows), _LEGEND_ROWS) + 1) + len(details) * (DETAIL_PX + 16)
    panel = Image.new("RGB", (_PANEL_PX, height), _PAPER)
    draw = ImageDraw.Draw(panel)
    draw.text((0, 0), **_fitted(caption.scene, 24, _PANEL_PX), fill=_INK)
    y = 40
    for line in _facts(caption, sum(overlay.counts.values())):
        draw.text((0, y), **_fitted(line, 17, _PANEL_PX, bold=False), fill=_FAINT)
        y += 26
    y += 18
    for label, count in rows[:_LEGEND_ROWS]:
        _legend_row(draw, y, label, count, overlay.colour(label))
        y += 34
    if len(rows) > _LEGEND_ROWS:
        rest = sum(count for _, count in rows[_LEGEND_ROWS:])
        draw.text(
            (34, y), **_fitted(f"{len(rows) - _LEGEND_ROWS} other labels: {rest:,}", 17, 300, bold=False), fill=_INK
        )
        y += 34
    y += 18
    for number, detail in enumerate(details, 1):
        panel.paste(_detail(detail, overlay, number), (0, y))
        y += DETAIL_PX + 16
    return panel


def _facts(caption: Caption, total: int) -> list[str]:
    width, height = caption.size_px
    place = f"{caption.gsd_m:.3g} m a pixel" if caption.gsd_m else "without georeference"
    release = caption.release.removeprefix("sha256:")
    return [
        f"{width:,} × {height:,} pixels, {place}",
        f"{total:,} detection{'' if total == 1 else 's'}",
        f"release {release[:16]}…" if len(release) > 16 else f"release {release}",
    ]


def _legend_row(draw: ImageDraw.ImageDraw, y: int, label: str, count: int, colour: str) -> None:
    draw.rectangle((0, y, 22, y + 22), fill=colour, outline=_INK, width=2)
    draw.text((34, y + 11), **_fitted(label, 19, _PANEL_PX - 140, bold=False), fill=_INK, anchor="lm")
    draw.text((_PANEL_PX, y + 11), **_fitted(f"{count:,}", 19, 100), fill=_INK, anchor="rm")


def _detail(detail: Detail, overlay: Overlay, number: int) -> Image.Image:
    image = Image.fromarray(detail.pixels)
    draw = ImageDraw.Draw(image)
    left, top, _, _ = detail.square_px
    for (x0, y0, x1, y1), label in detail.boxes:
        _outline(draw, [x0 - left, y0 - top, x1 - left, y1 - top], overlay.colour(label))
    _number(draw, [0, 0, DETAIL_PX - 1, DETAIL_PX - 1], number)
    return image


# ── strokes ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def _outline(draw: ImageDraw.ImageDraw, edges: list[float], colour: str) -> None:
    """A box with a dark rim, so that it shows on any ground; a tiny one is drawn large enough to be seen."""
    x0, y0, x1, y1 = edges
    grow = max(0.0, 6 - (x1 - x0)) / 2, max(0.0, 6 - (y1 - y0)) / 2
    box = [round(x0 - grow[0]), round(y0 - grow[1]), round(x1 + grow[0]), round(y1 + grow[1])]
    small = min(x1 - x0, y1 - y0) < 18
    if not small:
        draw.rectangle([box[0] - 1, box[1] - 1, box[2] + 1, box[3] + 1], outline="#000000", width=1)
    draw.rectangle(box, outline=colour, width=1 if small else 2)


def _number(draw: ImageDraw.ImageDraw, edges: list[float], number: int) -> None:
    """A white frame with its number in the upper left corner."""
    x0, y0, x1, y1 = (round(edge) for edge in edges)
    draw.rectangle((x0 - 1, y0 - 1, x1 + 1, y1 + 1), outline="#000000", width=4)
    draw.rectangle((x0, y0, x1, y1), outline="#ffffff", width=2)
    draw.rectangle((x0, y0, x0 + 24, y0 + 24), fill="#ffffff", outline="#000000")
    draw.text((x0 + 12, y0 + 12), **_fitted(str(number), 18, 24), fill="#000000", anchor="mm")


def _scale_bar(image: Image.Image, metres_a_pixel: float) -> None:
    """A bar of a round length, about a fifth of the picture, in its lower left corner."""
    target = image.width * metres_a_pixel / 5
    power = 10.0 ** np.floor(np.log10(target))
    length = float(power * max(step for step in (1, 2, 5) if step * power <= target))
    words = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    draw = ImageDraw.Draw(image)
    x0, y1 = 20, image.height - 20
    x1 = x0 + round(length / metres_a_pixel)
    draw.rectangle((x0 - 1, y1 - 7, x1 + 1, y1 + 1), fill="#ffffff", outline="#000000")
    label = _fitted(words, 18, 200)
    draw.text(((x0 + x1) / 2, y1 - 22), **label, fill="#ffffff", stroke_fill="#000000", stroke_width=2, anchor="mm")


def _fitted(words: str, size_px: int, width_px: float, *, bold: bool = True) -> dict[str, Any]:
    """Words and the font in which they fit the width, as `draw.text` takes them: smaller first, then cut short."""
    words = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in words)
    file = resources.files("matplotlib") / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
    for size in range(size_px, size_px * 2 // 3, -1):
        font = ImageFont.truetype(str(file), size)
        if font.getlength(words) <= width_px:
            return {"text": words, "font": font}
    while words and font.getlength(words + "…") > width_px:
        words = words[:-1]
    return {"text": words + "…", "font": font}
