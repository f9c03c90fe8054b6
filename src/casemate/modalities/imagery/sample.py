"""What the network sees at each step: a pure function of (data, settings, seed, step, place in the batch).

Rules. No state: the crop at (step, place) is drawn by a generator seeded with exactly these, so that a run that was
killed goes on with the crops it would have seen. Sources are balanced first (by the root of their number of boxes, or
by given weights), then classes inside a source, then small boxes before large ones. A share of the crops is taken
anywhere, so that the empty ground is seen as often as it deserves.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.imagery import augment
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.taxonomy import Taxonomy

Window = tuple[int, int, int, int]
Read = Callable[[ImageryDataset, int, Window | None], NDArray[np.uint8]]
"""Pixels of a data set's n-th image, or of a window of it: uint8 RGB, height x width x 3."""

WHOLE_PX = 16_000_000
"""Images up to this size are read whole and kept; of larger ones only the windows that are needed are read."""


@dataclass(frozen=True)
class Setting:
    """How crops are drawn; every field is in the plan."""

    crop_px: int = 320
    scale_min: float = 0.6
    scale_max: float = 2.0
    anywhere: float = 0.25
    weather: float = 1.0
    source_weights: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """One crop with what is true in it; `source` is the data set's place in the sampler."""

    crop_HWC: NDArray[np.uint8]  # noqa: N815
    boxes_xyxy_px: NDArray[np.float32]
    nodes: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    source: int


@dataclass(frozen=True)
class _Source:
    dataset: ImageryDataset
    boxes: tuple[NDArray[np.float32], ...]
    nodes: tuple[NDArray[np.int64], ...]
    difficult: tuple[NDArray[np.bool_], ...]
    image_of: NDArray[np.int64]  # of each teachable box of the set: its image,
    place_of: NDArray[np.int64]  # its place there,
    share_of: NDArray[np.float64]  # and how often it is picked


def pixels_reader() -> Read:
    """Read images through `pixels`, each scene stretched once and always alike."""
    from casemate.modalities.imagery import pixels

    @lru_cache(maxsize=4096)
    def stretch(path: str) -> pixels.StretchFacts:
        return pixels.stretch_facts(path)

    def read(dataset: ImageryDataset, image: int, window: Window | None) -> NDArray[np.uint8]:
        path = str(dataset.path_of(dataset.images[image]))
        return pixels.read_window(path, window, stretch=stretch(path))

    return read


class Sampler:
    """Draws crops from several data sets; pixels of recent images are kept, up to a number of bytes."""

    def __init__(
        self,
        datasets: Mapping[str, ImageryDataset],
        taxonomy: Taxonomy,
        setting: Setting,
        read: Read,
        *,
        keep_bytes: int = 1 << 30,
    ) -> None:
        self._sources = [_source(name, dataset, taxonomy) for name, dataset in datasets.items()]
        self._setting, self._read, self._keep_bytes = setting, read, keep_bytes
        self._kept: OrderedDict[tuple[int, int], NDArray[np.uint8]] = OrderedDict()
        self._kept_bytes = 0
        weights = [
            setting.source_weights.get(name, float(np.sqrt(len(source.image_of))))
            for name, source in zip(datasets, self._sources, strict=True)
        ]
        self._shares = np.array(weights) / sum(weights)

    def sample(self, seed: int, step: int, place: int) -> Sample:
        """The crop at this step and place in the batch."""
        rng = np.random.default_rng([seed, step, place])
        chosen = int(rng.choice(len(self._sources), p=self._shares))
        source = self._sources[chosen]
        image, box = self._aim(source, rng)
        facts = source.dataset.images[image]
        view = _view((facts.height, facts.width), box, self._setting, rng)
        if facts.width * facts.height > WHOLE_PX:
            window, moved = _window(view, facts.width, facts.height)
            crop = augment.cut(self._read(source.dataset, image, window), moved)
        else:
            crop = augment.cut(self._pixels(chosen, image), view)
        boxes, seen, cut_off = augment.boxes_in(view, source.boxes[image])
        crop, boxes = augment.symmetry(crop, boxes[seen], int(rng.integers(8)))
        crop = augment.weather(np.ascontiguousarray(crop), rng, self._setting.weather)
        difficult = (source.difficult[image] | cut_off)[seen]
        return Sample(crop, boxes.astype(np.float32), source.nodes[image][seen], difficult, chosen)

    def _aim(self, source: _Source, rng: np.random.Generator) -> tuple[int, NDArray[np.float32] | None]:
        if rng.random() < self._setting.anywhere:
            areas = np.array([image.width * image.height for image in source.dataset.images], np.float64)
            return int(rng.choice(len(areas), p=areas / areas.sum())), None
        picked = int(rng.choice(len(source.share_of), p=source.share_of))
        image = int(source.image_of[picked])
        return image, source.boxes[image][source.place_of[picked]]

    def _pixels(self, source: int, image: int) -> NDArray[np.uint8]:
        key = (source, image)
        if key in self._kept:
            self._kept.move_to_end(key)
            return self._kept[key]
        pixels = self._read(self._sources[source].dataset, image, None)
        self._kept[key] = pixels
        self._kept_bytes += pixels.nbytes
        while self._kept_bytes > self._keep_bytes and len(self._kept) > 1:
            self._kept_bytes -= self._kept.popitem(last=False)[1].nbytes
        return pixels


