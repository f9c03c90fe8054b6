"""A block of a document: a paragraph, a heading or rows of a table, and where it stands.

Rules. Boxes are in points from the top left of the page as it is shown; of a picture, a pixel is a point. Pages count
from 1; a format without pages has page 0. A block comes out of a child that is not trusted: what is not one is refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, cast

Kind = Literal["paragraph", "heading", "table"]
Box = tuple[float, float, float, float]
KINDS = frozenset({"paragraph", "heading", "table"})
MAX_TEXT = 80_000  # characters: a block travels in one message, each as up to 12 bytes


class NotABlockError(ValueError):
    """What a child said is no block."""


@dataclass(frozen=True)
class Block:
    """Text with its page, its box on it (None where the format has none) and what it is."""

    text: str
    page: int = 0
    box: Box | None = None
    kind: Kind = "paragraph"

    def to_json(self) -> dict[str, Any]:
        """The block as a message holds it."""
        return {"text": self.text, "page": self.page, "box": self.box, "kind": self.kind}

    @classmethod
    def of(cls, said: object) -> Block:
        """The block in a message; NotABlockError for anything else."""
        if not isinstance(said, dict) or said.keys() != {"text", "page", "box", "kind"}:
            raise NotABlockError("a block with other fields")
        text, page, box, kind = said["text"], said["page"], said["box"], said["kind"]
        if not isinstance(text, str) or len(text) > MAX_TEXT or type(page) is not int or not 0 <= page < 1 << 31:
            raise NotABlockError("a block without text or page")
        if kind not in KINDS:
            raise NotABlockError("a block of no known kind")
        return cls(text, page, _box(box), cast("Kind", kind))


def _box(said: object) -> Box | None:
    if said is None:
        return None
    if not isinstance(said, list) or len(said) != 4 or any(type(n) not in {int, float} for n in said):
        raise NotABlockError("a box that is none")
    edges = [float(n) for n in said]
    if not all(math.isfinite(n) and abs(n) < 1e6 for n in edges):
        raise NotABlockError("a box without end")
    return cast("Box", tuple(round(n, 1) for n in edges))
