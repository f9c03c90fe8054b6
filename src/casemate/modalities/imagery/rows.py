"""What every label format gives: rows as written, before their words and edges are checked against anything.

Rules. A row keeps the set's own word for its class and says where it was written, so that an error can name the line.
`images` lists the labelled images, those without any box too: an image that is not listed was never labelled.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from casemate.errors import BadInput


@dataclass(frozen=True)
class Row:
    """One box as a label file has it: image (relative path), edges in pixels, the set's own word, where it stands."""

    image: str
    x0: float
    y0: float
    x1: float
    y1: float
    word: str
    where: str
    difficult: bool = False
    cut: bool = False
    """Whether the format's boxes may reach over the image's edge by right (polygons on a map): then they are cut."""


@dataclass(frozen=True)
class Rows:
    """All that the label files of a set say."""

    images: frozenset[str]
    rows: tuple[Row, ...]
    gsd_m: Mapping[str, float] = field(default_factory=dict)
    """Metres a pixel of the images for which the labels say so."""
    notes: tuple[str, ...] = ()


def number(text: object, where: str, what: str) -> float:
    """A finite number; BadInput names the place and what was to be one."""
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        value = math.nan
    if isinstance(text, bool) or not math.isfinite(value):
        raise BadInput(where, expected=f"{what} as a finite number", found=repr(text))
    return value


def numbered_lines(text: str) -> list[tuple[int, str]]:
    """Lines that are not blank, numbered from 1; only newlines end a line."""
    return [(i, line.strip()) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def same_size(where: str, *, said: tuple[int, int], found: tuple[int, int]) -> None:
    """Refuse labels that were made for another size of the image; (0, 0) says nothing."""
    if 0 not in said and said != found:
        expected = f"labels for the image's {found[0]} × {found[1]} px"
        raise BadInput(where, expected=expected, found=f"{said[0]} × {said[1]} px")


def is_number(token: str) -> bool:
    """Whether a word reads as a number at all; not-a-number does."""
    try:
        float(token)
    except ValueError:
        return False
    return True
