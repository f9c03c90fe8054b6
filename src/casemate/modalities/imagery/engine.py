"""An open model that computes a bounded number of windows at a time, for whoever asks.

Rules. One session, shared by all threads: its weights are in memory once, and `at_once` bounds what it computes with.
The cores are shared out evenly; scoring, reading and writing go on beside the session on what it leaves.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.imagery import infer
from casemate.modalities.imagery.pixels import RGB_HWC
from casemate.modalities.imagery.scan import Found
from casemate.store.cores import cores


@dataclass(frozen=True)
class Engine:
    """An open model that computes `at_once` windows at a time, whoever asks."""

    detector: infer.Detector
    at_once: int
    score_min: float

    @classmethod
    def open(cls, model_dir: Path, *, workers: int, score_min: float) -> Engine:
        """The model of a folder; the cores are shared out evenly among the workers."""
        if workers < 1:
            raise BadInput("workers", expected="at least 1", found=workers)
        opened = infer.open_detector(model_dir, threads=max(1, cores() // workers))
        turns = _Turns(opened.session, threading.BoundedSemaphore(workers))
        return cls(replace(opened, session=turns), workers, score_min)

    def __call__(self, pixels_HWC: RGB_HWC) -> Found:
        """Boxes in pixels of the window and node scores."""
        found = infer.run_window(self.detector, pixels_HWC, score_min=self.score_min)
        return found.boxes_xyxy_px, found.scores


@dataclass(frozen=True)
class _Turns:
    """A session that runs so many at a time, so that reading and decoding go on beside it and memory stays bounded."""

    session: Any
    free: threading.BoundedSemaphore

    def get_inputs(self) -> Any:
        return self.session.get_inputs()

    def run(self, names: Any, feed: Any) -> Any:
        with self.free:
            return self.session.run(names, feed)
