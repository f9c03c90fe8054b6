"""The detector as an ONNX graph, written node by node.

Rules. The network has six kinds of layers, so the graph is written by hand and not traced: every norm is folded into
its convolution, nothing is left for an engine to simplify, and the same weights give the same bytes. Batch, height
and width are free; the input is uint8 RGB and normalisation is the first node. What is written here is checked
against PyTorch by `export`, which refuses a graph that answers differently.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from casemate.modalities.imagery.network import (
    MEAN,
    SPREAD,
    Detector,
    FrozenNormConv,
    InvertedResidual,
    NormConv,
    Residual,
)

OPSET = 18
IR_VERSION = 9
INPUT, LOGITS, DISTANCES = "image", "logits", "distances"


@dataclass
class _Pen:
    """Nodes and constants written so far; each method adds one operator and returns the name of its result."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def op(self, kind: str, *inputs: str, output: str = "", **attributes: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], name=name, **attributes))
        return name

    def constant(self, name: str, values: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def conv(self, x: str, name: str, conv: "_Folded") -> str:
        weight = self.constant(f"{name}.weight", conv.weight)
        bias = self.constant(f"{name}.bias", conv.bias)
        before, after = conv.pads
        attributes = {"strides": [conv.stride] * 2, "pads": [before, before, after, after], "group": conv.groups}
        return self.op("Conv", x, weight, bias, output=name, kernel_shape=list(conv.weight.shape[2:]), **attributes)


@dataclass(frozen=True)
class _Folded:
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    stride: int
    groups: int
    pads: tuple[int, int]


def model(network: Detector, *, producer: str = "casemate") -> onnx.ModelProto:
    """The graph of a network with its present weights, checked by ONNX's own checker."""
    pen = _Pen()
    pen.constant("zero", np.array(0.0, np.float32))
    pen.constant("six", np.array(6.0, np.float32))
    x = pen.op("Cast", INPUT, to=TensorProto.FLOAT)
    x = pen.op("Sub", x, pen.constant("mean", np.array(MEAN, np.float32)))
    x = pen.op("Mul", x, pen.constant("gain", np.array(1 / SPREAD, np.float32)))
    features = _backbone(pen, x, network)
    _answers(pen, _trunk(pen, features, network), network)
    image = helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", 3, "height", "width"])
    nodes = int(network.node_logits.out_channels) // 4
    answers = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, "rows", "columns"])
        for name, channels in ((LOGITS, nodes), (DISTANCES, 4))
    ]
    graph = helper.make_graph(pen.nodes, "casemate-detector", [image], answers, initializer=pen.constants)
    opset = helper.make_opsetid("", OPSET)
    whole = helper.make_model(graph, opset_imports=[opset], producer_name=producer, ir_version=IR_VERSION)
    onnx.checker.check_model(whole, full_check=True)
    return whole


def _backbone(pen: _Pen, x: str, network: Detector) -> list[str]:
    backbone, features = network.backbone, []
    x = pen.op("Clip", pen.conv(x, "stem", _frozen(backbone.stem)), "zero", "six")
    for index, stage in enumerate(backbone.stages):
        assert isinstance(stage, nn.Sequential)  # noqa: S101  # for mypy: a ModuleList forgets what it holds
        for number, block in enumerate(stage):
            x = _inverted_residual(pen, x, f"stage{index}.{number}", block)
        if index in backbone.taps:
            features.append(x)
    return features


def _inverted_residual(pen: _Pen, x: str, name: str, block: nn.Module) -> str:
    assert isinstance(block, InvertedResidual)  # noqa: S101
    y = x
    if isinstance(block.expand, FrozenNormConv):
        y = pen.op("Clip", pen.conv(y, f"{name}.expand", _frozen(block.expand)), "zero", "six")
    y = pen.op("Clip", pen.conv(y, f"{name}.depthwise", _frozen(block.depthwise)), "zero", "six")
    y = pen.conv(y, f"{name}.project", _frozen(block.project))
    return pen.op("Add", x, y) if block.shortcut else y


def _trunk(pen: _Pen, features: list[str], network: Detector) -> str:
    fine, middle, coarse = features
    x = pen.conv(fine, "from_fine", _norm(network.from_fine))
    x = pen.op("Add", x, pen.conv(middle, "from_middle", _norm(network.from_middle)))
    up = pen.conv(coarse, "from_coarse", _norm(network.from_coarse))
    doubled = pen.constant("doubled", np.array([1, 1, 2, 2], np.float32))
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    x = pen.op("Relu", pen.op("Add", x, pen.op("Resize", up, "", doubled, **nearest)))
    for index, block in enumerate(network.trunk):
        assert isinstance(block, Residual)  # noqa: S101
        first, second = (part for part in block.body if isinstance(part, NormConv))
        y = pen.op("Relu", pen.conv(x, f"trunk{index}.first", _norm(first)))
        x = pen.op("Relu", pen.op("Add", x, pen.conv(y, f"trunk{index}.second", _norm(second))))
    return x


def _answers(pen: _Pen, x: str, network: Detector) -> None:
    branches = (
        (LOGITS, network.node_tower, network.node_logits),
        (DISTANCES, network.box_tower, network.box_logs),
    )
    for output, tower, last in branches:
        y = pen.op("Relu", pen.conv(x, f"{output}.tower", _norm(tower)))
        y = pen.conv(y, f"{output}.last", _plain(last))
        pen.op("DepthToSpace", y, output=output, blocksize=2, mode="CRD")


@torch.no_grad()
def _frozen(conv: FrozenNormConv) -> _Folded:
    weight = conv.weight * conv.scale[:, None, None, None]
    return _Folded(_array(weight), _array(conv.bias), conv.stride, conv.groups, conv.pads)


@torch.no_grad()
def _norm(layer: NormConv) -> _Folded:
    conv, norm = layer[0], layer[1]
    assert isinstance(conv, nn.Conv2d)  # noqa: S101
    assert isinstance(norm, nn.BatchNorm2d)  # noqa: S101
    assert norm.running_var is not None  # noqa: S101
    assert norm.running_mean is not None  # noqa: S101
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    weight, bias = conv.weight * gain[:, None, None, None], norm.bias - norm.running_mean * gain
    pad = int(conv.padding[0])
    return _Folded(_array(weight), _array(bias), int(conv.stride[0]), 1, (pad, pad))


@torch.no_grad()
def _plain(conv: nn.Conv2d) -> _Folded:
    assert conv.bias is not None  # noqa: S101
    return _Folded(_array(conv.weight), _array(conv.bias), 1, 1, (0, 0))


def _array(tensor: torch.Tensor) -> NDArray[np.float32]:
    return tensor.detach().float().cpu().contiguous().numpy()
