"""Small training runs over small sets: for the tests of training language models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from casemate.compute.plan import Plan, Resources
from casemate.modalities.language import data
from casemate.modalities.language.recipes import debug
from casemate.store.digest import Digest
from tests.modalities.language.sets import texts


def prepared(
    workdir: Path, make: Callable[[Path], Path] | None = texts, *, seed: int = 0, processes: int = 1, **changes: Any
) -> Plan:
    """A work folder with a set and a plan of the debug recipe with some changes; other inputs may lie there already."""
    if make is not None:
        folder = workdir / "inputs" / "words"
        folder.mkdir(parents=True, exist_ok=True)
        data.save_labels(data.read(make(folder)), folder)
    plan = Plan(
        verb="train",
        modality="language",
        recipe="debug",
        inputs={path.name: Digest.of_bytes(path.name.encode()) for path in sorted((workdir / "inputs").iterdir())},
        parameters=debug(**changes).to_parameters(),
        code_version="test",
        seed=seed,
        resources=Resources(processes=processes, threads=1),
    )
    (workdir / "plan.json").write_bytes(plan.to_json())
    return plan
