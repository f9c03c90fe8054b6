"""Verbs on evaluation and approval: scores, verdict, dossier, decisions."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry, Run
from casemate.compute import find as find_executor
from casemate.errors import BadInput, NotAllowed
from casemate.factory import casefile, peers, running
from casemate.factory.desk import Desk, Progress
from casemate.gates import Facts, Scores, Seen, Verdict, read_verdict, verdict_statement
from casemate.gates import approve as sign_decision
from casemate.gates.judge import judge, reasons_json
from casemate.markings import Marking
from casemate.signing import Statement
from casemate.store import Digest, Manifest, get_bytes, get_manifest, put_bytes, put_folder

SCORES, VERDICT, DOSSIER, CALIBRATION = "scores.json", "verdict.json", "dossier.html", "calibration.json"
_MAIN_FIGURES = ("ap50", "ap", "recall", "precision", "f1", "ece")


def evaluate(
    desk: Desk,
    model: str,
    dataset: str,
    *,
    name: str | None = None,
    executor: str | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a model on a held-out set, judge it by the policy in force, write the dossier; a verdict is no refusal."""
    with desk.act("evaluate", f"model {model} on {dataset}"):
        inputs = {"model": desk.view.find(model, kind="model"), "dataset": desk.view.find(dataset, kind="dataset")}
        subject, held_out = inputs["model"], inputs["dataset"]
        modality = str(subject.facts["modality"])
        if held_out.facts.get("modality") != modality:
            found = held_out.facts.get("modality")
            raise BadInput(f"data set {held_out.name}", expected=f"modality {modality}", found=found)
        plan = running.frozen(
            "evaluate", modality, "evaluate", inputs, settings or {}, seed=0, of=running.resources(desk)
        )
        marking = running.join_of(list(inputs.values()), desk.project_marking(subject.project))
        called = name or f"{subject.name} on {held_out.name}"
        where = executor or desk.site.settings.compute.executor
        find_executor(where)
        order = running.Order(plan, inputs, subject.project, marking, called, where)
        return evaluated(desk, running.place(desk, order), progress)


def evaluated(desk: Desk, run: Run, progress: Progress | None) -> dict[str, Any]:
    """Carry an evaluation out and register its report."""
    running.carry_out(desk, run, progress=progress)
    model, held_out = (desk.view.get(entry) for entry in run.inputs)
    folder = running.folder_of(desk, run) / "report"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(running.folder_of(desk, run) / "outputs", folder)
    entry, verdict = register_report(desk, folder, model, held_out, name=str(run.facts["name"]), marking=run.marking)
    running.done(desk, run, entry)
    shutil.rmtree(folder)
    return report_row(entry, verdict)


def register_report(
    desk: Desk, folder: Path, model: Entry, held_out: Entry, *, name: str, marking: Marking
) -> tuple[Entry, Verdict]:
    """Judge the scores in `folder`, put verdict and dossier beside them, and register the whole."""
    scores = Scores.from_json((folder / SCORES).read_bytes())
    policy = desk.gate_policy()
    verdict = judge(scores, policy, facts=facts_of(desk, model, held_out))
    for older in (VERDICT, DOSSIER):
        (folder / older).unlink(missing_ok=True)  # laid out, it shares its bytes with the store: never written over
    (folder / VERDICT).write_bytes(verdict_statement(verdict).to_json())
    dossier = casefile.compose(desk, casefile.Judged(name, model, held_out, scores, verdict, marking), folder)
    (folder / DOSSIER).write_bytes(dossier)
    manifest = put_folder(desk.store, folder)
    facts = {
        "modality": model.facts["modality"],
        "model": model.id,
        "dataset": held_out.id,
        "passed": verdict.passed,
        "verdict": str(verdict.digest),
        "dossier": str(Digest.of_bytes(dossier)),
        "policy": str(policy.digest),
        "figures": {key: scores.metrics[key].value for key in _MAIN_FIGURES if key in scores.metrics},
    }
    new = NewEntry("report", name, model.project, marking, manifest.digest, (model.id, held_out.id), facts)
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign), verdict


