"""A model folder's engines' files: `model.onnx` (fp32) and `model-int8.onnx`, each checked against PyTorch.

Rules. An export that answers differently from the network it came from is not written: scores and boxes are compared on
images of several sizes and the worst difference has a limit. int8 is static (QDQ), calibrated on given images; its
difference is measured on those images and returned, and only a broken one is refused. On processors without int8
instructions it is smaller, not faster.
"""

import json
import logging
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput, RunFailed
from casemate.modalities.imagery import graph, network
from casemate.modalities.imagery.decode import Floats, node_scores, parents_of
from casemate.modalities.imagery.weights import load_network
from casemate.store.whole import write_whole

ONNX, ONNX_INT8 = "model.onnx", "model-int8.onnx"
FP32_TOLERANCE = 1e-3
INT8_TOLERANCE = 0.25
_PARITY_SIZES_HW = ((64, 64), (96, 160), (256, 192))

Images = Sequence[NDArray[np.uint8]]


@dataclass(frozen=True)
class Parity:
    """How far two sets of answers are apart: node scores (probabilities) and box edges (in cells, where scored)."""

    score_max: float
    score_mean: float
    edge_cells_max: float


def export_onnx(model_dir: Path, images: Images = ()) -> Parity:
    """Write `model.onnx` from `model.safetensors`; RunFailed if it does not answer as PyTorch does."""
    detector, config = load_network(model_dir)
    data = graph.model(detector).SerializeToString()
    session = _session(data)
    worst = Parity(0.0, 0.0, 0.0)
    for image_NCHW in [*_noise(), *_batched(images)]:
        ours, theirs = _torch_answers(detector, image_NCHW), session.run(None, {graph.INPUT: image_NCHW})
        worst = _worse(worst, parity(ours, theirs, config))
    if worst.score_max > FP32_TOLERANCE or worst.edge_cells_max > 10 * FP32_TOLERANCE:
        raise RunFailed(ONNX, expected=f"PyTorch's answers within {FP32_TOLERANCE:g}", found=worst)
    write_whole(model_dir / ONNX, data)
    return worst


def quantize(model_dir: Path, images: Images) -> Parity:
    """Write `model-int8.onnx` from `model.onnx`, calibrated on uint8 RGB images [H, W, 3]; how far scores moved."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    if not images:
        raise BadInput("calibration images", expected="at least one", found="none")
    config = json.loads((model_dir / "model.json").read_bytes())
    batches = _batched(images)
    with tempfile.TemporaryDirectory(dir=model_dir) as folder, _quiet():
        path = Path(folder) / ONNX_INT8
        quantize_static(
            str(model_dir / ONNX),
            str(path),
            _Feed(batches),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=[f"{graph.LOGITS}.last", f"{graph.DISTANCES}.last"],
        )
        data = path.read_bytes()
    fp32, int8 = _session((model_dir / ONNX).read_bytes()), _session(data)
    worst = Parity(0.0, 0.0, 0.0)
    for image_NCHW in batches:
        feed = {graph.INPUT: image_NCHW}
        worst = _worse(worst, parity(fp32.run(None, feed), int8.run(None, feed), config))
    if worst.score_mean > INT8_TOLERANCE:
        raise RunFailed(ONNX_INT8, expected=f"a mean score difference within {INT8_TOLERANCE:g}", found=worst)
    write_whole(model_dir / ONNX_INT8, data)
    return worst


def parity(ours: Sequence[Floats], theirs: Sequence[Floats], config: Mapping[str, Any]) -> Parity:
    """Compare raw answers of two engines on the same input; edges only where either sees something."""
    parents = parents_of(config)
    scores = [node_scores(np.moveaxis(o[0], 1, -1).reshape(-1, len(parents)), parents) for o in (ours, theirs)]
    edges = [np.exp(np.moveaxis(np.minimum(o[1], 6.0), 1, -1).reshape(-1, 4)) for o in (ours, theirs)]
    seen = np.maximum(scores[0][:, 0], scores[1][:, 0]) > 0.1
    apart = np.abs(scores[0] - scores[1])
    moved = np.abs(edges[0] - edges[1])[seen]
    busy = apart[seen] if seen.any() else apart
    return Parity(float(apart.max()), float(busy.mean()), float(moved.max(initial=0.0)))


def _worse(a: Parity, b: Parity) -> Parity:
    return Parity(
        max(a.score_max, b.score_max), max(a.score_mean, b.score_mean), max(a.edge_cells_max, b.edge_cells_max)
    )


class _Feed:
    """Calibration images as onnxruntime asks for them: one at a time, then None."""

    def __init__(self, batches: Sequence[NDArray[np.uint8]]) -> None:
        self._left = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._left, None)
        return None if batch is None else {graph.INPUT: batch}

    def __iter__(self) -> Iterator[dict[str, NDArray[np.uint8]]]:
        while (feed := self.get_next()) is not None:
            yield feed

    def __next__(self) -> dict[str, NDArray[np.uint8]]:
        feed = self.get_next()
        if feed is None:
            raise StopIteration
        return feed


def _torch_answers(detector: network.Detector, image_NCHW: NDArray[np.uint8]) -> list[Floats]:
    import torch

    with torch.inference_mode():
        answers = detector(torch.from_numpy(image_NCHW))
    return [answer.numpy() for answer in answers]


def _session(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(4, os.cpu_count() or 1)
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])


def _noise() -> list[NDArray[np.uint8]]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (2, 3, *size), dtype=np.uint8) for size in _PARITY_SIZES_HW]


def _batched(images: Images) -> list[NDArray[np.uint8]]:
    batches = []
    for image_HWC in images:
        height, width = (side - side % network.MULTIPLE_PX for side in image_HWC.shape[:2])
        if height == 0 or width == 0:
            expected = f"at least {network.MULTIPLE_PX} pixels a side"
            raise BadInput("calibration image", expected=expected, found=f"{image_HWC.shape[1]} x {image_HWC.shape[0]}")
        batches.append(np.ascontiguousarray(image_HWC[:height, :width].transpose(2, 0, 1)[None]))
    return batches


@contextmanager
def _quiet() -> Iterator[None]:
    """Hush the quantiser's advice to pre-process, which does not apply: the graph is written already folded."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"onnxruntime\.quantization.*")
            yield
    finally:
        root.setLevel(level)
