"""What a model learned from, as fingerprints in its folder: `fingerprints.json`.

Rules. Whoever evaluates the model compares them with the held-out set, so that the same words in both are found
wherever the model travels, without the training texts. A model that starts from another keeps what that one learned
from. The file is part of the model: it is under the model's digest and its marking.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.whole import write_whole

FILE = "fingerprints.json"
FORMAT = "casemate-fingerprints/1"


def write(model_folder: Path, prints: Mapping[str, Mapping[str, Any]], older: Path | None = None) -> None:
    """Write the fingerprints of all records, and of those that the model before (in `older`) learned from."""
    found = {**(read(older) or {}), **prints} if older else dict(prints)
    text = json.dumps({"format": FORMAT, "records": found}, sort_keys=True, separators=(",", ":"))
    write_whole(model_folder / FILE, (text + "\n").encode("ascii"))


def read(model_folder: Path) -> Mapping[str, Mapping[str, Any]] | None:
    """The fingerprints in a model's folder; None where there are none: overlap is "not evaluated"."""
    file = model_folder / FILE
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_bytes())
        records: Mapping[str, Mapping[str, Any]] = document["records"]
    except (ValueError, KeyError, TypeError) as why:
        raise BadInput(file.name, expected=f"fingerprints ({FORMAT})", found=why) from why
    if document.get("format") != FORMAT or not isinstance(records, dict):
        raise BadInput(file.name, expected=f"format {FORMAT}", found=document.get("format"))
    return records
