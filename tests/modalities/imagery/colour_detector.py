"""A detector that needs no training: an ONNX graph that answers to coloured squares of 16 px, and sets of such squares.

Red is an airplane, green a helicopter, blue a car. The stronger the colour, the surer the answer. Centres must lie on
the centres of cells (2 more than a multiple of 4), else two cells answer alike. `write_colours` makes images with their
labels: squares of any strength, and clutter, which is faint colour that is no object.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage
from casemate.modalities.imagery.canonical import save_labels
from casemate.modalities.imagery.taxonomy import Taxonomy

SIDE_PX = 16
COLOURS = {"airplane": (1.0, 0.0, 0.0), "helicopter": (0.0, 1.0, 0.0), "car": (0.0, 0.0, 1.0)}
TAXONOMY = Taxonomy.shipped().restricted(COLOURS)
_PURE = np.array([[1, -0.5, -0.5], [-0.5, 1, -0.5], [-0.5, -0.5, 1]], dtype=np.float32)


def colour_detector(folder: Path, *, sharpness: float = 12.0, taxonomy: Taxonomy = TAXONOMY) -> Path:
    """Write the detector; `sharpness` is how fast its score rises with colour: honest about nothing."""
    folder.mkdir(parents=True)
    config = {
        "format": "casemate-detector/1",
        "architecture": {},
        "taxonomy": taxonomy.to_json(),
        "strides": [4],
        "input": {"scale": 1.0},
        "calibration": {},
        "training": {},
    }
    (folder / "model.json").write_text(json.dumps(config))
    onnx.save(_graph(sharpness), folder / "model.onnx")
    return folder


def _graph(sharpness: float) -> onnx.ModelProto:
    """Mean colour of the square round each cell's centre; logits are linear in it."""
    window = np.zeros((3, 3, SIDE_PX, SIDE_PX), dtype=np.float32)
    window[:] = (_PURE / (255.0 * SIDE_PX**2))[:, :, None, None]
    nodes = list(TAXONOMY.names)
    weight, bias = np.zeros((len(nodes), 3, 1, 1), np.float32), np.zeros(len(nodes), np.float32)
    aims = {"object": (1, 1, 1), "aircraft": (1, 1, -2), "airplane": (2, -2, 0), "helicopter": (-2, 2, 0),
            "vehicle": (-2, -2, 2), "car": (0, 0, 2)}  # fmt: skip
    for name, aim in aims.items():
        weight[nodes.index(name), :, 0, 0] = np.array(aim) * sharpness
    bias[nodes.index("object")] = -0.35 * sharpness
    flat = np.zeros((4, len(nodes), 1, 1), np.float32)
    constants = {
        "window": window,
        "weight": weight,
        "bias": bias,
        "flat": flat,
        "reach": np.full(4, np.log(SIDE_PX / 2 / 4), np.float32),
    }
    steps = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "window"], ["mean"], strides=[4, 4], pads=[6, 6, 6, 6]),
        helper.make_node("Relu", ["mean"], ["colour"]),
        helper.make_node("Conv", ["colour", "weight", "bias"], ["logits"]),
        helper.make_node("Conv", ["logits", "flat", "reach"], ["distances"]),
    ]
    graph = helper.make_graph(
        steps,
        "colours",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["b", 3, "h", "w"])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, None),
            helper.make_tensor_value_info("distances", TensorProto.FLOAT, None),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def write_colours(
    folder: Path,
    *,
    images: int = 10,
    seed: int = 0,
    labels: tuple[str, ...] = ("airplane", "helicopter", "car"),
    exhaustive: tuple[str, ...] | None = None,
    difficult: float = 0.0,
    clutter: int = 3,
    side_px: int = 160,
    gsd_m: float | None = None,
    taxonomy: Taxonomy = TAXONOMY,
) -> ImageryDataset:
    """A set of images with 4 squares each, of which `labels` are labelled, and clutter that never is."""
    (folder / "images").mkdir(parents=True)
    chance = np.random.default_rng(seed)
    found = []
    for number in range(images):
        places = chance.permutation(25)[: 4 + clutter]
        picture = chance.normal(110, 4, (side_px, side_px, 3))
        boxes = []
        for place, corner in enumerate(places):
            x, y = 10 + 28 * int(corner % 5), 10 + 28 * int(corner // 5)
            label = list(COLOURS)[int(chance.integers(3))]
            strength = chance.uniform(0.35, 1.0) if place < 4 else chance.uniform(0.25, 0.6)
            colour = 110 * (1 - strength) + 255 * strength * np.array(COLOURS[label])
            picture[y : y + SIDE_PX, x : x + SIDE_PX] = colour
            if place < 4 and label in labels:
                box = Box(x, y, x + SIDE_PX, y + SIDE_PX, label, bool(chance.random() < difficult))
                boxes.append(box)
        path = f"images/{number:03}.png"
        Image.fromarray(np.clip(picture, 0, 255).astype(np.uint8)).save(folder / path)
        found.append(LabelledImage(path, side_px, side_px, tuple(boxes), gsd_m))
    throughout = frozenset(labels if exhaustive is None else exhaustive)
    dataset = ImageryDataset(folder, tuple(found), taxonomy, throughout, "coloured squares")
    save_labels(dataset, folder)
    return dataset
