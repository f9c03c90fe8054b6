"""Runs: a frozen plan, laid out in a work folder, given to an executor, watched, and finished.

Rules. A run is on record before anything is started, and a work folder that was laid out half is laid out again. What a
run made is registered by `finish`, which may be given again after a crash. Stopping keeps the checkpoints.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate import __version__
from casemate.catalog import Entry, NewRun, Run
from casemate.compute import Executor, Plan, Resources, find, follow, outputs, worker_job
from casemate.errors import CasemateError, RunFailed
from casemate.factory.desk import Desk, Progress
from casemate.markings import Marking
from casemate.store import Digest, checkout, get_bytes, get_manifest, put_bytes


@dataclass(frozen=True)
class Order:
    """What is to be run, and what its result will be called."""

    plan: Plan
    inputs: Mapping[str, Entry]
    project: str
    marking: Marking
    name: str
    executor: str


def resources(desk: Desk, processes: int = 1, *, gpus: int = 0) -> Resources:
    """What a run may take of this site; threads are shared out over the processes."""
    threads = max(1, desk.site.threads // processes)
    return Resources(processes, threads, gpus, desk.site.settings.compute.time_limit_s)


def place(desk: Desk, order: Order) -> Run:
    """Put a run on record, its plan kept as an object."""
    plan = put_bytes(desk.store, order.plan.to_json())
    ids = tuple(entry.id for entry in order.inputs.values())
    facts = {"name": order.name, "executor": order.executor, "inputs": list(order.inputs)}
    new = NewRun(order.plan.verb, plan, order.project, order.marking, ids, facts=facts)
    return desk.catalog.add_run(new, by=desk.reader, sign=desk.sign)


def folder_of(desk: Desk, run: Run) -> Path:
    """Work folder of a run."""
    return desk.site.runs / run.id


def carry_out(desk: Desk, run: Run, *, progress: Progress | None = None) -> Digest:
    """Lay the run out if need be, run it to its end, and give the digest of its outputs' manifest.

    Interrupted (Ctrl-C), the run is cancelled and keeps its checkpoints.
    """
    workdir = _laid_out(desk, run)
    executor = find(str(run.facts["executor"]))
    if run.state != "running":
        run = desk.catalog.change_run(run.id, by=desk.reader, state="running", sign=desk.sign)
    handle = executor.submit(worker_job(workdir, Plan.read(workdir)))
    try:
        _watch(executor, handle, workdir, progress)
        found = outputs(workdir)
    except KeyboardInterrupt:
        executor.cancel(handle)
        desk.catalog.change_run(run.id, by=desk.reader, state="cancelled", sign=desk.sign)
        raise
    except CasemateError as no:
        desk.catalog.change_run(run.id, by=desk.reader, state="failed", reason=str(no)[:4000], sign=desk.sign)
        raise
    if found is None:
        raise RunFailed(f"run {run.id}", expected="outputs", found="none")
    return found


def done(desk: Desk, run: Run, result: Entry) -> None:
    """Note what a run made; its work folder is no longer needed but for plan, metrics and log."""
    desk.catalog.change_run(run.id, by=desk.reader, state="done", facts={"result": result.id}, sign=desk.sign)
    for part in ("inputs", "checkpoints", "outputs"):
        shutil.rmtree(folder_of(desk, run) / part, ignore_errors=True)


def plan_of(desk: Desk, run: Run) -> Plan:
    """The frozen plan of a run."""
    return Plan.from_json(get_bytes(desk.store, run.plan_digest), source=f"plan of run {run.id}")


def frozen(
    verb: str, modality: str, recipe: str, inputs: Mapping[str, Entry], parameters: Mapping[str, Any],
    *, seed: int, of: Resources,
) -> Plan:  # fmt: skip
    """A plan over catalog entries."""
    digests = {name: entry.digest for name, entry in inputs.items()}
    return Plan(verb, modality, recipe, digests, parameters, __version__, seed, of)


def join_of(entries: Sequence[Entry], floor: Marking) -> Marking:
    """What is made from these entries, in a project of this marking, is marked so."""
    return Marking.join_all(floor, (entry.marking for entry in entries))


def _laid_out(desk: Desk, run: Run) -> Path:
    workdir = folder_of(desk, run)
    if (workdir / "plan.json").is_file():
        return workdir
    shutil.rmtree(workdir, ignore_errors=True)
    plan = plan_of(desk, run)
    for name, digest in plan.inputs.items():
        manifest = get_manifest(desk.store, digest)
        (workdir / "inputs").mkdir(parents=True, exist_ok=True)
        checkout(desk.store, manifest, workdir / "inputs" / name)
        (workdir / "inputs" / f"{name}.manifest.json").write_bytes(manifest.to_json())
    (workdir / "plan.json").write_bytes(plan.to_json())  # last: a folder with a plan is laid out whole
    return workdir


def _watch(executor: Executor, handle: str, workdir: Path, progress: Progress | None) -> None:
    for metric in follow(workdir):
        if progress:
            progress(metric.step, metric.total_steps, "steps")
    executor.wait(handle)
