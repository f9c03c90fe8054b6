"""The canonical file of a language set, casemate-language.json: which files it has, of what, how many records.

Rules. Sorted, ASCII, the same text for the same set. Written whole or not at all. Read strictly: unknown keys, paths
that leave the folder and files twice are refused. The records stay in their own files and are read again by it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Kind, LanguageDataset, SourceFile
from casemate.modalities.language.records import PARSERS
from casemate.store.whole import write_whole

CANONICAL = "casemate-language.json"
FORMAT = "casemate-language/1"
_Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class _File(_Strict):
    path: str
    records: str
    count: _Count


class _Document(_Strict):
    format: str
    kind: Kind
    files: list[_File]
    languages: dict[str, _Count]
    notes: list[str]


@dataclass(frozen=True)
class Listed:
    """What a canonical file says."""

    kind: Kind
    files: tuple[SourceFile, ...]
    languages: Mapping[str, int]
    notes: tuple[str, ...]


def save_labels(dataset: LanguageDataset, folder: Path) -> Path:
    """Write the set's list to `folder`/casemate-language.json and return its path."""
    write_whole(folder / CANONICAL, labels_text(dataset).encode("ascii"))
    return folder / CANONICAL


def labels_text(dataset: LanguageDataset) -> str:
    """The canonical file's text, ASCII: the same for the same set."""
    document = {
        "format": FORMAT,
        "kind": dataset.kind,
        "files": [asdict(file) for file in sorted(dataset.files, key=lambda file: file.path)],
        "languages": dict(dataset.languages),
        "notes": list(dataset.notes),
    }
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def list_set(folder: Path) -> Listed:
    """What the canonical file in `folder` lists."""
    try:
        data = (folder / CANONICAL).read_bytes()
    except OSError as why:
        raise BadInput(CANONICAL, expected="a set's canonical list", found=why.strerror) from why
    try:
        document = _Document.model_validate_json(data)
    except ValidationError as why:
        error = why.errors()[0]
        found = f"{'.'.join(str(step) for step in error['loc']) or 'document'}: {error['msg']}"
        raise BadInput(CANONICAL, expected=f"a list as {FORMAT}", found=found) from why
    if document.format != FORMAT:
        raise BadInput(CANONICAL, expected=f"format {FORMAT}", found=repr(document.format))
    files = tuple(SourceFile(_inside(file.path), _known(file.records), file.count) for file in document.files)
    paths = [file.path for file in files]
    if not paths or paths != sorted(set(paths)):
        raise BadInput(CANONICAL, expected="files once each, sorted by path", found="none, one twice, or another order")
    return Listed(document.kind, files, document.languages, tuple(document.notes))


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not parts.parts or parts.is_absolute() or ".." in parts.parts or parts.as_posix() != path or "\0" in path:
        raise BadInput(CANONICAL, expected="relative paths that stay in the folder", found=repr(path))
    return path


def _known(records: str) -> str:
    if records not in PARSERS:
        raise BadInput(CANONICAL, expected=f"records: {' or '.join(PARSERS)}", found=repr(records))
    return records
