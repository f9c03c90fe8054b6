"""Verbs on training and runs.

Rules. A model learns from data sets, and may start from another model, its base: an entry that the person may read, of
the same modality. Both are inputs of the plan by their digests, and parents of what is made: its marking is the join of
all of theirs. What a model says of itself under `entry` in its `model.json` are facts of its entry.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry, Run
from casemate.compute import find as find_executor
from casemate.compute import read_metrics
from casemate.errors import BadInput, NotFound
from casemate.factory import judging, running
from casemate.factory.desk import Desk, Progress
from casemate.factory.reading import entry_row
from casemate.modalities import find
from casemate.store import get_manifest, put_folder

BASE = "base"  # the name of the input that a run starts from
FROM_BASE = f"input:{BASE}"
_ENTRY_FACTS = frozenset({"task", "parameters", "tokenizer", "base"})


def train(
    desk: Desk,
    datasets: Sequence[str],
    *,
    name: str,
    project: str,
    modality: str = "imagery",
    recipe: str = "fine_tune",
    base: str | None = None,
    seed: int = 0,
    executor: str | None = None,
    processes: int = 1,
    gpus: int = 0,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model on data sets, and from a base model if any; its marking is the join of theirs and the project's."""
    with desk.act("train", f"model {project}/{name}"):
        begun = {} if base is None else {BASE: _base(desk, base, modality)}
        inputs = _inputs(desk, datasets, modality) | begun
        changes = {**({"start": FROM_BASE} if begun else {}), **(settings or {})}
        parameters = find(modality).module("recipes").find(recipe)(**changes).to_parameters()
        if parameters.get("start") == FROM_BASE and not begun:
            raise BadInput(f"recipe {recipe}", expected="a base model to start from (--base)", found="none")
        of = running.resources(desk, processes, gpus=gpus)
        plan = running.frozen("train", modality, recipe, inputs, parameters, seed=seed, of=of)
        marking = running.join_of(list(inputs.values()), desk.project_marking(project))
        order = running.Order(plan, inputs, project, marking, name, executor or desk.site.settings.compute.executor)
        find_executor(order.executor)
        run = running.place(desk, order)
        return entry_row(_trained(desk, run, progress))


def _trained(desk: Desk, run: Run, progress: Progress | None) -> Entry:
    digest = running.carry_out(desk, run, progress=progress)
    workdir = running.folder_of(desk, run)
    manifest = put_folder(desk.store, workdir / "outputs")
    if manifest.digest != digest:
        raise BadInput(f"outputs of run {run.id}", expected=digest, found=manifest.digest)
    plan = running.plan_of(desk, run)
    facts = {
        **_told(workdir / "outputs" / "model.json"),
        "modality": plan.modality, "recipe": plan.recipe, "seed": plan.seed, "code_version": plan.code_version,
        "plan": str(run.plan_digest), "run": run.id, "bytes": sum(file.size for file in manifest.files),
        "machine": f"{platform.machine()}, {plan.resources.processes} × {plan.resources.threads} threads",
    }  # fmt: skip
    name = str(run.facts["name"])
    new = NewEntry("model", name, run.project, run.marking, manifest.digest, run.inputs, facts)
    entry = desk.catalog.register(new, by=desk.reader, sign=desk.sign)
    running.done(desk, run, entry)
    return entry


def resume(desk: Desk, run: str, *, progress: Progress | None = None) -> dict[str, Any]:
    """Go on with a run that was stopped or killed."""
    with desk.act("run.resume", f"run {run}"):
        found = desk.view.run(run)
        if found.state == "done":
            raise BadInput(f"run {found.id}", expected="a run that is not done", found="done")
        if found.kind == "train":
            return entry_row(_trained(desk, found, progress))
        return judging.evaluated(desk, found, progress)


def cancel(desk: Desk, run: str) -> dict[str, Any]:
    """Stop a run; it keeps its checkpoints."""
    with desk.act("run.cancel", f"run {run}"):
        found = desk.view.run(run)
        if found.state not in {"pending", "running"}:
            raise BadInput(f"run {found.id}", expected="a run that is pending or running", found=found.state)
        workdir = running.folder_of(desk, found)
        if (workdir / "state.json").is_file():
            find_executor(str(found.facts["executor"])).cancel(str(workdir))
        stopped = desk.catalog.change_run(found.id, by=desk.reader, state="cancelled", sign=desk.sign)
        return _row(desk, stopped)


def runs(desk: Desk) -> list[dict[str, Any]]:
    """The runs that this person may see, newest first."""
    return [_row(desk, run) for run in desk.view.runs().runs]


def run(desk: Desk, text: str) -> dict[str, Any]:
    """Everything about one run."""
    with desk.act("run.show", f"run {text}"):
        found = desk.view.run(text)
        last = read_metrics(running.folder_of(desk, found))[-1:]
        plan = running.plan_of(desk, found)
        metrics = {name: value for metric in last for name, value in metric.values.items()}
        shown = {"recipe": plan.recipe, "seed": plan.seed, "parameters": dict(plan.parameters), "metrics": metrics}
        return {**_row(desk, found), **shown, "plan": str(found.plan_digest), "result": found.facts.get("result", "")}


def run_log(desk: Desk, text: str) -> str:
    """What a run said."""
    with desk.act("run.log", f"run {text}"):
        file = running.folder_of(desk, desk.view.run(text)) / "log.txt"
        if not file.is_file():
            raise NotFound(f"log of run {text}", expected="a run that was started", found="none")
        return file.read_text(encoding="utf-8", errors="replace")


def _inputs(desk: Desk, datasets: Sequence[str], modality: str) -> dict[str, Entry]:
    found = [desk.view.find(text, kind="dataset") for text in datasets]
    for entry in found:
        if entry.facts.get("modality") != modality:
            raise BadInput(f"data set {entry.name}", expected=f"modality {modality}", found=entry.facts.get("modality"))
        get_manifest(desk.store, entry.digest)
    if len({entry.id for entry in found}) != len(found):
        raise BadInput("data sets", expected="each once", found=", ".join(datasets))
    return {f"dataset-{number}": entry for number, entry in enumerate(found, 1)}


def _base(desk: Desk, text: str, modality: str) -> Entry:
    """The model that a run starts from."""
    found = desk.view.find(text, kind="model")
    if found.facts.get("modality") != modality:
        raise BadInput(f"base model {found.name}", expected=f"modality {modality}", found=found.facts.get("modality"))
    get_manifest(desk.store, found.digest)
    return found


def _told(description: Path) -> dict[str, str | int]:
    """The facts that a model tells of itself, where it tells any: known names, text and whole numbers alone."""
    if not description.is_file():
        return {}
    told = json.loads(description.read_bytes()).get("entry", {})
    return {name: told[name] for name in sorted(_ENTRY_FACTS & told.keys()) if type(told[name]) in {str, int}}


def _row(desk: Desk, found: Run) -> dict[str, Any]:
    last = read_metrics(running.folder_of(desk, found))[-1:]
    step = f"{last[0].step}/{last[0].total_steps}" if last else ""
    return {
        "id": found.id, "verb": found.kind, "name": found.facts.get("name", ""), "project": found.project,
        "marking": str(found.marking), "state": found.state, "author": found.author,
        "started": found.started.isoformat(timespec="seconds") if found.started else "", "progress": step,
    }  # fmt: skip
