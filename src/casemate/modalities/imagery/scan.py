"""Every window of a scene, read, looked at and spilled: all cores busy, a bounded number of windows in memory.

Rules. One thread reads ahead (a raster is one handle), as many look as the detector takes at a time and one more, which
decodes while they compute; this thread alone writes, in the order of the windows, so that the file is the same whatever
finished first. No more windows are in flight than are looked at, and two. Whatever stops it (an unreadable window, a
full disk, an interrupt, an exception from `progress`) leaves complete records, from which the next scan goes on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from casemate.errors import BadInput
from casemate.modalities.imagery.pixels import RGB_HWC, StretchFacts, read_window
from casemate.modalities.imagery.seams import views
from casemate.modalities.imagery.spill import Seen, Spill
from casemate.modalities.imagery.windows import Grid, Window
from casemate.store.cores import Progress

if TYPE_CHECKING:
    from rasterio.io import DatasetReader

Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class Detector(Protocol):
    """What looks at one window; called from several threads at once."""

    @property
    def at_once(self) -> int:
        """How many windows it computes at the same time."""
        ...

    def __call__(self, pixels_HWC: RGB_HWC) -> Found:
        """Boxes [N, 4] in pixels of the window (x0 y0 x1 y1), and a score for each node [N, nodes]."""
        ...


@dataclass(frozen=True)
class Scene:
    """An open raster with what is needed to look at it alike everywhere."""

    name: str
    raster: DatasetReader
    grid: Grid
    stretch: StretchFacts
    reduce_by: int

    def read(self, window: Window) -> RGB_HWC:
        """The window's pixels; BadInput names the scene and the window that cannot be read."""
        try:
            return read_window(self.raster, window.bounds_px, stretch=self.stretch)
        except BadInput as why:
            raise BadInput(f"{self.name}, {window}", expected=why.expected, found=why.found) from why


def scan(scene: Scene, detector: Detector, spill: Spill, *, progress: Progress | None = None) -> None:
    """Look at every window that the spill has not yet, and add it there."""
    tell = progress or (lambda _done, _total, _unit: None)
    total = len(scene.grid)
    tell(len(spill), total, "windows")
    for seen in _seen(scene, detector, start=len(spill)):
        spill.append(seen)
        tell(len(spill), total, "windows")


def _seen(scene: Scene, detector: Detector, *, start: int) -> Iterator[Seen]:
    """What each window saw, in order, a few windows ahead of whoever takes them."""
    in_flight: deque[Future[Seen]] = deque()
    with _threads(1) as reading, _threads(detector.at_once + 1) as looking:
        for index in range(start, len(scene.grid)):
            window = scene.grid[index]
            pixels = reading.submit(scene.read, window)
            in_flight.append(looking.submit(_look, scene, window, pixels, detector))
            if len(in_flight) >= detector.at_once + 2:
                yield in_flight.popleft().result()
        while in_flight:
            yield in_flight.popleft().result()


def _look(scene: Scene, window: Window, pixels: Future[RGB_HWC], detector: Detector) -> Seen:
    pixels_HWC = pixels.result()
    boxes, scores = detector(pixels_HWC)
    return Seen(views(window, scene.grid, boxes, scores), _reduced(pixels_HWC, window, scene.reduce_by))


def _reduced(pixels_HWC: RGB_HWC, window: Window, factor: int) -> RGB_HWC:
    """The window's core reduced by averaging squares of `factor` pixels, counted from the scene's upper left."""
    x0, y0, x1, y1 = window.bounds_px
    left, top, right, bottom = (-(-edge // factor) * factor for edge in window.core_px)
    box = (max(left - x0, 0), max(top - y0, 0), min(right, x1) - x0, min(bottom, y1) - y0)
    if box[0] >= box[2] or box[1] >= box[3]:
        return np.zeros((0, 0, 3), np.uint8)
    return np.asarray(Image.fromarray(pixels_HWC).reduce(factor, box=box))


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool of threads that drops what has not begun when it is left."""
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
