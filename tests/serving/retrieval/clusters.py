"""Vectors in clusters, and brute force over them as they are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from casemate.serving.retrieval.sketches import cosines, query_whole, unit_rows, whole
from casemate.serving.retrieval.vectors import Vectors

Rows = npt.NDArray[np.float32]


def clustered(count: int, dim: int, seed: int, *, clusters: int = 20, noise: float = 0.6) -> Rows:
    """Rows around few centres, which depend on `dim` alone."""
    centres = np.random.default_rng(dim).standard_normal((clusters, dim))
    chance = np.random.default_rng(seed)
    rows = centres[chance.integers(0, clusters, count)] + noise * chance.standard_normal((count, dim))
    return rows.astype(np.float32)


def named(count: int, prefix: str = "k") -> list[str]:
    return [f"{prefix}{number:06}" for number in range(count)]


def brute_force(keys: list[str], rows: Rows, query: Rows, k: int) -> list[tuple[str, float]]:
    """The answer by looking at every row, one by one."""
    if not keys:
        return []
    kept, asked = whole(unit_rows(rows, "rows")), query_whole(unit_rows(query[None], "query")[0])
    scores = [float(cosines(kept[place : place + 1], asked)[0]) for place in range(len(keys))]
    return sorted(zip(keys, scores, strict=True), key=lambda one: (-one[1], one[0]))[:k]


def built(folder: Path, keys: list[str], rows: Rows) -> Vectors:
    return Vectors.build(folder, keys, rows)
