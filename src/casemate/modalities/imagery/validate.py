"""How good the weights are while they train: AP50 on images held out of the run, in PyTorch.

Rules. The held-out images are chosen by a digest of their names, so the same plan always holds out the same ones. This
figure steers a run (early stop, best weights) and is reported as such; what a model is worth is said by an evaluation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from casemate.modalities.imagery.boxes import ImageryDataset, LabelledImage
from casemate.modalities.imagery.decode import Detections, decode
from casemate.modalities.imagery.infer import GREY, MULTIPLE_PX
from casemate.modalities.imagery.matching import Case, match
from casemate.modalities.imagery.metrics import average_precision, mean_over_classes
from casemate.modalities.imagery.network import Detector
from casemate.modalities.imagery.sample import Read

_MOST = 300
_SCORE_MIN = 0.02


def divide(dataset: ImageryDataset, share: float) -> tuple[ImageryDataset, ImageryDataset]:
    """The part that is taught and the part held out; a set of few images keeps at least one in each."""
    wanted = round(len(dataset.images) * share)
    if share > 0 and len(dataset.images) > 1:
        wanted = min(max(wanted, 1), len(dataset.images) - 1)
    order = sorted(dataset.images, key=lambda image: sha256(image.path.encode()).digest())
    held = {image.path for image in order[:wanted]}
    taught = tuple(image for image in dataset.images if image.path not in held)
    kept = tuple(image for image in dataset.images if image.path in held)
    return replace(dataset, images=taught), replace(dataset, images=kept)


def average_precision_50(
    detector: Detector, config: Mapping[str, Any], datasets: Sequence[ImageryDataset], read: Read
) -> float:
    """Mean over the labels of AP50 over all images of the data sets; NaN where there is no box."""
    figures = []
    names = [node["name"] for node in config["taxonomy"]["nodes"]]
    for dataset in datasets:
        found = [detect(detector, config, read(dataset, i, None)) for i in range(len(dataset.images))]
        for label in dataset.labels:
            column = names.index(label)
            pairs = zip(dataset.images, found, strict=True)
            matches = match([_case(image, seen, label, column) for image, seen in pairs], most_per_image=_MOST)
            figures.append(average_precision(matches, np.ones((1, len(found))), most=_MOST))
    return float(mean_over_classes(figures)[0]) if figures else float("nan")


@torch.inference_mode()
def detect(detector: Detector, config: Mapping[str, Any], image_HWC: NDArray[np.uint8]) -> Detections:
    """What a network sees in one image, at the model's scale; boxes in the image's pixels."""
    from PIL import Image

    scale = float(config["input"]["scale"])
    height, width = (max(1, round(side * scale)) for side in image_HWC.shape[:2])
    seen = np.asarray(Image.fromarray(image_HWC).resize((width, height), Image.Resampling.BILINEAR))
    down, right = -height % MULTIPLE_PX, -width % MULTIPLE_PX
    seen = np.pad(seen, ((0, down), (0, right), (0, 0)), constant_values=GREY)
    device = next(detector.parameters()).device
    image_NCHW = torch.from_numpy(seen.transpose(2, 0, 1)[None].copy()).to(device)
    outputs = [answer.float().cpu().numpy() for answer in detector(image_NCHW)]
    found = decode(outputs, config, score_min=_SCORE_MIN)[0]
    limits = np.array([image_HWC.shape[1], image_HWC.shape[0]] * 2, np.float32)
    return Detections(np.clip(found.boxes_xyxy_px / np.float32(scale), 0, limits), found.scores)


def _case(image: LabelledImage, seen: Detections, label: str, column: int) -> Case:
    truth = [box for box in image.boxes if box.label == label]
    edges = np.array([box.xyxy for box in truth], np.float64).reshape(-1, 4)
    areas = np.array([box.area for box in truth], np.float64)
    unsure = np.array([box.difficult for box in truth], bool)
    scores = seen.scores[:, column].astype(np.float64)
    return Case(edges, areas, unsure, seen.boxes_xyxy_px.astype(np.float64), scores, np.ones(len(seen), bool))
