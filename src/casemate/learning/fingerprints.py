"""What a model learned from, as fingerprints in its folder: `fingerprints.json`.

Rules. Whoever evaluates the model compares them with the held-out set, so that what is in both is found wherever the
model travels, without what it learned from. A model that starts from another keeps what that one learned from. The file
is part of the model: it is under the model's digest and its marking. What a fingerprint is made of, and the word for
what has one (`kind`: images, records), are the modality's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.store.whole import write_whole

FILE = "fingerprints.json"
FORMAT = "casemate-fingerprints/1"
Fingerprints = Mapping[str, Mapping[str, Any]]


def write(model_folder: Path, kind: str, prints: Fingerprints, older: Path | None = None) -> None:
    """Write these fingerprints, and those that the model before (in `older`) kept."""
    before = read(older, kind) if older is not None else None
    document = {"format": FORMAT, kind: {**(before or {}), **prints}}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    write_whole(model_folder / FILE, (text + "\n").encode("ascii"))


def read(where: Path, kind: str) -> Fingerprints | None:
    """The fingerprints in a model's folder, or in a file; None where there are none: overlap is "not evaluated"."""
    file = where / FILE if where.is_dir() else where
    if not file.is_file():
        return None
    try:
        document = json.loads(file.read_bytes())
        found: Fingerprints = document[kind]
    except (ValueError, KeyError, TypeError) as why:
        raise BadInput(file.name, expected=f"fingerprints ({FORMAT})", found=why) from why
    if document.get("format") != FORMAT or not isinstance(found, dict):
        raise BadInput(file.name, expected=f"format {FORMAT}", found=document.get("format"))
    return found
