from __future__ import annotations

import os
import random
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

import casemate
from casemate.compute import Job, Plan, find, outputs, read_state, worker, worker_job
from casemate.compute.worker import check_modality, modality_names, verify_inputs
from casemate.errors import BadInput, DigestMismatch, RunFailed
from casemate.store import Digest, manifest_of
from tests import hostile
from tests.compute.test_plan import PLAN


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    """A work folder with one input of hostile names."""
    hostile.tree(tmp_path / "inputs" / "dataset")
    manifest = manifest_of(tmp_path / "inputs" / "dataset")
    (tmp_path / "inputs" / "dataset.manifest.json").write_bytes(manifest.to_json())
    _write(tmp_path, replace(PLAN, inputs={"dataset": manifest.digest}))
    return tmp_path


def _write(workdir: Path, plan: Plan) -> None:
    (workdir / "plan.json").write_bytes(plan.to_json())


def test_inputs_that_are_those_of_the_plan_pass(workdir: Path) -> None:
    verify_inputs(Plan.read(workdir), workdir)


def _change_a_byte(folder: Path) -> str:
    (folder / "plain").write_bytes(b"Content of 'plain'")
    right, wrong = Digest.of_bytes(b"content of 'plain'"), Digest.of_bytes(b"Content of 'plain'")
    return f"inputs/dataset/plain: expected {right}, found {wrong}"


def _cut(folder: Path) -> str:
    (folder / "plain").write_bytes(b"content")
    return "inputs/dataset/plain: expected 18 bytes, found 7 bytes"


def _add(folder: Path) -> str:
    (folder / "added\n").touch()
    return "inputs/dataset/added\\n: expected no such file, found a file"


def _remove(folder: Path) -> str:
    (folder / "plain").unlink()
    return "inputs/dataset/plain: expected a file, found no such file"


def _other_manifest(folder: Path) -> str:
    text = folder.parent / "dataset.manifest.json"
    before = Digest.of_bytes(text.read_bytes())
    text.write_bytes(text.read_bytes() + b"\n")
    after = Digest.of_bytes(text.read_bytes())
    return f"inputs/dataset.manifest.json: expected {before}, found {after}"


def _no_manifest(folder: Path) -> str:
    text = folder.parent / "dataset.manifest.json"
    before = Digest.of_bytes(text.read_bytes())
    text.unlink()
    return f"inputs/dataset.manifest.json: expected {before}, found no such file"


@pytest.mark.parametrize("spoil", [_change_a_byte, _cut, _add, _remove, _other_manifest, _no_manifest])
def test_inputs_that_are_not_those_of_the_plan_are_refused_by_name(workdir: Path, spoil: Callable[[Path], str]) -> None:
    said = spoil(workdir / "inputs" / "dataset")
    with pytest.raises(DigestMismatch) as why:
        verify_inputs(Plan.read(workdir), workdir)
    assert str(why.value) == said


@pytest.mark.parametrize("plant", hostile.PLANTS)
def test_inputs_with_links_or_pipes_are_refused(workdir: Path, plant: str) -> None:
    hostile.PLANTS[plant](workdir / "inputs" / "dataset")
    with pytest.raises(BadInput, match="planted: expected files and folders only"):
        verify_inputs(Plan.read(workdir), workdir)


def test_of_several_processes_some_one_sees_every_changed_byte(workdir: Path) -> None:
    plan = Plan.read(workdir)
    for file in sorted((workdir / "inputs" / "dataset").glob("*"))[::7]:
        if file.is_dir():
            continue
        data = file.read_bytes()
        file.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        refusals = [_refuses(plan, workdir, rank) for rank in range(3)]
        assert sum(refusals) == 1
        file.write_bytes(data)


def _refuses(plan: Plan, workdir: Path, rank: int) -> bool:
    try:
        verify_inputs(plan, workdir, rank=rank, world_size=3)
    except DigestMismatch:
        return True
    return False


def test_modalities_are_the_folders_that_are_there() -> None:
    folder = Path(casemate.__file__).with_name("modalities")
    assert modality_names() == sorted(file.parent.name for file in folder.glob("*/__init__.py"))


