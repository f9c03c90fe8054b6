"""What a model learned from, as fingerprints in its folder: `fingerprints.json`.

Rules. Whoever evaluates the model compares them with the held-out set, so that near-duplicates are found wherever the
model travels, without the training images. A model that starts from another keeps what that one learned from. The file
is part of the model: it is under the model's digest and its marking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.duplicates import Fingerprints, fingerprints
from casemate.modalities.imagery.schedule import START_INPUT

FILE = "fingerprints.json"
FORMAT = "casemate-fingerprints/1"


def write(model_folder: Path, datasets: Mapping[str, ImageryDataset], older: Path | None = None) -> None:
    """Write the fingerprints of all training images, and of those that the model before (in `older`) learned from."""
    found = dict(read(older) or {}) if older else {}
    for name, dataset in datasets.items():
        found |= {f"{name}/{path}": print_ for path, print_ in fingerprints(dataset).items()}
    text = json.dumps({"format": FORMAT, "images": found}, sort_keys=True, separators=(",", ":"))
    (model_folder / FILE).write_text(text + "\n", encoding="utf-8")


def before(start: str, inputs: Path) -> Path | None:
    """Where the fingerprints of a run's first weights are: the shipped ones, or an older model's among its inputs."""
    if start == "base":
        return Path(str(resources.files("casemate.modalities.imagery").joinpath("weights", "base.fingerprints.json")))
    return inputs / start.removeprefix(START_INPUT) if start.startswith(START_INPUT) else None


def read(where: Path) -> Fingerprints | None:
    """The fingerprints in a model's folder, or in a file; None where there are none: overlap is "not evaluated"."""
    file = where / FILE if where.is_dir() else where
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_bytes())
        images: Fingerprints = document["images"]
    except (ValueError, KeyError, TypeError) as why:
        raise BadInput(file.name, expected=f"fingerprints ({FORMAT})", found=why) from why
    if document.get("format") != FORMAT or not isinstance(images, dict):
        raise BadInput(file.name, expected=f"format {FORMAT}", found=document.get("format"))
    return images
