"""A detector whose answers are known: it finds bright squares of 12 pixels on a multiple of 4, and nothing else.

It is an ordinary model folder, run by the ordinary engine: a box filter of 12 pixels at stride 4, then a threshold.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from casemate.modalities.imagery.taxonomy import Taxonomy

SIDE_PX, STEP_PX = 12, 4
Picture = npt.NDArray[np.uint8]


def bright_model(folder: Path) -> Path:
    """Write the model folder and return it; it answers object, vehicle, car."""
    taxonomy = Taxonomy.shipped().restricted(["car"])
    folder.mkdir(parents=True)
    nodes = [
        helper.make_node("Cast", ["image"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["float", "grey"], ["light"], kernel_shape=[1, 1]),
        helper.make_node(
            "AveragePool",
            ["light"],
            ["mean"],
            kernel_shape=[12, 12],
            strides=[4, 4],
            pads=[4, 4, 4, 4],
            count_include_pad=1,
        ),
        helper.make_node("Conv", ["mean", "gain", "shift"], ["logits"], kernel_shape=[1, 1]),
        helper.make_node("Conv", ["mean", "no_gain", "half_side"], ["distances"], kernel_shape=[1, 1]),
    ]
    count = len(taxonomy.names)
    constants = {
        "grey": np.full((1, 3, 1, 1), 1 / 765),
        "gain": np.array([60.0] + [0.0] * (count - 1)).reshape(-1, 1, 1, 1),
        "shift": np.array([-48.0] + [3.0] * (count - 1)),
        "no_gain": np.zeros((4, 1, 1, 1)),
        "half_side": np.full(4, np.log(SIDE_PX / 2 / STEP_PX)),
    }
    graph = helper.make_graph(
        nodes,
        "bright squares",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", "c", "y", "x"])
            for name in ("logits", "distances")
        ],
        [numpy_helper.from_array(values.astype(np.float32), name) for name, values in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, folder / "model.onnx")
    config = {"format": "casemate-detector/1", "taxonomy": taxonomy.to_json(), "strides": [STEP_PX]}
    (folder / "model.json").write_text(json.dumps(config))
    return folder


def squares(
    width: int, height: int, *, seed: int, share: float = 0.15
) -> tuple[Picture, set[tuple[int, int, int, int]]]:
    """A dark picture with bright squares at random places that do not touch, and their boxes."""
    chance = np.random.default_rng(seed)
    picture = chance.integers(0, 40, (height, width, 3)).astype(np.uint8)
    boxes = set()
    for y in range(0, height - SIDE_PX + 1, 24):
        for x in range(0, width - SIDE_PX + 1, 24):
            if chance.random() < share:
                dx, dy = (STEP_PX * int(step) for step in chance.integers(0, 3, 2))
                x0, y0 = min(x + dx, (width - SIDE_PX) // 4 * 4), min(y + dy, (height - SIDE_PX) // 4 * 4)
                picture[y0 : y0 + SIDE_PX, x0 : x0 + SIDE_PX] = 250
                boxes.add((x0, y0, x0 + SIDE_PX, y0 + SIDE_PX))
    return picture, boxes