def facts_of(desk: Desk, model: Entry, held_out: Entry) -> Facts:
    """What the catalog knows of a model and of the set that it was scored on."""
    ancestors = desk.view.lineage(model.id).ancestors
    trained_on = tuple(entry.digest for entry in ancestors if entry.kind == "dataset")
    return Facts(model.digest, held_out.digest, trained_on)


def judge_again(desk: Desk, report: str, *, name: str) -> dict[str, Any]:
    """Hold the scores of a report against the policy now in force; a new report, with a new dossier."""
    with desk.act("judge", f"report {report}"):
        before = of_this_site(desk.view.find(report, kind="report"))
        model, held_out = (desk.view.get(parent) for parent in before.parents)
        folder = desk.site.runs / f"judge-{before.id}"
        shutil.rmtree(folder, ignore_errors=True)
        casefile.lay_out(desk, before, folder)
        entry, verdict = register_report(desk, folder, model, held_out, name=name, marking=before.marking)
        shutil.rmtree(folder)
        return report_row(entry, verdict)


def approve(desk: Desk, report: str, *, reason: str, reject: bool = False) -> dict[str, Any]:
    """Sign one's decision on a report; not for the model's author, nor for anybody without the role."""
    with desk.act("approve", f"report {report}"):
        entry = of_this_site(desk.view.find(report, kind="report"))
        desk.project_marking(entry.project)
        model = desk.view.get(str(entry.facts["model"]))
        verdict = verdict_of(desk, entry)
        if not reject:
            verdict.open_or_raise()
        if "approver" not in desk.person.roles:
            found = ", ".join(sorted(desk.person.roles))
            raise NotAllowed(f"approval by {desk.person.name}", expected="the role approver", found=found)
        envelope = sign_decision(
            seen_of(entry, model, verdict), desk.pen, author=model.author, reason=reason, trust=desk.trust,
            now=desk.now(), decision="reject" if reject else "approve",
        )  # fmt: skip
        digest = put_bytes(desk.store, envelope.to_json())
        decision = "rejected" if reject else "approved"
        facts = {"decision": decision, "reason": reason, "report": entry.id}
        name = f"{entry.name} {decision} by {desk.person.name}"
        new = NewEntry("approval", name, entry.project, entry.marking, digest, (entry.id,), facts)
        made = desk.catalog.register(new, by=desk.reader, reason=reason, sign=desk.sign)
        return {"id": made.id, "name": made.name, "report": entry.name, "decision": decision, "by": desk.person.name}


def of_this_site(report: Entry) -> Entry:
    """A report of an evaluation that ran here, as every decision must rest on: scores from elsewhere are a claim."""
    site = peers.site_of(report)
    if site or "model" not in report.facts:
        found = f"one of {site}" if site else "a copy"
        raise NotAllowed(f"report {report.name}", expected="a report of an evaluation on this site", found=found)
    return report


def verdict_of(desk: Desk, report: Entry) -> Verdict:
    """The verdict that a report holds."""
    return read_verdict(Statement.from_json(file_of(desk, report, VERDICT), thing=f"verdict of {report.name}"))


def seen_of(report: Entry, model: Entry, verdict: Verdict) -> Seen:
    """What an approver of a report has before them."""
    return Seen(model.digest, Digest.parse(str(report.facts["dossier"])), verdict.digest)


def file_of(desk: Desk, entry: Entry, path: str) -> bytes:
    """One file of an entry's folder, verified."""
    return get_bytes(desk.store, digest_of(get_manifest(desk.store, entry.digest), path, entry))


def digest_of(manifest: Manifest, path: str, entry: Entry) -> Digest:
    """The digest of one file of an entry."""
    for file in manifest.files:
        if file.path == path:
            return file.digest
    raise BadInput(f"{entry.kind} {entry.name}", expected=f"a file {path}", found="none")


def report_row(entry: Entry, verdict: Verdict) -> dict[str, Any]:
    """A report with its verdict, as facts for people and machines."""
    return {
        "id": entry.id, "report": entry.name, "marking": str(entry.marking), "digest": str(entry.digest),
        "verdict": "passed" if verdict.passed else "refused", "figures": entry.facts["figures"],
        "dossier": entry.facts["dossier"], "reasons": reasons_json(verdict),
    }  # fmt: skip
