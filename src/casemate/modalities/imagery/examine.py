"""A detector let loose on a labelled set: every image as it is, and some of them made worse.

Rules. Images are read in windows and looked at one at a time, so that memory is that of one window and of what was
found. At most a fixed number of detections an image is kept, the best. What is made worse is drawn by a seed, within a
budget of pixels, and of a large image only the part with most boxes: its own unchanged view is the reference.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import ImageryDataset, LabelledImage
from casemate.modalities.imagery.decode import Detections
from casemate.modalities.imagery.infer import OVERLAP_PX, WINDOW_PX, Detector, detect_image, detect_windows
from casemate.modalities.imagery.matching import Floats
from casemate.modalities.imagery.pixels import open_scene, read_window, stretch_facts
from casemate.modalities.imagery.robustness import RGB_HWC, Change, Changed, crop
from casemate.modalities.imagery.truth import Judged, judged
from casemate.modalities.imagery.windows import grid

VIEW_PX = 2048
UNCHANGED = "unchanged"

Tell = Callable[[], None]


@dataclass(frozen=True)
class Examiner:
    """What looks, how low a score it notes, and how many detections of an image it keeps."""

    detector: Detector
    dataset: ImageryDataset
    score_min: float
    most_per_image: int

    def look(self, *, tell: Tell) -> list[Judged]:
        """Every image of the set beside what was detected in it."""
        found = []
        for image in self.dataset.images:
            found.append(self._look_at(image))
            tell()
        return found

    def _look_at(self, image: LabelledImage) -> Judged:
        with open_scene(self.dataset.path_of(image)) as raster:
            if (raster.width, raster.height) != (image.width, image.height):
                expected = f"{image.width} × {image.height} px, as its labels say"
                raise BadInput(image.path, expected=expected, found=f"{raster.width} × {raster.height} px")
            stretch = stretch_facts(raster)
            detections = detect_windows(
                self.detector,
                lambda *window: read_window(raster, window, stretch=stretch),
                grid(image.width, image.height, window_px=WINDOW_PX, overlap_px=OVERLAP_PX),
                score_min=self.score_min,
            )
        return self._judged(image, detections)

    def _judged(self, image: LabelledImage, detections: Detections) -> Judged:
        best = slice(0, self.most_per_image)
        taxonomy = self.detector.taxonomy
        return judged(image, taxonomy, detections.boxes_xyxy_px[best], detections.scores[best])

    def look_worse(
        self, chosen: Sequence[LabelledImage], changes: Sequence[Change], *, seed: int, tell: Tell
    ) -> dict[str, list[Judged]]:
        """The chosen images after each change, and unchanged; lists in the order of `chosen`."""
        found: dict[str, list[Judged]] = {name: [] for name in (UNCHANGED, *(change.name for change in changes))}
        for index, image in enumerate(chosen):
            view = self._view(image)
            found[UNCHANGED].append(self._look_at_view(image, view))
            for number, change in enumerate(changes):
                rng = np.random.default_rng((seed, index, number))
                changed = change.make(view.image, view.boxes_xyxy_px, rng)
                unsure = Changed(changed.image, changed.boxes_xyxy_px, changed.unsure | view.unsure)
                found[change.name].append(self._look_at_view(image, unsure))
            tell()
        return found

    def _view(self, image: LabelledImage) -> Changed:
        window = view_window(image)
        with open_scene(self.dataset.path_of(image)) as raster:
            pixels = read_window(raster, window, stretch=stretch_facts(raster))
        left_top = np.array([window[0], window[1]] * 2)
        return crop(pixels, image.boxes_xyxy_px - left_top, (0, 0, pixels.shape[1], pixels.shape[0]))

    def _look_at_view(self, image: LabelledImage, view: Changed) -> Judged:
        detections = detect_image(self.detector, _at_least_one_pixel(view.image), score_min=self.score_min)
        height, width = view.image.shape[:2]
        whole = self._judged(image, detections)
        return replace(
            whole,
            width=width,
            height=height,
            truth_xyxy_px=view.boxes_xyxy_px,
            difficult=whole.difficult | view.unsure,
        )


def _at_least_one_pixel(image_HWC: RGB_HWC) -> RGB_HWC:
    return image_HWC if image_HWC.size else np.zeros((1, 1, 3), dtype=np.uint8)


def view_window(image: LabelledImage) -> tuple[int, int, int, int]:
    """The part of an image that is made worse: all of it, or a square round the middle of its boxes."""
    boxes: Floats = image.boxes_xyxy_px
    x, y = np.median((boxes[:, :2] + boxes[:, 2:]) / 2, axis=0) if len(boxes) else (image.width / 2, image.height / 2)
    left = int(np.clip(x - VIEW_PX / 2, 0, max(0, image.width - VIEW_PX)))
    top = int(np.clip(y - VIEW_PX / 2, 0, max(0, image.height - VIEW_PX)))
    return left, top, min(image.width, left + VIEW_PX), min(image.height, top + VIEW_PX)


def draw_images(images: Sequence[LabelledImage], *, budget_px: float, seed: int) -> list[LabelledImage]:
    """Images with boxes, drawn by the seed until their views fill the budget, in their own order; at least one."""
    labelled = [image for image in images if image.boxes]
    order = np.random.default_rng(seed).permutation(len(labelled))
    windows = [view_window(labelled[i]) for i in order]
    spent = np.cumsum([(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in windows])
    enough = max(1, int(np.searchsorted(spent, budget_px, side="right")))
    return [labelled[i] for i in sorted(order[:enough].tolist())]
