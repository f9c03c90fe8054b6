"""The report of an assessment: scores, a verdict signed by who assessed, a page, one entry.

Rules. It carries the join of the sets, of all that was searched, of the releases used and of its project, and is made
from the sets, the documents that were put before the engine, and the releases. What models learned from here counts as
it does at the gate: a set among it does not pass.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry
from casemate.errors import NotFound
from casemate.factory import assessment_page, models
from casemate.factory.assessment import Bench, Parts, rules
from casemate.factory.desk import Desk
from casemate.gates import Facts, Scores, Verdict, verdict_statement
from casemate.gates.judge import ASSISTANT, judge
from casemate.markings import Marking
from casemate.store import Digest, put_folder
from casemate.store.staging import staging
from casemate.store.whole import write_whole

SCORES, VERDICT, PAGE = "scores.json", "verdict.dsse.json", "assessment.html"


def registered(
    desk: Desk, bench: Bench, parts: Parts, kept: Sequence[dict[str, Any]], floor: Marking, work: Path
) -> tuple[Entry, Verdict, dict[str, Any]]:
    """Judge, sign, write the page and register the whole."""
    wanted = bench.wanted
    outcomes = [
        rules().Outcome(put, tuple(k["said"]), k["refused"], tuple(k["cited"]), k["rank"])
        for (put, _), k in zip(bench.puts, kept, strict=True)
    ]
    used = sorted({e for k in kept for e in k["entries"]})
    marking = Marking.join_all(floor, [
        *(e.marking for e in bench.sets), *(e.marking for e in parts.searched), *parts.markings,
    ])  # fmt: skip
    facts, folders = _lineage(desk, bench, parts)
    document = _scores(bench, parts, outcomes, rules().near_duplicates(folders, bench.datasets))
    data = (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()
    scores, policy = Scores.from_json(data), desk.gate_policy("language")
    verdict = judge(scores, policy, facts=facts)
    page = assessment_page.compose(
        desk, assessment_page.Assessed(
            wanted.name, wanted.project, bench.sets, scores, verdict, marking, policy.name, bench.left_out
        )
    )  # fmt: skip
    with staging(work, ".report-") as place:
        write_whole(place / SCORES, data)
        write_whole(place / VERDICT, desk.pen.sign(verdict_statement(verdict)).to_json())
        write_whole(place / PAGE, page)
        manifest = put_folder(desk.store, place, move=True)
    said = {
        "modality": "language", "task": ASSISTANT, "engine": parts.facts["engine"], "assistant": str(parts.digest),
        "passed": verdict.passed, "verdict": str(verdict.digest), "policy": str(policy.digest),
        "page": str(Digest.of_bytes(page)), "counts": document["counts"],
        "figures": {name: figure.value for name, figure in scores.metrics.items() if "." not in name},
    }  # fmt: skip
    parents = tuple(dict.fromkeys([*(e.id for e in bench.sets), *used, *(e.id for e in parts.entries)]))
    new = NewEntry("report", wanted.name, wanted.project, marking, manifest.digest, parents, said)
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign), verdict, document["metrics"]


def _scores(bench: Bench, parts: Parts, outcomes: Sequence[Any], near: int | None) -> dict[str, Any]:
    """What scores.json holds."""
    first, *others = bench.sets
    return {
        "format": "casemate-scores/1",
        "task": ASSISTANT,
        "dataset": {"digest": str(first.digest), "items": len(outcomes)},
        "model": {"digest": str(parts.digest)},
        "others": {_role(n): {"digest": str(e.digest)} for n, e in enumerate(others, 2)},
        "parts": dict(parts.facts),
        "metrics": {name: figure.to_json() for name, figure in rules().figures(outcomes).items()},
        "counts": rules().counts(outcomes),
        "left_out": bench.left_out,
        "overlap": None if near is None else {"near_duplicates": near},
        "samples": [sample.to_json() for sample in rules().samples(outcomes)],
    }


def _lineage(desk: Desk, bench: Bench, parts: Parts) -> tuple[Facts, list[Path]]:
    """What the catalog knows: what the models used learned from here; and their folders."""
    trained: list[Digest] = []
    folders: list[Path] = []
    for release in parts.entries:
        model = models.in_force(desk, models.task_of(desk, release), release.id)
        folders += [model.folder] if model else []
        known = str(release.facts.get("model", ""))
        try:
            ancestors = desk.view.lineage(known).ancestors
        except NotFound:  # a release whose model stayed where it was made
            continue
        trained += [entry.digest for entry in ancestors if entry.kind == "dataset"]
    first, *others = bench.sets
    roles = {_role(n): entry.digest for n, entry in enumerate(others, 2)}
    return Facts(parts.digest, first.digest, tuple(trained), task=ASSISTANT, others=roles), folders


def _role(number: int) -> str:
    return f"question set {number}"
