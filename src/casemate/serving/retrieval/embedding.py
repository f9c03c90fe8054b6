"""What a search asks of models: an embedder, and a reranker where there is one.

Rules. An embedder is named by the digest of its release, so that vectors of one are never compared with those of
another. Both are pure: the same texts give the same numbers, whatever was asked before.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


class Embedder(Protocol):
    """Texts as vectors; `name` is the digest that tells its vectors from another's."""

    @property
    def dim(self) -> int:
        """How many dimensions its vectors have."""

    @property
    def name(self) -> str:
        """What tells its vectors from another's."""

    def embed(self, texts: Sequence[str], *, query: bool) -> npt.NDArray[np.float32]:
        """Rows of unit length, one a text, float32 (n, dim)."""


class Reranker(Protocol):
    """A model that reads the query and a passage together."""

    def scores(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """How well each text answers the query, in [0, 1]."""
