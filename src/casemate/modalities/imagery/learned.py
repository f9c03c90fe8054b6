"""What a detector learned from, as fingerprints of images in its folder (`casemate.learning.fingerprints`)."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from casemate.learning import fingerprints as kept
from casemate.learning.inputs import START_INPUT
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.duplicates import Fingerprints, fingerprints

FILE, FORMAT = kept.FILE, kept.FORMAT
_KIND = "images"


def write(model_folder: Path, datasets: Mapping[str, ImageryDataset], older: Path | None = None) -> None:
    """Write the fingerprints of all training images, and of those that the model before (in `older`) learned from."""
    prints = {f"{name}/{path}": p for name, dataset in datasets.items() for path, p in fingerprints(dataset).items()}
    kept.write(model_folder, _KIND, prints, older)


def before(start: str, inputs: Path) -> Path | None:
    """Where the fingerprints of a run's first weights are: the shipped ones, or an older model's among its inputs."""
    if start == "base":
        return Path(str(resources.files("casemate.modalities.imagery").joinpath("weights", "base.fingerprints.json")))
    return inputs / start.removeprefix(START_INPUT) if start.startswith(START_INPUT) else None


def read(where: Path) -> Fingerprints | None:
    """The fingerprints in a model's folder, or in a file; None where there are none: overlap is "not evaluated"."""
    return kept.read(where, _KIND)
