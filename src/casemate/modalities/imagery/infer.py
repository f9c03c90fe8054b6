"""A model folder that answers: onnxruntime over `model.onnx`, then `decode`. No PyTorch.

Rules. Only `model.onnx` and `model.json` are read. Nothing is sent anywhere: onnxruntime's reports are switched off. An
image is brought to the model's scale, filled up with grey to multiples of 32 at its right and lower edges, and boxes
come back in the image's own pixels, cut to it; what lies in the filling is dropped. Images larger than a window are
seen in windows that overlap, so that memory does not grow with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from casemate.errors import BadInput
from casemate.modalities.imagery.decode import SCORE_MIN, Detections, decode
from casemate.modalities.imagery.seams import settle, views
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.modalities.imagery.windows import Grid, grid

FORMAT = "casemate-detector/1"
MULTIPLE_PX = 32
GREY = 127
WINDOW_PX, OVERLAP_PX = 2048, 64

Image = npt.NDArray[np.uint8]
Read = Callable[[int, int, int, int], Image]


@dataclass(frozen=True)
class Detector:
    """A model that is open: its session, what `model.json` says, and its taxonomy."""

    session: Any
    config: Mapping[str, Any]
    taxonomy: Taxonomy

    @cached_property
    def scale(self) -> float:
        """Pixels that the model sees for each pixel of an image."""
        return input_scale(self.config)


def read_config(model_dir: Path) -> dict[str, Any]:
    """What `model.json` says; BadInput names what the folder lacks."""
    data = _file(model_dir, "model.json").read_bytes()
    try:
        config = json.loads(data)
    except ValueError as why:
        raise BadInput("model.json", expected="JSON", found=why) from why
    found = config.get("format") if isinstance(config, dict) else type(config).__name__
    if found != FORMAT:
        raise BadInput("model.json, format", expected=FORMAT, found=found)
    missing = [key for key in ("taxonomy", "strides") if key not in config]
    if missing:
        raise BadInput("model.json", expected="a taxonomy and strides", found=f"no {' and no '.join(missing)}")
    return dict(config)


def input_scale(config: Mapping[str, Any]) -> float:
    """Pixels that the model sees for each pixel of an image: `input.scale` of `model.json`, 1 where it is silent."""
    scale = config.get("input", {}).get("scale", 1.0)
    if not (isinstance(scale, int | float) and 0.1 <= scale <= 10):
        raise BadInput("model.json, input.scale", expected="a number from 0.1 to 10", found=scale)
    return float(scale)


def open_detector(model_dir: Path, *, threads: int = 0, weights: str = "model.onnx") -> Detector:
    """Open a model folder; `threads` 0 means all cores, `weights` may name the int8 file."""
    import onnxruntime

    config = read_config(model_dir)
    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # Windows differ in size, and a memory pattern keeps a second arena for each: 1.6 GB instead of 1.0 at 2048 pixels a
    # side. A thread that spins while it waits takes a core from whoever reads and decodes. Neither changes an answer.
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    path = _file(model_dir, weights)
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except _load_errors(onnxruntime) as why:
        raise BadInput(weights, expected="an ONNX model", found=str(why).splitlines()[0]) from why
    return Detector(session, config, Taxonomy.from_json(config["taxonomy"], source="model.json, taxonomy"))


def _load_errors(onnxruntime: Any) -> tuple[type[Exception], ...]:
    state = onnxruntime.capi.onnxruntime_pybind11_state
    names = ("Fail", "InvalidProtobuf", "InvalidGraph", "InvalidArgument", "NoSuchFile", "NotImplemented")
    return (state.RuntimeException, *(getattr(state, name) for name in names))


def _file(model_dir: Path, name: str) -> Path:
    path = model_dir / name
    if not path.is_file():
        found = ", ".join(sorted(p.name for p in model_dir.iterdir())) if model_dir.is_dir() else "no such folder"
        raise BadInput(f"model folder {model_dir.name}", expected=f"a file {name}", found=found or "an empty folder")
    return path


def run_window(detector: Detector, image_HWC: Image, *, score_min: float = SCORE_MIN) -> Detections:
    """Detect in one image that fits in memory, in one go; boxes in its pixels, best first."""
    height, width = image_HWC.shape[:2]
    seen = _filled(_scaled(image_HWC, detector.scale))
    name = detector.session.get_inputs()[0].name
    outputs = detector.session.run(None, {name: np.ascontiguousarray(seen.transpose(2, 0, 1)[None])})
    found = decode(outputs, detector.config, score_min=score_min)[0]
    boxes = found.boxes_xyxy_px / np.float32(detector.scale)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    cut = np.clip(boxes, 0, np.array([width, height, width, height], dtype=np.float32))
    inside = (
        (centres < [width, height]).all(axis=1) & (centres >= 0).all(axis=1) & (cut[:, 2:] > cut[:, :2]).all(axis=1)
    )
    return Detections(cut[inside], found.scores[inside])


def detect_image(
    detector: Detector,
    image_HWC: Image,
    *,
    score_min: float = SCORE_MIN,
    window_px: int = WINDOW_PX,
    overlap_px: int = OVERLAP_PX,
) -> Detections:
    """Detect in an image [H, W, 3] of any size, uint8 RGB; boxes in its pixels, best first."""
    if image_HWC.ndim != 3 or image_HWC.shape[2] != 3 or image_HWC.dtype != np.uint8:
        found = f"{image_HWC.dtype} {image_HWC.shape}"
        raise BadInput("image", expected="uint8 [height, width, 3]", found=found)
    height, width = image_HWC.shape[:2]
    return detect_windows(
        detector,
        lambda x0, y0, x1, y1: image_HWC[y0:y1, x0:x1],
        grid(width, height, window_px=window_px, overlap_px=overlap_px),
        score_min=score_min,
    )


def detect_windows(detector: Detector, read: Read, cells: Grid, *, score_min: float = SCORE_MIN) -> Detections:
    """Detect in what `read(x0, y0, x1, y1)` gives for each window; boxes in pixels of the whole, best first."""
    seen = []
    for window in cells:
        part = run_window(detector, read(*window.bounds_px), score_min=score_min)
        seen.append(views(window, cells, part.boxes_xyxy_px, part.scores))
    kept = [v.take(settle(v, [seen[i] for i in cells.neighbours(v.window)])) for v in seen]
    scores = np.concatenate([v.scores for v in kept])
    order = np.argsort(-scores[:, 0], kind="stable")
    return Detections(np.concatenate([v.boxes_xyxy_px for v in kept])[order], scores[order])


def _scaled(image_HWC: Image, scale: float) -> Image:
    if scale == 1:
        return image_HWC
    from PIL import Image as Pictures

    height, width = (max(1, round(side * scale)) for side in image_HWC.shape[:2])
    return np.asarray(Pictures.fromarray(image_HWC).resize((width, height), Pictures.Resampling.BILINEAR))


def _filled(image_HWC: Image) -> Image:
    down, right = (-side % MULTIPLE_PX for side in image_HWC.shape[:2])
    return np.pad(image_HWC, ((0, down), (0, right), (0, 0)), constant_values=GREY) if down or right else image_HWC
