"""A page of print: where its lines are, which way it lies, and what they say.

Rules. A page that lies on its side or stands on its head is read as if it were turned, one that leans as if it were
straightened: `box` of a line is in that frame, so that lines can be put in their order; `place` is where the line is in
the picture that was given. What the networks are unsure of is left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casemate.modalities.language.documents.block import Box
from casemate.modalities.language.documents.layout import Line
from casemate.modalities.language.documents.ocr.letters import Letters
from casemate.modalities.language.documents.ocr.rectangles import Quad, sides, turned
from casemate.modalities.language.documents.ocr.regions import Detector
from casemate.modalities.language.documents.ocr.strips import Turner, is_tall, strip

_STRAIGHT_DEG, _ASKEW_DEG = 0.25, 15.0
_LONG = 4
_SURE = 0.5
_ASKED = 12


@dataclass(frozen=True)
class Recogniser:
    """Models that are loaded."""

    detector: Detector
    turner: Turner
    letters: Letters

    def read(self, picture: NDArray[np.uint8]) -> list[Line]:
        """The lines in a picture (RGB, H W 3), from top to bottom of the page as it is read."""
        page, quads, quarters = self._upright(Image.fromarray(picture))
        angle, lines = lean(quads), list[Line]()
        for quad in quads:
            text, sure = self._said(strip(page, quad))
            if sure >= _SURE and text.strip():
                (given,) = turned([quad], *page.size, -quarters)
                lines.append(_line(" ".join(text.split()), quad, angle, _around(given)))
        return sorted(lines, key=lambda line: (line.box[1], line.box[0]))

    def _upright(self, page: Image.Image) -> tuple[Image.Image, list[Quad], int]:
        """A page as it is read, its lines, and by how many quarters against the clock it was turned."""
        quads, quarters = self.detector.quads(page), 0
        if _mostly_tall(quads):  # lines are found best when they lie
            laid = page.transpose(Image.Transpose.ROTATE_90)
            found = self.detector.quads(laid)
            if not _mostly_tall(found):
                page, quads, quarters = laid, found, 1
        if self.turner.most_overturned([strip(page, quad) for quad in _longest(quads)]):
            quads, quarters = turned(quads, *page.size, 2), quarters + 2
            page = page.transpose(Image.Transpose.ROTATE_180)
        return page, quads, quarters

    def _said(self, line: Image.Image) -> tuple[str, float]:
        """What a strip says; one that may stand on its head on an upright page is read both ways, the surer counts."""
        said = self.letters.read(line)
        if not self.turner.overturned(line):
            return said
        return max(said, self.letters.read(line.transpose(Image.Transpose.ROTATE_180)), key=lambda each: each[1])


def _longest(quads: Sequence[Quad]) -> list[Quad]:
    """The lines that are asked how a page lies."""
    return sorted(quads, key=lambda quad: -max(sides(quad)))[:_ASKED]


def _mostly_tall(quads: Sequence[Quad]) -> bool:
    return sum(max(sides(quad)) * (1 if is_tall(quad) else -1) for quad in _longest(quads)) > 0


def lean(quads: Sequence[Quad]) -> float:
    """By how many radians the lines of a page lean, from the longest of them; 0 where it is hardly at all."""
    leaning = []
    for quad in quads:
        width, height = sides(quad)
        if width > _LONG * height:
            along = quad[1] - quad[0] + quad[2] - quad[3]
            leaning.append((width, math.atan2(along[1], along[0])))
    if not leaning:
        return 0.0
    longest = sorted(leaning, reverse=True)[: max(3, len(leaning) // 2)]
    angle = statistics.median(angle for _, angle in longest)
    return angle if _STRAIGHT_DEG < abs(math.degrees(angle)) < _ASKEW_DEG else 0.0


def _line(text: str, quad: Quad, angle: float, place: Box) -> Line:
    cos, sin = math.cos(angle), math.sin(angle)
    height = float(np.linalg.norm(quad[0] - quad[3]) + np.linalg.norm(quad[1] - quad[2])) / 2
    return Line(text, _around(quad @ np.array([[cos, -sin], [sin, cos]])), height, place=place)


def _around(quad: Quad) -> Box:
    (left, top), (right, low) = quad.min(axis=0).tolist(), quad.max(axis=0).tolist()
    return left, top, right, low
