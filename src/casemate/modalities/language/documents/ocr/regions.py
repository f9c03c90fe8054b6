"""Where lines of print stand in a picture: a network's map of where print is, and rectangles around what it marks.

Rules. A picture is brought to a size between what letters need and what memory allows, in steps of 32 pixels; one whose
lines turn out fine, or that shows none, is looked at again, larger. A region is what hangs together on the map; its
rectangle is grown, because the network marks the heart of a line (differentiable binarisation: Liao and others, 2020).
Sizes and thresholds are those with which RapidOCR 3.10 (Apache-2.0) uses PP-OCR's
detectors: `config.yaml`, `ch_ppocr_det/utils.py`, `utils/process_img.py`.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from casemate.modalities.language.documents.ocr.rectangles import Quad, Rectangle, sides, smallest

Network = Callable[[NDArray[np.float32]], NDArray[np.float32]]
Map = NDArray[np.float32]

_LONGEST_PX, _SHORTEST_PX = (1280, 2000), 736
_FINE_PX = 16
_MOST_PX, _MOST_LARGER = 4_000_000, 16  # of a narrow or tiny picture that is made larger
_STEP_PX = 32
_PRINT, _SURE = 0.3, 0.5
_GROWN = 1.6
_LEAST_PX = 3
_MOST_REGIONS = 1000
_WIDE, _LOW_PX = 8, 30


@dataclass(frozen=True)
class Detector:
    """The network that marks print."""

    network: Network

    def quads(self, picture: Image.Image) -> list[Quad]:
        """Where lines stand in a picture (RGB), in its pixels."""
        above, last = margin(*picture.size), np.array(picture.size) - 1
        sheet = _between_margins(picture, above) if above else picture
        found, scale = self._look(sheet, _LONGEST_PX[0])
        if max(sheet.size) > _LONGEST_PX[0] and _fine(found):
            found, scale = self._look(sheet, _LONGEST_PX[1])
        placed = (np.clip(quad * scale - (0, above), 0, last) for quad in found)
        return [quad for quad in placed if min(sides(quad)) > _LEAST_PX]

    def _look(self, sheet: Image.Image, longest_px: int) -> tuple[list[Quad], NDArray[np.float64]]:
        """Quads in pixels of what the network sees, and how many pixels of the sheet one of those is."""
        seen = sheet.resize(seen_size(*sheet.size, longest_px), Image.Resampling.BILINEAR)
        return list(regions(self.network(as_input(seen))[0, 0])), np.array(sheet.size) / np.array(seen.size)


def _fine(quads: Sequence[Quad]) -> bool:
    """Whether most lines are so low that their letters run into one another."""
    return not quads or statistics.median(min(sides(quad)) for quad in quads) < _FINE_PX


def margin(width: int, height: int) -> int:
    """How many rows go above and below a picture of one line, which the network would not find without them."""
    if height > _LOW_PX and width <= _WIDE * height:
        return 0
    return max(0, max(width // _WIDE, _LOW_PX) - height // 2)


def seen_size(width: int, height: int, longest_px: int) -> tuple[int, int]:
    """The size at which the network sees a picture."""
    scale = max(min(1.0, longest_px / max(width, height)), _SHORTEST_PX / min(width, height))
    scale = min(scale, math.sqrt(_MOST_PX / (width * height)), _MOST_LARGER)
    across, down = (max(1, round(side * scale / _STEP_PX)) * _STEP_PX for side in (width, height))
    return across, down


def as_input(picture: Image.Image) -> NDArray[np.float32]:
    """A picture as the networks take it: blue first, from -1 to 1, (1, 3, H, W)."""
    image_CHW = np.asarray(picture)[:, :, ::-1].transpose(2, 0, 1)
    return np.ascontiguousarray(image_CHW, np.float32)[None] / np.float32(127.5) - np.float32(1)


def regions(marked: Map) -> Iterator[Quad]:
    """The rectangles of what is marked as print, in pixels of the map, the largest first."""
    for points in _outlines(_spread(marked > _PRINT)):
        heart = smallest(points)
        if min(heart.width, heart.height) >= _LEAST_PX and _sureness(marked, heart) >= _SURE:
            yield heart.grown(_GROWN * heart.width * heart.height / (2 * (heart.width + heart.height))).quad()


def _spread(bitmap: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Every mark, and the pixels to the right of it and below."""
    wide = bitmap.copy()
    wide[:, 1:] |= bitmap[:, :-1]
    tall = wide.copy()
    tall[1:] |= wide[:-1]
    return tall


def _outlines(bitmap: NDArray[np.bool_]) -> Iterator[NDArray[np.float64]]:
    """The leftmost and rightmost pixels (x, y) of each row of what hangs together: enough for its hull."""
    from scipy import ndimage

    labels, _ = ndimage.label(bitmap, np.ones((3, 3)))
    places = [(number, rows, columns) for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1)]
    areas = [(rows.stop - rows.start) * (columns.stop - columns.start) for _, rows, columns in places]
    for i in np.argsort(areas, kind="stable")[::-1][:_MOST_REGIONS]:
        number, rows, columns = places[i]
        inside = labels[rows, columns] == number
        y = np.arange(rows.start, rows.stop)
        first = columns.start + inside.argmax(axis=1)
        last = columns.stop - 1 - inside[:, ::-1].argmax(axis=1)
        yield np.stack([np.concatenate([first, last]), np.concatenate([y, y])], axis=1).astype(np.float64)


def _sureness(marked: Map, heart: Rectangle) -> float:
    """The mean of the map within a rectangle."""
    quad = heart.quad()
    height, width = marked.shape
    left, top = np.clip(np.floor(quad.min(axis=0)), 0, (width - 1, height - 1)).astype(int)
    right, low = np.clip(np.ceil(quad.max(axis=0)), 0, (width - 1, height - 1)).astype(int)
    mask = Image.new("L", (int(right - left) + 1, int(low - top) + 1))
    ImageDraw.Draw(mask).polygon([(int(x - left), int(y - top)) for x, y in quad], fill=1, outline=1)
    return float(marked[top : low + 1, left : right + 1][np.asarray(mask) > 0].mean())


def _between_margins(picture: Image.Image, above: int) -> Image.Image:
    sheet = Image.new("RGB", (picture.width, picture.height + 2 * above))
    sheet.paste(picture, (0, above))
    return sheet
