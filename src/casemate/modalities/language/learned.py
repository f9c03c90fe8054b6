"""What a language model learned from, as fingerprints of records in its folder (`casemate.learning.fingerprints`)."""

from __future__ import annotations

from pathlib import Path

from casemate.learning import fingerprints as kept
from casemate.modalities.language.duplicates import Fingerprints

_KIND = "records"


def write(model_folder: Path, prints: Fingerprints, older: Path | None = None) -> None:
    """Write the fingerprints of all records, and of those that the model before (in `older`) learned from."""
    kept.write(model_folder, _KIND, prints, older)


def read(model_folder: Path) -> Fingerprints | None:
    """The fingerprints in a model's folder; None where there are none: overlap is "not evaluated"."""
    return kept.read(model_folder, _KIND)