def _source(name: str, dataset: ImageryDataset, taxonomy: Taxonomy) -> _Source:
    boxes = tuple(image.boxes_xyxy_px for image in dataset.images)
    nodes = tuple(np.array([taxonomy.index(b.label) for b in image.boxes], np.int64) for image in dataset.images)
    difficult = tuple(np.array([b.difficult for b in image.boxes], bool) for image in dataset.images)
    pairs = [(i, j) for i, hard in enumerate(difficult) for j in range(len(hard)) if not hard[j]]
    if not pairs:
        raise BadInput(f"data set {name}", expected="at least one box that is not difficult", found="none")
    image_of, place_of = np.array(pairs, np.int64).T
    labels = np.concatenate(nodes)[~np.concatenate(difficult)]
    sizes = np.sqrt(np.concatenate([(b[:, 2:] - b[:, :2]).prod(1) for b in boxes])[~np.concatenate(difficult)])
    share = (np.bincount(labels)[labels] ** -0.5) * np.clip(32.0 / np.maximum(sizes, 1.0), 0.5, 2.0) ** 0.5
    return _Source(dataset, boxes, nodes, difficult, image_of, place_of, share / share.sum())


def _window(view: augment.View, width: int, height: int) -> tuple[Window, augment.View]:
    """The part of a large image that a view needs, and the view in that part's pixels."""
    x0, y0 = max(0, int(view.x0)), max(0, int(view.y0))
    x1 = min(width, int(np.ceil(view.x0 + view.side_px)))
    y1 = min(height, int(np.ceil(view.y0 + view.side_px)))
    return (x0, y0, x1, y1), augment.View(view.x0 - x0, view.y0 - y0, view.side_px, view.crop_px)


def _view(
    size_HW: Sequence[int], box: NDArray[np.float32] | None, setting: Setting, rng: np.random.Generator
) -> augment.View:
    scale = float(np.exp(rng.uniform(np.log(setting.scale_min), np.log(setting.scale_max))))
    side = setting.crop_px / scale
    along, shift = rng.random(2), rng.uniform(-0.5, 0.5, 2)
    corner = []
    for axis, length in enumerate((size_HW[1], size_HW[0])):
        low, high = min(0.0, length - side), max(0.0, length - side)
        if box is None:
            corner.append(low + along[axis] * (high - low))
        else:
            middle, extent = (box[axis] + box[axis + 2]) / 2, box[axis + 2] - box[axis]
            start = middle - side / 2 + shift[axis] * max(side - extent, 0.0)
            corner.append(float(np.clip(start, low, high)))
    return augment.View(corner[0], corner[1], side, setting.crop_px)
