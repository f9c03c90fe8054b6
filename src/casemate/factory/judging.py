"""Verbs on evaluation and approval: scores, verdict, dossier, decisions."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry, Run
from casemate.compute import find as find_executor
from casemate.errors import BadInput, NotAllowed
from casemate.factory import casefile, peers, running
from casemate.factory.desk import Desk, Progress
from casemate.gates import Facts, Scores, Seen, Verdict, read_verdict, verdict_statement
from casemate.gates import approve as sign_decision
from casemate.gates.judge import ASSISTANT, judge, reasons_json
from casemate.gates.outside import FILE as OUTSIDE
from casemate.gates.outside import read_garak
from casemate.markings import Marking
from casemate.signing import Statement
from casemate.store import Digest, Manifest, get_bytes, get_manifest, put_bytes, put_folder

ROLES = ("calibration", "canaries", "security")
SCORES, VERDICT, DOSSIER, CALIBRATION = "scores.json", "verdict.json", "dossier.html", "calibration.json"
_MAIN_FIGURES = (
    "ap50", "ap", "recall", "precision", "f1", "ece",
    "recall_at_1", "recall_at_5", "ndcg_at_10", "answer_exact", "answer_f1", "refusal_accuracy", "citation_precision",
    "false_refusal", "injection_direct", "injection_planted", "prompt_leak", "extraction", "character_error",
)  # fmt: skip
_TRAINING = "training-"  # what a model of language learned from goes along, so that overlaps are found


def evaluate(
    desk: Desk,
    model: str,
    dataset: str,
    *,
    name: str | None = None,
    executor: str | None = None,
    others: Mapping[str, str] | None = None,
    settings: Mapping[str, Any] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a model on a held-out set, judge it by the policy in force, write the dossier; a verdict is no refusal.

    `others` are further sets by what they are for: `calibration` of imagery; `security` and `canaries` of language.
    """
    with desk.act("evaluate", f"model {model} on {dataset}"):
        inputs = _inputs(desk, model, dataset, others or {})
        subject, held_out = inputs["model"], inputs["dataset"]
        modality = str(subject.facts["modality"])
        asked = {**(settings or {}), **({"task": subject.facts["task"]} if "task" in subject.facts else {})}
        plan = running.frozen("evaluate", modality, "evaluate", inputs, asked, seed=0, of=running.resources(desk))
        marking = running.join_of(list(inputs.values()), desk.project_marking(subject.project))
        called = name or f"{subject.name} on {held_out.name}"
        where = executor or desk.site.settings.compute.executor
        find_executor(where)
        order = running.Order(plan, inputs, subject.project, marking, called, where)
        return evaluated(desk, running.place(desk, order), progress)


def _inputs(desk: Desk, model: str, dataset: str, others: Mapping[str, str]) -> dict[str, Entry]:
    """The model and every set by what it is for, all of one modality."""
    subject = desk.view.find(model, kind="model")
    sets = {"dataset": desk.view.find(dataset, kind="dataset")}
    for role, text in others.items():
        if role not in ROLES:
            raise BadInput("further set", expected=" or ".join(ROLES), found=role)
        sets[role] = desk.view.find(text, kind="dataset")
    modality = str(subject.facts["modality"])
    for entry in sets.values():
        if entry.facts.get("modality") != modality:
            found = entry.facts.get("modality")
            raise BadInput(f"data set {entry.name}", expected=f"modality {modality}", found=found)
    there = {entry.id for entry in sets.values()}  # a set that it learned from is refused by the gate, by its digest
    ancestors = desk.view.lineage(subject.id).ancestors
    learned = [entry for entry in ancestors if entry.kind == "dataset" and entry.id not in there]
    trained = {f"{_TRAINING}{n}": entry for n, entry in enumerate(learned, 1)} if "task" in subject.facts else {}
    return {"model": subject, **sets, **trained}


