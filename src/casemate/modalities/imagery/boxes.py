"""Labelled images as values: a box, an image with its boxes, a set of images.

Rules. Pixels are counted from the image's top left corner, x to the right, y down, edges and not centres: a box over
the whole image is (0, 0, width, height). A label is the name of a node of the set's taxonomy. Paths are relative to the
set's folder, with forward slashes. These are values: `data` reads them, and whoever holds one may trust it.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput, LabelOutsideImage
from casemate.modalities.imagery.taxonomy import Taxonomy

OVERHANG_PX = 2.0
"""A box may stick out of its image by this much, from rounding; what sticks out is cut off."""


@dataclass(frozen=True, order=True)
class Box:
    """An axis-parallel box in pixels, what it holds, and whether its annotator found it difficult (or a crowd)."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str
    difficult: bool = False

    @property
    def width(self) -> float:
        """Pixels from left to right."""
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        """Pixels from top to bottom."""
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """The four edges: left, top, right, bottom."""
        return self.x0, self.y0, self.x1, self.y1


@dataclass(frozen=True)
class LabelledImage:
    """One image of a set: where it is, how large, its boxes, metres a pixel and coordinate system where known."""

    path: str
    width: int
    height: int
    boxes: tuple[Box, ...] = ()
    gsd_m: float | None = None
    crs: str | None = None

    @property
    def boxes_xyxy_px(self) -> npt.NDArray[np.float32]:
        """The boxes' edges as an array, float32 [N, 4]."""
        return np.array([b.xyxy for b in self.boxes], dtype=np.float32).reshape(-1, 4)


@dataclass(frozen=True)
class ImageryDataset:
    """A folder of images with their boxes, the taxonomy of their labels and what is labelled throughout.

    `exhaustive` names the nodes of which every instance is labelled, in every image: where no box is, those are known
    to be absent, and nothing is known about the others (see `Taxonomy.covered`). `notes` are sentences about what was
    left out when reading.
    """

    folder: Path
    images: tuple[LabelledImage, ...]
    taxonomy: Taxonomy
    exhaustive: frozenset[str]
    source: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def box_count(self) -> int:
        """How many boxes the set has."""
        return sum(len(i.boxes) for i in self.images)

    @cached_property
    def labels(self) -> dict[str, int]:
        """How many boxes each label has, in the taxonomy's order; labels without a box are absent."""
        counts = Counter(b.label for i in self.images for b in i.boxes)
        return {name: counts[name] for name in self.taxonomy.names if counts[name]}

    def path_of(self, image: LabelledImage) -> Path:
        """Where the image's file is."""
        return self.folder / image.path


def fit(box: Box, width: int, height: int, *, where: str) -> Box:
    """The box cut to its image; a box with no area, or out of its image by more than rounding, is refused.

    `where` names the label for the reader, e.g. `labels.csv line 3`.
    """
    if not all(math.isfinite(edge) for edge in box.xyxy):
        raise BadInput(where, expected="a box of finite numbers", found=_text(box))
    if not (box.x0 < box.x1 and box.y0 < box.y1):
        raise BadInput(where, expected="a box with an area (left < right, top < bottom)", found=_text(box))
    overhang_px = max(-box.x0, -box.y0, box.x1 - width, box.y1 - height)
    cut = Box(max(box.x0, 0.0), max(box.y0, 0.0), min(box.x1, width), min(box.y1, height), box.label, box.difficult)
    if overhang_px > OVERHANG_PX or not (cut.x0 < cut.x1 and cut.y0 < cut.y1):
        raise LabelOutsideImage(where, expected=f"a box inside its image of {width} × {height} px", found=_text(box))
    return cut


def _text(box: Box) -> str:
    return f"{box.label} ({', '.join(f'{edge:g}' for edge in box.xyxy)})"
