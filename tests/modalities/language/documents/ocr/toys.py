"""Networks of a few steps in place of PP-OCR's: what is dark is print, upright, and reads as one A a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image, ImageDraw


def folder(into: Path, *, signs: str = "A\nB") -> Path:
    """A folder with the three networks."""
    into.mkdir(exist_ok=True)
    _save(into / "toy_det_a.onnx", _dark([1]), [1, 1, "h", "w"])
    _save(into / "toy_cls_a.onnx", [
        *_dark([1, 2, 3]), helper.make_node("Mul", ["y", "none"], ["a"]),
        helper.make_node("Add", ["a", "one"], ["b"]),
        helper.make_node("Concat", ["b", "a"], ["c"], axis=1), helper.make_node("Squeeze", ["c", "last"], ["z"]),
    ], [1, 2])  # fmt: skip
    _save(into / "toy_rec_a.onnx", [
        *_dark([1, 2], "ReduceMin"),
        helper.make_node("AveragePool", ["y"], ["p"], kernel_shape=[1, 8], strides=[1, 8]),
        helper.make_node("Sub", ["one", "p"], ["q"]), helper.make_node("Mul", ["p", "none"], ["n"]),
        helper.make_node("Concat", ["q", "p", "n", "n"], ["c"], axis=1),
        helper.make_node("Squeeze", ["c", "second"], ["s"]),
        helper.make_node("Transpose", ["s"], ["z"], perm=[0, 2, 1]),
    ], [1, "t", 4], character=signs)  # fmt: skip
    return into


def page(*bars: tuple[int, int, int, int], size: tuple[int, int] = (900, 1000)) -> Image.Image:
    """A page with bars of ink where lines would be: left, top, right, bottom."""
    sheet = Image.new("RGB", size, "white")
    for bar in bars:
        ImageDraw.Draw(sheet).rectangle(bar, fill="black")
    return sheet


def _dark(axes: list[int], over: str = "ReduceMean") -> list[onnx.NodeProto]:
    return [
        helper.make_node(over, ["x"], ["m"], axes=axes, keepdims=1),
        helper.make_node("Mul", ["m", "half"], ["h"]),
        helper.make_node("Sub", ["middle", "h"], ["y"]),
    ]  # fmt: skip


def _save(path: Path, nodes: list[onnx.NodeProto], shape: list[int | str], **carried: str) -> None:
    last = "y" if all("z" not in node.output for node in nodes) else "z"
    numbers = {"half": 0.5, "middle": 0.5, "one": 1.0, "none": 0.0}
    known = [numpy_helper.from_array(np.float32(value), name) for name, value in numbers.items()]
    known += [numpy_helper.from_array(np.array([2, 3]), "last"), numpy_helper.from_array(np.array([2]), "second")]
    graph = helper.make_graph(
        nodes, "toy", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(last, TensorProto.FLOAT, shape)], known,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    helper.set_model_props(model, carried)
    onnx.save(model, path)
