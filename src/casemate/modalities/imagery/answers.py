"""From what the windows saw to what the scene holds: settled, decided and placed on the ground, one window at a time.

Rules. In the order of the windows, and in one window by falling score: the same spill gives the same answers. A view
that its neighbours outdo is not an answer, nor is one for which not even detection is supported. Memory is that of a
window and of the eight around it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.modalities.imagery.calibrate import Calibrated
from casemate.modalities.imagery.decide import Decision, decide, supported
from casemate.modalities.imagery.geojson import Feature, Ring
from casemate.modalities.imagery.georeference import Georeference
from casemate.modalities.imagery.seams import settled
from casemate.modalities.imagery.spill import Spill
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.modalities.imagery.windows import Grid


@dataclass(frozen=True)
class Answer:
    """One object of the scene: its box in pixels, its ring on the ground where known, and what is answered for it."""

    window: int
    box_xyxy_px: tuple[float, float, float, float]
    ring: Ring | None
    decision: Decision

    def feature(self, taxonomy: Taxonomy, repeated: dict[str, str]) -> Feature:
        """The answer as GeoJSON, with the facts that every feature repeats."""
        decision = self.decision
        properties: dict[str, Any] = {
            "label": decision.label,
            "level": decision.level,
            "score": _score(decision.score),
            "path": list(taxonomy.path(decision.label)),
            "scores": {level: _score(score) for level, score in decision.scores.items()},
            "candidates": dict(decision.candidates),
            "abstained": list(decision.abstained),
            "pixel_box": list(self.box_xyxy_px),
        }
        return Feature(self.ring, properties | repeated)


@dataclass(frozen=True)
class Reading:
    """What turns views into answers: taxonomy, calibration with thresholds, place on the ground and metres a pixel."""

    taxonomy: Taxonomy
    calibrated: Calibrated
    place: Georeference | None
    gsd_m: float | None


def answers(spill: Spill, grid: Grid, reading: Reading) -> Iterator[Answer]:
    """Every answer of a scene whose windows are all in the spill."""
    for index in range(len(grid)):
        yield from window_answers(index, spill, grid, reading)


def window_answers(index: int, spill: Spill, grid: Grid, reading: Reading) -> list[Answer]:
    """The answers of one window."""
    mine = spill.read(index).views
    if not len(mine):
        return []
    stand = settled(mine, [spill.read(other).views for other in grid.neighbours(index)])
    calibrated = reading.calibrated
    decided = decide(stand.scores, reading.taxonomy, calibrated.calibration, calibrated.thresholds, reading.gsd_m)
    chosen = np.flatnonzero(supported(decided))
    boxes = np.round(stand.boxes_xyxy_px[chosen], 2)
    rings = reading.place.rings(boxes) if reading.place else [None] * len(chosen)
    return [
        Answer(index, _edges(box), ring, decided[int(place)])
        for place, box, ring in zip(chosen, boxes, rings, strict=True)
    ]


def _edges(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x0, y0, x1, y1 = (round(float(edge), 2) for edge in box)
    return x0, y0, x1, y1


def _score(score: float | None) -> float | None:
    return None if score is None else round(score, 4)
