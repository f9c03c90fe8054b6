"""One clean file of every format: each module of this folder has `SAMPLES`, a maker of bytes by the format's name."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

from casemate.airlock.formats import FORMATS


def makers() -> dict[str, Callable[[], bytes]]:
    """Every maker found by listing the folder."""
    found: dict[str, Callable[[], bytes]] = {}
    for file in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        found |= importlib.import_module(f"tests.airlock.samples.{file.stem}").SAMPLES
    return found


def write_all(folder: Path) -> Path:
    """A folder with one clean file of every format."""
    folder.mkdir()
    made = makers()
    assert made.keys() == FORMATS.keys(), "a new format needs a sample in tests/airlock/samples/"
    for name, make in made.items():
        (folder / f"sample {name}.{max(FORMATS[name].endings)}").write_bytes(make())
    return folder
