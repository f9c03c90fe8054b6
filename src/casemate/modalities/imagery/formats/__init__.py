"""One file per label format, found by listing this folder.

Rules. Each has `recognise(gallery) -> tuple[str, ...]`, the label files of its format, by their content; and
`read(gallery, files, words) -> Rows`, where `words` tells whether a word names a class (only maps need it, whose
properties may be keys). A format knows nothing of the others, nor of the taxonomy.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast

from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Rows

__all__ = ["LabelFormat", "find", "names"]


class LabelFormat(Protocol):
    """What a module of this folder offers."""

    def recognise(self, gallery: Gallery) -> tuple[str, ...]:
        """The label files of this format, as paths relative to the set's folder."""
        ...

    def read(self, gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:
        """What those files say."""
        ...


def names() -> list[str]:
    """Names of the label formats, by listing the folder."""
    return sorted(f.stem for f in Path(__file__).parent.glob("*.py") if not f.stem.startswith("_"))


def find(name: str) -> LabelFormat:
    """The format of this name, one of `names()`."""
    if name not in names():
        raise RuntimeError(f"no label format {name}")
    return cast("LabelFormat", importlib.import_module(f"casemate.modalities.imagery.formats.{name}"))
