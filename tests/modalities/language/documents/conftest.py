"""What tests of reading share: a folder of documents read as a set."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from casemate.markings import Policy
from casemate.modalities.language.documents import records
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.reading import ReadSet, read_folder

ReadFiles = Callable[..., ReadSet]


@pytest.fixture
def read(tmp_path: Path) -> ReadFiles:
    """Read files given by name and bytes; the records are in `tmp_path / "set"`."""

    def run(files: Mapping[str, bytes], *, limits: Limits | None = None, model: Path | None = None) -> ReadSet:
        folder, into = tmp_path / "arrived", tmp_path / "set"
        into.mkdir()
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        digests = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
        found = read_folder(
            folder, digests, into, policy=Policy.shipped("fr"), model=model, limits=limits or Limits(workers=1)
        )
        assert sorted(file.name for file in into.iterdir()) == [records.DOCUMENTS, records.PASSAGES], "no draft stays"
        return found

    return run


@pytest.fixture
def passages(tmp_path: Path) -> Callable[[], list[Any]]:
    """The passages that `read` wrote."""

    def run() -> list[Any]:
        with (tmp_path / "set" / records.PASSAGES).open("rb") as lines:
            return list(records.passages_of(lines))

    return run
