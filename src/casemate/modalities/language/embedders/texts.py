"""What all embedders share: texts in, one row of unit length each.

Rules. An empty text has a vector too: that of a text without words. A row is never shorter than its unit length but
where the model says nothing at all (zeros), which is like nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
_MAX_CHARACTERS = 100_000  # of one text: a passage has two thousand; more would be work without end


@dataclass(frozen=True)
class TextEmbedder:
    """An embedder: `one` gives the vector of a text, of any length, asked for as a query or as a passage."""

    name: str
    dim: int
    one: Callable[[str, bool], Floats]

    def embed(self, texts: Sequence[str], *, query: bool) -> Floats:
        """Float32 rows (n, dim) of unit length."""
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            row[:] = unit(self.one(text[:_MAX_CHARACTERS], query))
        return rows


def unit(vector: Floats) -> Floats:
    """The vector at unit length."""
    length = float(np.sqrt(np.sum(np.square(vector, dtype=np.float64))))
    if length == 0:
        return vector
    return np.asarray(vector / np.float32(length), np.float32)


def windows(tokens: Sequence[int], width: int) -> list[Sequence[int]]:
    """The tokens cut in windows of at most `width`; one empty window where there are none."""
    return [tokens[at : at + width] for at in range(0, len(tokens), width)] or [tokens]


def layer_norm(x: Floats, gain: Floats, bias: Floats, eps: float) -> Floats:
    """Rows with mean 0 and variance 1, scaled and moved."""
    centred = x - x.mean(axis=-1, keepdims=True)
    variance = np.mean(np.square(centred), axis=-1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + np.float32(eps)) * gain + bias, np.float32)
