"""What a model learned from, as fingerprints in its folder: `fingerprints.json`.

Rules. Whoever evaluates the model compares them with the held-out set, so that near-duplicates are found wherever the
model travels, without the training images. A model that starts from another keeps what that one learned from. The file
is part of the model: it is under the model's digest and its marking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.duplicates import Fingerprints, fingerprints

FILE = "fingerprints.json"
FORMAT = "casemate-fingerprints/1"


def write(model_folder: Path, datasets: Mapping[str, ImageryDataset], older: Path | None = None) -> None:
    """Write the fingerprints of all training images, and of those that the model in `older` learned from."""
    found = dict(read(older) or {}) if older else {}
    for name, dataset in datasets.items():
        found |= {f"{name}/{path}": print_ for path, print_ in fingerprints(dataset).items()}
    text = json.dumps({"format": FORMAT, "images": found}, sort_keys=True, separators=(",", ":"))
    (model_folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(model_folder: Path) -> Fingerprints | None:
    """The fingerprints in a model's folder; None where it has none, so that overlap is "not evaluated"."""
    file = model_folder / FILE
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
