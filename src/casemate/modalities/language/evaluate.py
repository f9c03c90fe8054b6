"""Evaluate a model of language by its task: retrieval of an embedder, answers of a chat model, print that is read.

Rules. Inputs are `model`, `dataset` (questions and documents), and may be `security` and `canaries` (sets of attacks)
and `training-1`, `training-2`… (what the model learned from here). The same words in the held-out set and in what the
model learned are found by the fingerprints in its folder, else in those sets. Outputs are scores.json alone. A figure
for which there is no set is null. The model is read and never written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.errors import BadInput
from casemate.modalities.language import learned
from casemate.modalities.language.data import load_labels
from casemate.modalities.language.duplicates import fingerprints, overlap
from casemate.modalities.language.evaluation import answers, recognition, retrieval, runtime
from casemate.modalities.language.evaluation.settings import settings
from casemate.modalities.language.evaluation.task import Found, Task
from casemate.modalities.language.security import probe

SCORES, FORMAT = "scores.json", "casemate-scores/1"
INPUTS = ("model", "dataset")
OTHERS = ("canaries", "security")
TRAINING = "training-"
_MOST_PAIRS = 100


def run(plan: Plan, workdir: Path) -> None:
    """Evaluate as the plan says, in a work folder that holds its inputs; writes outputs/."""
    missing = [name for name in INPUTS if name not in plan.inputs]
    if missing:
        raise BadInput("evaluation, inputs", expected=" and ".join(INPUTS), found=f"no {' and no '.join(missing)}")
    task = Task(plan, workdir, settings(plan.parameters), load_labels(workdir / "inputs" / "dataset"))
    found = _BY_TASK[task.asked.task](task)
    document = _document(task, found)
    outputs = workdir / "outputs"
    outputs.mkdir(exist_ok=True)
    (outputs / SCORES).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    known = {name: f.value for name, f in found.metrics.items() if f.value is not None and "." not in name}
    append_metric(workdir, task.done, task.done, **known)


def _embeddings(task: Task) -> Found:
    return retrieval.evaluate(task, runtime.open_embedder)


def _chat(task: Task) -> Found:
    sets = [(name, load_labels(task.workdir / "inputs" / name)) for name in OTHERS if name in task.plan.inputs]
    posed, attacks = answers.pose(task), probe.chosen(task, sets)
    task.total = len(posed) + len(attacks)
    chat = runtime.open_chat(task)
    found = answers.evaluate(task, chat, posed)
    found.add(probe.evaluate(task, chat, attacks))
    return found


def _ocr(task: Task) -> Found:
    return recognition.evaluate(task, runtime.open_recogniser)


_BY_TASK: Mapping[str, Callable[[Task], Found]] = {"embeddings": _embeddings, "chat": _chat, "ocr": _ocr}


def _document(task: Task, found: Found) -> dict[str, Any]:
    plan = task.plan
    return {
        "format": FORMAT,
        "task": task.asked.task,
        "dataset": {
            "digest": str(plan.inputs["dataset"]),
            "source": task.dataset.source,
            "items": found.counts.get("questions", found.counts.get("pages", 0)),
        },
        "model": {"digest": str(plan.inputs["model"])},
        "others": {name: {"digest": str(plan.inputs[name])} for name in OTHERS if name in plan.inputs},
        "code_version": plan.code_version,
        "seed": plan.seed,
        "settings": asdict(task.asked),
        "metrics": {name: figure.to_json() for name, figure in found.metrics.items()},
        "counts": found.counts,
        "overlap": _overlap(task),
        "samples": [sample.to_json() for sample in found.samples],
    }


def _overlap(task: Task) -> dict[str, Any] | None:
    """The same words in what the model learned from and in the held-out set; None where neither says what that was."""
    trained = [name for name in sorted(task.plan.inputs) if name.startswith(TRAINING)]
    known = learned.read(task.model_dir)
    if known is None and not trained:
        return None
    prints = {} if known is None else dict(known)
    for name in trained if known is None else ():
        records = fingerprints(load_labels(task.workdir / "inputs" / name))
        prints |= {f"{name} {record}": print_ for record, print_ in records.items()}
    pairs = overlap(prints, fingerprints(task.dataset))
    return {"near_duplicates": len(pairs), "pairs": [pair._asdict() for pair in pairs[:_MOST_PAIRS]]}
