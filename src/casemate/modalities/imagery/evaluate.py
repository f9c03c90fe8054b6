"""Evaluate a model on a labelled set that it has not seen: figures, calibration, pictures.

Rules. Inputs are `model` (a model folder) and `dataset` (a folder with its labels), and may be `calibration`, a second
labelled set: then curves and thresholds are fitted there, and nothing is fitted on what is scored. Without it two folds
of images serve each other (see `calibrate`). Outputs are scores.json, calibration.json and pictures/. The model is read
and never written: a release carries `calibration.json` beside the files of the model, and names it by its own digest.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.errors import BadInput
from casemate.modalities.imagery import learned
from casemate.modalities.imagery.album import Shown, album
from casemate.modalities.imagery.boxes import ImageryDataset
from casemate.modalities.imagery.calibrate import FILE, Fitted, apply_to, fit
from casemate.modalities.imagery.canonical import load_labels
from casemate.modalities.imagery.duplicates import fingerprints, overlap
from casemate.modalities.imagery.examine import UNCHANGED, Examiner, draw_images
from casemate.modalities.imagery.infer import Detector, open_detector
from casemate.modalities.imagery.matching import Floats
from casemate.modalities.imagery.metrics import Interval, draw
from casemate.modalities.imagery.outcomes import answer, confusion, examples, gather
from casemate.modalities.imagery.scores import (
    FORMAT,
    Evidence,
    calibration_document,
    figures,
    match_nodes,
    robustness_figures,
    scope_document,
)
from casemate.modalities.imagery.settings import Settings, settings
from casemate.modalities.imagery.showcase import Scene
from casemate.modalities.imagery.truth import Judged, Scope, scope

SCORES = "scores.json"
INPUTS = ("model", "dataset")


def run(plan: Plan, workdir: Path) -> None:
    """Evaluate as the plan says, in a work folder that holds its inputs; writes outputs/."""
    missing = [name for name in INPUTS if name not in plan.inputs]
    if missing:
        raise BadInput("evaluation, inputs", expected=" and ".join(INPUTS), found=f"no {' and no '.join(missing)}")
    task = _task(plan, workdir)
    images = task.examiner(task.dataset).look(tell=task.step)
    found = _evidence(task, images, _fitted(task, images))
    outputs = workdir / "outputs"
    outputs.mkdir(exist_ok=True)
    (outputs / FILE).write_bytes(found.fitted.calibrated.to_json())
    document = _document(task, found, outputs)
    (outputs / SCORES).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    task.finish(document)


@dataclass
class _Task:
    """What is evaluated, and how far it has come."""

    plan: Plan
    workdir: Path
    asked: Settings
    detector: Detector
    dataset: ImageryDataset
    apart: ImageryDataset | None
    within: Scope
    done: int = field(default=0)

    def examiner(self, dataset: ImageryDataset) -> Examiner:
        """The detector before a set of images."""
        return Examiner(self.detector, dataset, self.asked.score_min, self.asked.most_per_image)

    @property
    def total(self) -> int:
        """Steps of the whole task: each image once, each worsened image once a change, and the pictures."""
        apart = len(self.apart.images) if self.apart else 0
        return len(self.dataset.images) + apart + len(self.worsened) + 1

    @property
    def worsened(self) -> list[Any]:
        """The images on which robustness is measured."""
        if not self.asked.changes:
            return []
        budget_px = self.asked.robustness_mpx * 1e6
        return draw_images(self.dataset.images, budget_px=budget_px, seed=self.plan.seed)

    def step(self) -> None:
        """One image further."""
        self.done += 1
        append_metric(self.workdir, self.done, self.total, images=self.done)

    def finish(self, document: dict[str, Any]) -> None:
        """The last line: the headline figures."""
        values = {name: document["metrics"][name]["value"] for name in ("ap50", "ap", "precision", "recall", "ece")}
        known = {name: value for name, value in values.items() if value is not None}
        append_metric(self.workdir, self.total, self.total, **known)


def _task(plan: Plan, workdir: Path) -> _Task:
    asked = settings(plan.parameters)
    inputs = workdir / "inputs"
    detector = open_detector(inputs / "model", threads=plan.resources.threads)
    dataset = load_labels(inputs / "dataset")
    apart = load_labels(inputs / "calibration") if "calibration" in plan.inputs else None
    return _Task(plan, workdir, asked, detector, dataset, apart, scope(dataset, detector.taxonomy))


def _fitted(task: _Task, images: Sequence[Judged]) -> Fitted:
    """Curves and thresholds: of the calibration set where there is one, else of two folds; names model and data."""
    floor = task.asked.calibrate_from
    here = examples(gather(images, task.within, score_min=floor), images, task.within)
    source = "dataset" if task.apart is None else "calibration"
    if task.apart is None:
        fitted = fit(here, target_precision=task.asked.target_precision)
    else:
        theirs = scope(task.apart, task.detector.taxonomy)
        looked = task.examiner(task.apart).look(tell=task.step)
        there = examples(gather(looked, theirs, score_min=floor), looked, theirs)
        fitted = apply_to(here, fit(there, target_precision=task.asked.target_precision).calibrated)
    model, data = str(task.plan.inputs["model"]), str(task.plan.inputs[source])
    return replace(fitted, calibrated=replace(fitted.calibrated, model=model, dataset=data))


def _evidence(task: _Task, images: Sequence[Judged], fitted: Fitted) -> Evidence:
    rows = gather(images, task.within, score_min=task.asked.calibrate_from)
    return Evidence(
        images=images,
        within=task.within,
        matches=match_nodes(images, task.within, most=task.asked.most_per_image),
        rows=rows,
        fitted=fitted,
        answers=answer(rows, fitted, task.detector.taxonomy),
        weights=_weights(task, len(images)),
        most_per_image=task.asked.most_per_image,
    )


def _weights(task: _Task, images: int) -> Floats:
    return draw(images, resamples=task.asked.resamples if images > 1 else 0, seed=task.plan.seed)


def _robustness(task: _Task) -> dict[str, dict[str, Interval]]:
    chosen = task.worsened
    if not chosen:
        return {}
    examiner = task.examiner(task.dataset)
    looked = examiner.look_worse(chosen, task.asked.changes, seed=task.plan.seed, tell=task.step)
    weights = _weights(task, len(chosen))
    return robustness_figures(looked, UNCHANGED, task.within, most=task.asked.most_per_image, weights=weights)


def _document(task: _Task, found: Evidence, outputs: Path) -> dict[str, Any]:
    """Everything that scores.json holds; draws the pictures that it lists."""
    table = figures(found)
    robustness = _robustness(task)
    mixed = confusion(found.rows, found.answers, found.images, task.within)
    pictures = []
    if task.asked.pictures:
        scene = Scene(task.dataset, found.images, found.rows, found.answers, task.within)
        shown = Shown(found, table, robustness, UNCHANGED, mixed)
        pictures = album(outputs, shown, scene, samples=task.asked.samples)
    return {
        "format": FORMAT,
        "dataset": _dataset_facts(task),
        "model": {"digest": str(task.plan.inputs["model"])},
        "code_version": task.plan.code_version,
        "seed": task.plan.seed,
        "settings": {k: v for k, v in asdict(task.asked).items() if k != "training_fingerprints"},
        "metrics": {name: figure.to_json() for name, figure in table.items()},
        "intervals": _interval_facts(task),
        "scope": scope_document(task.within),
        "robustness": {
            change: {name: figure.to_json() for name, figure in both.items()} for change, both in robustness.items()
        },
        "calibration": calibration_document(found.fitted, apart=task.apart is not None),
        "confusion": mixed.to_json(),
        "overlap": _overlap(task),
        "pictures": [picture.to_json() for picture in pictures],
    }


def _dataset_facts(task: _Task) -> dict[str, Any]:
    dataset = task.dataset
    facts: dict[str, Any] = {
        "digest": str(task.plan.inputs["dataset"]),
        "source": dataset.source,
        "images": len(dataset.images),
        "boxes": dataset.box_count,
        "boxes_by_label": dataset.labels,
        "difficult": sum(box.difficult for image in dataset.images for box in image.boxes),
    }
    if "calibration" in task.plan.inputs:
        facts["calibration_digest"] = str(task.plan.inputs["calibration"])
    return facts


def _interval_facts(task: _Task) -> dict[str, Any]:
    images = len(task.dataset.images)
    note = "95 % percentile intervals over images drawn with replacement"
    if images == 1:
        note = "none: one image cannot be drawn in two ways"
    elif images < 10:
        note += f"; {images} images are few, and so wide intervals may still be too narrow"
    return {"images": images, "resamples": task.asked.resamples if images > 1 else 0, "note": note}


def _overlap(task: _Task) -> dict[str, Any] | None:
    """The same ground in the training data and here; None where neither plan nor model says what it learned from."""
    trained_on = task.asked.training_fingerprints
    if trained_on is None:
        trained_on = learned.read(task.workdir / "inputs" / "model")
    if trained_on is None:
        return None
    pairs = overlap(dict(trained_on), fingerprints(task.dataset))
    return {"near_duplicates": len(pairs), "pairs": [pair._asdict() for pair in pairs]}
