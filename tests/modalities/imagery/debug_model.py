"""A model folder with random weights, made in a second: for tests of everything that runs a model."""

from __future__ import annotations

from pathlib import Path

from casemate.modalities.imagery import model_folder
from casemate.modalities.imagery.network import SIZES, build
from casemate.modalities.imagery.taxonomy import Taxonomy


def debug_model(folder: Path, *labels: str, seed: int = 0, input_scale: float = 1.0) -> Path:
    """Write a debug-size detector of `labels` (airplane and vessel by default) and return its folder."""
    taxonomy = Taxonomy.shipped().restricted(labels or ("airplane", "vessel"))
    detector = build(SIZES["debug"], len(taxonomy.names), seed=seed).eval()
    training = {"data": {}, "recipe": "none", "start": "random", "steps": 0}
    config = model_folder.describe(SIZES["debug"], taxonomy, input_scale=input_scale, training=training)
    model_folder.write(folder, detector, config)
    return folder