def test_an_unknown_modality_is_refused_with_the_known_ones() -> None:
    known = " or ".join(modality_names()) or "one that is there"
    with pytest.raises(BadInput) as why:
        check_modality("telepathy")
    assert str(why.value) == f"plan modality: expected {known}, found 'telepathy'"


def test_a_refusal_of_the_worker_comes_back_with_its_facts_and_the_log(workdir: Path) -> None:
    _write(workdir, replace(Plan.read(workdir), modality="telepathy", resources=replace(PLAN.resources, processes=1)))
    local = find("local")
    assert local.wait(local.submit(worker_job(workdir, Plan.read(workdir)))) == "failed"
    with pytest.raises(RunFailed) as why:
        outputs(workdir)
    assert str(why.value).startswith("plan modality: expected ")
    assert why.value.__notes__[-1].startswith("BadInput: plan modality: expected ")
    assert (read_state(workdir).error or {})["error"] == "BadInput"


_MODALITY = """
import os, random
from pathlib import Path
from casemate.compute.metrics import append_metric


def run(plan, workdir):
    checkpoint = workdir / "checkpoints" / "step"
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    stale = sorted(file.name for file in (workdir / "outputs").iterdir())
    for step in range(start + 1, 4):
        append_metric(workdir, step, 3, loss=1 / step)
        checkpoint.write_text(str(step))
        if step == 2 and start == 0:
            (workdir / "outputs" / "stale").touch()
            os.kill(os.getpid(), 9)
    (workdir / "outputs" / "model").write_text(f"{random.random()} {hash('x')} {start} {stale}")
"""


@pytest.fixture
def casemate_with_a_modality(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A copy of the package, by links, in which there is a modality `toy`: what putting a folder there does."""
    root = tmp_path_factory.mktemp("site")
    real = Path(casemate.__file__).parent
    (root / "casemate" / "modalities" / "toy").mkdir(parents=True)
    for name in ("__init__.py", "errors.py", "store", "compute", "markings"):
        (root / "casemate" / name).symlink_to(real / name)
    (root / "casemate" / "modalities" / "__init__.py").touch()
    (root / "casemate" / "modalities" / "toy" / "__init__.py").touch()
    (root / "casemate" / "modalities" / "toy" / "train.py").write_text(_MODALITY)
    return {"PYTHONPATH": str(root)}


def test_a_run_killed_at_its_work_resumes_and_makes_its_outputs_anew(
    workdir: Path, casemate_with_a_modality: dict[str, str]
) -> None:
    plan = replace(Plan.read(workdir), modality="toy", resources=replace(PLAN.resources, processes=1))
    _write(workdir, plan)
    job = worker_job(workdir, plan)
    job = Job(job.workdir, job.argv, dict(job.env) | casemate_with_a_modality)
    local = find("local")
    assert local.wait(local.submit(job)) == "failed"
    assert (read_state(workdir).error or {})["found"] == "ended by SIGKILL"
    assert local.wait(local.submit(job)) == "done"
    made = manifest_of(workdir / "outputs")
    assert outputs(workdir) == made.digest
    assert (workdir / "outputs.manifest.json").read_bytes() == made.to_json()
    chance, hashed, start, stale = (workdir / "outputs" / "model").read_text().split()
    assert (start, stale) == ("2", "[]")
    assert (chance, hashed) == _chance_of(plan)


def _chance_of(plan: Plan) -> tuple[str, str]:
    hashed = subprocess.run(
        [sys.executable, "-c", "print(hash('x'))"],
        env=os.environ | {"PYTHONHASHSEED": str(plan.seed)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return str(random.Random(plan.seed).random()), hashed.stdout.strip()  # noqa: S311


def test_the_worker_imports_only_what_is_on_its_lists(workdir: Path) -> None:
    with pytest.raises(BadInput, match="plan modality: expected a modality's folder name, found"):
        replace(PLAN, modality="imagery.data")
    _write(workdir, replace(Plan.read(workdir), modality="os"))
    with pytest.raises(BadInput, match="found 'os'"):
        worker.run(workdir)
