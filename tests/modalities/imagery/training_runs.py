"""Small pictures with squares in them, and runs over them: for the tests of training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from casemate.compute.plan import Plan, Resources
from casemate.modalities.imagery.boxes import Box, ImageryDataset, LabelledImage
from casemate.modalities.imagery.canonical import save_labels
from casemate.modalities.imagery.recipes import debug
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.store.digest import Digest

COLOURS = {"airplane": (250, 250, 250), "vessel": (250, 40, 40), "car": (40, 40, 250)}


def squares(folder: Path, *, labels: tuple[str, ...] = ("airplane",), images: int = 3, seed: int = 0) -> ImageryDataset:
    """A data set of dark pictures with bright squares, one colour a label, saved in its folder."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    listed = []
    for number in range(images):
        pixels = rng.integers(0, 60, (160, 192, 3), dtype=np.uint8)
        boxes = []
        for place in range(5):
            side = int(rng.integers(12, 28))
            x, y = 4 + 36 * place, int(rng.integers(0, 160 - side))
            label = labels[place % len(labels)]
            pixels[y : y + side, x : x + side] = COLOURS[label]
            boxes.append(Box(x, y, x + side, y + side, label))
        Image.fromarray(pixels).save(folder / f"{number}.png")
        listed.append(LabelledImage(f"{number}.png", 192, 160, tuple(boxes)))
    dataset = ImageryDataset(folder, tuple(listed), Taxonomy.shipped(), frozenset(labels), "squares")
    save_labels(dataset, folder)
    return dataset


def prepared(
    workdir: Path, inputs: Mapping[str, ImageryDataset] | None = None, *, seed: int = 0, **changes: Any
) -> Plan:
    """A work folder with inputs and a plan of the debug recipe with some changes."""
    for name in inputs or {"squares": None}:
        squares(workdir / "inputs" / name) if inputs is None else None
    plan = Plan(
        verb="train",
        modality="imagery",
        recipe="debug",
        inputs={path.name: Digest.of_bytes(path.name.encode()) for path in sorted((workdir / "inputs").iterdir())},
        parameters=debug(**changes).to_parameters(),
        code_version="test",
        seed=seed,
        resources=Resources(threads=1),
    )
    (workdir / "plan.json").write_bytes(plan.to_json())
    return plan