def evaluated(desk: Desk, run: Run, progress: Progress | None) -> dict[str, Any]:
    """Carry an evaluation out and register its report."""
    running.carry_out(desk, run, progress=progress)
    subject = _subject(desk, run)
    folder = running.folder_of(desk, run) / "report"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(running.folder_of(desk, run) / "outputs", folder)
    entry, verdict = register_report(desk, folder, subject, name=str(run.facts["name"]), marking=run.marking)
    running.done(desk, run, entry)
    shutil.rmtree(folder)
    return report_row(entry, verdict)


@dataclass(frozen=True)
class Evaluated:
    """What was evaluated on what: a model, its held-out set, further sets by what they are for."""

    model: Entry
    held_out: Entry
    others: Mapping[str, Entry]


def _subject(desk: Desk, run: Run) -> Evaluated:
    names = run.facts.get("inputs", ["model", "dataset"])  # a run placed before there were further sets has these two
    found = {name: desk.view.get(entry) for name, entry in zip(names, run.inputs, strict=True)}
    return Evaluated(found["model"], found["dataset"], {role: found[role] for role in ROLES if role in found})


def subject_of(desk: Desk, report: Entry) -> Evaluated:
    """What a report is of."""
    model, held_out = (desk.view.get(parent) for parent in report.parents[:2])
    others = {role: desk.view.get(str(entry)) for role, entry in report.facts.get("others", {}).items()}
    return Evaluated(model, held_out, others)


def register_report(
    desk: Desk, folder: Path, subject: Evaluated, *, name: str, marking: Marking
) -> tuple[Entry, Verdict]:
    """Judge the scores in `folder`, put verdict and dossier beside them, and register the whole."""
    scores = Scores.from_json((folder / SCORES).read_bytes())
    model, held_out, others = subject.model, subject.held_out, subject.others
    policy = desk.gate_policy(str(model.facts["modality"]))
    verdict = judge(scores, policy, facts=facts_of(desk, subject))
    for older in (VERDICT, DOSSIER):
        (folder / older).unlink(missing_ok=True)  # laid out, it shares its bytes with the store: never written over
    (folder / VERDICT).write_bytes(verdict_statement(verdict).to_json())
    dossier = casefile.compose(desk, casefile.Judged(name, model, held_out, others, scores, verdict, marking), folder)
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
        **({"task": model.facts["task"]} if "task" in model.facts else {}),
        **({"others": {role: entry.id for role, entry in others.items()}} if others else {}),
    }
    parents = (model.id, held_out.id, *(entry.id for entry in others.values()))
    new = NewEntry("report", name, model.project, marking, manifest.digest, parents, facts)
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign), verdict


def facts_of(desk: Desk, subject: Evaluated) -> Facts:
    """What the catalog knows of a model and of the sets that it was scored on."""
    ancestors = desk.view.lineage(subject.model.id).ancestors
    return Facts(
        model=subject.model.digest,
        held_out=subject.held_out.digest,
        trained_on=tuple(entry.digest for entry in ancestors if entry.kind == "dataset"),
        task=str(subject.model.facts.get("task", "")),
        others={role: entry.digest for role, entry in subject.others.items()},
    )


def judge_again(desk: Desk, report: str, *, name: str, garak: Path | None = None) -> dict[str, Any]:
    """Hold the scores of a report against the policy now in force; a new report, with a new dossier.

    `garak` is the report of that attacker on this model, which goes into the dossier and takes no part in the verdict.
    """
    with desk.act("judge", f"report {report}"):
        before = of_this_site(desk.view.find(report, kind="report"))
        folder = desk.site.runs / f"judge-{before.id}"
        shutil.rmtree(folder, ignore_errors=True)
        casefile.lay_out(desk, before, folder)
        if garak is not None:
            (folder / OUTSIDE).unlink(missing_ok=True)
            (folder / OUTSIDE).write_bytes(read_garak(garak.read_bytes()).to_json())
        entry, verdict = register_report(desk, folder, subject_of(desk, before), name=name, marking=before.marking)
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
        of_assistant = report.facts.get("task") == ASSISTANT
        found = f"one of {site}" if site else "one of the whole assistant" if of_assistant else "a copy"
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
