"""Recognition of print: PP-OCR models in ONNX through rapidocr, from one folder that the caller has verified.

Rules. The three models are given by path; nothing is looked for, configured or fetched elsewhere. A scan that stands
askew is straightened by how its lines lie. Lines come out in pixels of the picture that was given.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.documents.layout import Line

_PARTS = {"Det": "_det_", "Rec": "_rec_", "Cls": "_cls_"}
_STRAIGHT_DEG = 0.25
_ASKEW_DEG = 15.0
_SURE = 0.5


@dataclass(frozen=True)
class Recogniser:
    """Models that are loaded."""

    engine: Any

    def read(self, picture: Any) -> list[Line]:
        """The lines in a picture (RGB uint8, H W 3), as boxes of the picture once straightened."""
        said = self.engine(picture[:, :, ::-1])  # it wants BGR
        if said.boxes is None or said.txts is None:
            return []
        quads = [[(float(x), float(y)) for x, y in quad] for quad in said.boxes]
        angle = _angle(quads)
        texts = zip(quads, said.txts, said.scores, strict=True)
        return [_line(quad, text, angle) for quad, text, sure in texts if sure >= _SURE and text.strip()]


def open_model(model_dir: Path, *, threads: int = 1) -> Recogniser:
    """The models in a folder: one file each with `_det_`, `_rec_` and `_cls_` in its name, ending in .onnx."""
    paths = model_paths(model_dir)
    from rapidocr import RapidOCR

    params: dict[str, Any] = {f"{part}.model_path": str(path) for part, path in paths.items()}
    params |= {
        "Global.log_level": "critical",
        "Global.model_root_dir": str(model_dir),
        "Global.text_score": _SURE,
        "EngineConfig.onnxruntime.intra_op_num_threads": threads,
        "EngineConfig.onnxruntime.inter_op_num_threads": 1,
    }
    return Recogniser(RapidOCR(params=params))


def model_paths(model_dir: Path) -> Mapping[str, Path]:
    """The file of each model of a folder; BadInput where one is missing, or there are two."""
    found = {}
    for part, mark in _PARTS.items():
        files = sorted(file for file in model_dir.glob("*.onnx") if mark in file.name.lower())
        if len(files) != 1:
            expected = f"one file *{mark}*.onnx"
            raise BadInput(f"OCR model {model_dir.name}", expected=expected, found=f"{len(files)} files")
        found[part] = files[0]
    return found


def _angle(quads: list[list[tuple[float, float]]]) -> float:
    """By how many radians the lines of a page lean, from the longest of them; 0 where it is hardly at all."""
    leaning = []
    for (ax, ay), (bx, by), (cx, cy), (dx, dy) in quads:
        width = math.hypot(bx - ax, by - ay)
        if width > 4 * math.hypot(dx - ax, dy - ay):
            leaning.append((width, math.atan2(by - ay + cy - dy, bx - ax + cx - dx)))
    if not leaning:
        return 0.0
    longest = sorted(leaning, reverse=True)[: max(3, len(leaning) // 2)]
    angle = statistics.median(angle for _, angle in longest)
    return angle if _STRAIGHT_DEG < abs(math.degrees(angle)) < _ASKEW_DEG else 0.0


def _line(quad: list[tuple[float, float]], text: str, angle: float) -> Line:
    cos, sin = math.cos(angle), math.sin(angle)
    turned = [(x * cos + y * sin, y * cos - x * sin) for x, y in quad]
    xs, ys = [x for x, _ in turned], [y for _, y in turned]
    height = (math.dist(turned[0], turned[3]) + math.dist(turned[1], turned[2])) / 2
    return Line(" ".join(text.split()), (min(xs), min(ys), max(xs), max(ys)), height)
