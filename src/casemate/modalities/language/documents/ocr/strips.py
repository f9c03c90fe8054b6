"""A line cut out of a picture as an upright strip, and the network that says which strips stand on their heads.

Rules. A quad that is much taller than wide is print along the page's edge, and is laid down against the clock. A strip
has the height that the networks want; one that is longer than they can hold is squeezed. Constants are those of
RapidOCR 3.10 (Apache-2.0): `utils/process_img.py`, `ch_ppocr_cls/main.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from casemate.modalities.language.documents.ocr.rectangles import Quad, sides
from casemate.modalities.language.documents.ocr.regions import Network, as_input

HEIGHT_PX = 48
_MOST_WIDTH_PX = 200 * HEIGHT_PX
_TALL = 1.5
_SEEN_PX = 192
_SURE = 0.9


def is_tall(quad: Quad) -> bool:
    """Whether print in a quad runs along the page's edge."""
    width, height = sides(quad)
    return int(height) >= _TALL * max(1, int(width))


def strip(picture: Image.Image, quad: Quad) -> Image.Image:
    """The line in a quad, lying down, 48 pixels high."""
    width, height = (max(1, int(side)) for side in sides(quad))
    north_west, north_east, south_east, south_west = quad + 0.5
    corners = (*north_west, *south_west, *south_east, *north_east)
    cut = picture.transform((width, height), Image.Transform.QUAD, corners, Image.Resampling.BICUBIC)
    if is_tall(quad):
        cut = cut.transpose(Image.Transpose.ROTATE_90)
    wide = min(math.ceil(HEIGHT_PX * cut.width / cut.height), _MOST_WIDTH_PX)
    return cut.resize((wide, HEIGHT_PX), Image.Resampling.BILINEAR)


def padded(line: Image.Image, width: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    """A strip as a network takes it, with nothing (0) to its right."""
    seen = as_input(line)
    return np.pad(seen, ((0, 0), (0, 0), (0, 0), (0, max(0, width - seen.shape[3]))))


@dataclass(frozen=True)
class Turner:
    """The network that knows print upside down."""

    network: Network

    def overturned(self, line: Image.Image) -> bool:
        """Whether a strip stands on its head, as far as its first letters show."""
        seen = line.resize((min(line.width, _SEEN_PX), HEIGHT_PX), Image.Resampling.BILINEAR)
        return bool(self.network(padded(seen, _SEEN_PX))[0, 1] > _SURE)

    def most_overturned(self, lines: Sequence[Image.Image]) -> bool:
        """Whether more of some strips stand on their heads than do not, by their length."""
        return sum(line.width * (1 if self.overturned(line) else -1) for line in lines) > 0
