"""Documents that say nearly the same: MinHash over runs of five words, banded, then compared. Pure but for numpy.

Rules. A group is named by its first document, in the order given. Two documents are near when at least eight in ten of
their runs are the same, as estimated on 128 hashes (standard error 0.035). The hashes are those of fixed seeds: the
same documents give the same groups everywhere. Source: Broder, On the resemblance and containment of documents, 1997.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.markings.policy import fold

_HASHES, _BANDS, _RUN = 128, 32, 5
_NEAR = 0.8
_PRIME = np.uint64((1 << 31) - 1)
_MOST_WORDS = 400_000
_chance = np.random.default_rng(20)
_FACTOR = _chance.integers(1, (1 << 31) - 1, _HASHES, dtype=np.uint64)
_OFFSET = _chance.integers(0, (1 << 31) - 1, _HASHES, dtype=np.uint64)

Sketch = NDArray[np.uint64]


class Sketcher:
    """Sketches one document while its text comes."""

    def __init__(self) -> None:
        """Nothing read yet."""
        self._least = np.full(_HASHES, _PRIME, np.uint64)
        self._words: list[str] = []
        self._seen = 0

    def add(self, text: str) -> None:
        """More text of the document."""
        if self._seen > _MOST_WORDS:
            return
        words = [*self._words, *fold(text).split()]
        self._seen += len(words) - len(self._words)
        runs = [" ".join(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)]
        self._note(runs)
        self._words = words[-(_RUN - 1) :]

    def sketch(self) -> Sketch | None:
        """The document's sketch; None of one without words."""
        if not self._seen:
            return None
        if self._seen < _RUN:
            self._note([" ".join(self._words)])
        return self._least

    def _note(self, runs: list[str]) -> None:
        for start in range(0, len(runs), 4096):
            part = np.array([zlib.crc32(run.encode()) & 0x7FFFFFFF for run in runs[start : start + 4096]], np.uint64)
            hashed = (_FACTOR[:, None] * part[None, :] + _OFFSET[:, None]) % _PRIME
            self._least = np.minimum(self._least, hashed.min(axis=1))


def groups(sketches: Iterable[tuple[str, Sketch | None]]) -> Mapping[str, str]:
    """For each document the first that is nearly the same, or itself."""
    group: dict[str, str] = {}
    kept: dict[str, Any] = {}
    bands: dict[tuple[int, bytes], list[str]] = {}
    rows = _HASHES // _BANDS
    for name, sketch in sketches:
        group[name] = name
        if sketch is None:
            continue
        keys = [(band, sketch[band * rows : (band + 1) * rows].tobytes()) for band in range(_BANDS)]
        candidates = dict.fromkeys(other for key in keys for other in bands.get(key, ()))
        near = next((other for other in candidates if np.mean(kept[other] == sketch) >= _NEAR), None)
        if near is not None:
            group[name] = near
            continue
        kept[name] = sketch
        for key in keys:
            bands.setdefault(key, []).append(name)
    return group
