"""What the catalog, the store and an evaluation know of a model, gathered into its dossier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from casemate.catalog import Entry
from casemate.compute import Plan
from casemate.factory import policies
from casemate.factory.desk import Desk
from casemate.gates import Scores, Verdict
from casemate.gates.dossier import build
from casemate.gates.dossier_facts import (
    Confusion,
    DataFacts,
    DossierFacts,
    Exchange,
    Node,
    OriginFacts,
    Shown,
    SignatureFacts,
    TrainingFacts,
)
from casemate.gates.outside import FILE as OUTSIDE
from casemate.gates.outside import Outside
from casemate.gates.wording import Text
from casemate.markings import Marking
from casemate.signing.statement import read_instant
from casemate.store import Digest, checkout, get_bytes, get_manifest

_COUNTED = ("questions", "documents", "attacks", "canaries", "conversations", "pages")
_SAMPLES, _CONFUSIONS = "sample", ("gallery", "confusion")


@dataclass(frozen=True)
class Judged:
    """A model, what it was scored on, and the verdict on it: what a dossier is about."""

    name: str
    model: Entry
    held_out: Entry
    others: Mapping[str, Entry]
    scores: Scores
    verdict: Verdict
    marking: Marking


def compose(desk: Desk, judged: Judged, folder: Path, signatures: Sequence[SignatureFacts] = ()) -> bytes:
    """The dossier as a page; `folder` holds the evaluation's files."""
    model, scores = judged.model, judged.scores
    modality = str(model.facts["modality"])
    raw = scores.raw
    manifest = get_manifest(desk.store, model.digest)
    facts = DossierFacts(
        name=model.name,
        model=model.digest,
        project=model.project,
        author=model.author,
        site=desk.site.name,
        created=desk.now(),
        marking=wording(desk, judged.marking),
        mention=judged.marking.level.mention,
        verdict=judged.verdict,
        policy_name=desk.gate_policy(modality).name,
        scores=scores,
        data=list(_data(desk, judged)),
        training=_training(desk, model) if "plan" in model.facts else None,
        origin=_origin(model) if "pack" in model.facts else None,
        exchanges=list(exchanges(raw.get("samples", ()))),
        outside=Outside.from_json((folder / OUTSIDE).read_bytes()) if (folder / OUTSIDE).is_file() else None,
        lineage=list(_lineage(desk, judged)),
        signatures=[*_policy_signatures(desk, modality), *signatures],
        pictures=list(_pictures(raw.get("pictures", ()), folder)),
        confusion=_confusion(raw.get("confusion")),
        files=[(file.path, file.digest) for file in manifest.files],
    )
    return build(facts)


def lay_out(desk: Desk, report: Entry, folder: Path) -> Path:
    """The files of a report in a new folder, to be read."""
    return checkout(desk.store, get_manifest(desk.store, report.digest), folder)


def wording(desk: Desk, marking: Marking) -> Text:
    """A marking as people read it, in both languages."""
    return Text(desk.site.policy.wording(marking, "en"), desk.site.policy.wording(marking, "fr"))


def _data(desk: Desk, judged: Judged) -> Iterator[DataFacts]:
    for entry in desk.view.lineage(judged.model.id).ancestors:
        if entry.kind == "dataset":
            yield set_facts(desk, entry, "training")
    yield set_facts(desk, judged.held_out, "held-out")
    for role, entry in sorted(judged.others.items()):
        yield set_facts(desk, entry, role)


def set_facts(desk: Desk, entry: Entry, role: str) -> DataFacts:
    """What a page says of a data set."""
    facts = entry.facts
    return DataFacts(
        name=entry.name,
        role=role,
        digest=entry.digest,
        marking=wording(desk, entry.marking),
        images=int(facts.get("images", 0)),
        boxes=int(facts.get("boxes", 0)),
        counts={name: int(facts[name]) for name in _COUNTED if facts.get(name)},
        licence=str(facts.get("licence", "")),
        source=str(facts.get("label_format", "")),
        labels=facts.get("labels", {}),
    )


def _training(desk: Desk, model: Entry) -> TrainingFacts:
    digest = Digest.parse(str(model.facts["plan"]))
    plan = Plan.from_json(get_bytes(desk.store, digest), source=f"plan of {model.name}")
    started, ended = _when(desk, model)
    return TrainingFacts(
        recipe=plan.recipe,
        plan=digest,
        seed=plan.seed,
        code_version=plan.code_version,
        machine=str(model.facts.get("machine", "")),
        started=started,
        ended=ended,
        parameters=plan.parameters,
    )


def _when(desk: Desk, model: Entry) -> tuple[datetime | None, datetime]:
    """When a model was trained; of one from another site, only when it was made is known here."""
    origin = model.facts.get("origin")
    if origin:
        return None, read_instant(str(origin["created"]), f"origin of {model.name}")
    run = desk.view.run(str(model.facts["run"]))
    return run.started, run.ended or model.created


def _origin(model: Entry) -> OriginFacts:
    """Where a model that was not trained here came from: what its starter pack's signed list says."""
    facts = model.facts
    listed = Digest.parse(str(facts["list"])) if "list" in facts else None
    pack, upstream, licence, delivery = (str(facts.get(n, "")) for n in ("pack", "upstream", "licence", "delivery"))
    return OriginFacts(pack, upstream, licence, delivery, listed, model.created)


def exchanges(listed: Sequence[Mapping[str, Any]]) -> Iterator[Exchange]:
    """The exchanges that scores.json shows."""
    for sample in listed:
        kind, asked, answered = (str(sample[key]) for key in ("kind", "asked", "answered"))
        outcome = Text(str(sample["outcome_en"]), str(sample["outcome_fr"]))
        yield Exchange(kind, asked, answered, outcome, bool(sample["good"]))


def _lineage(desk: Desk, judged: Judged) -> Iterator[Node]:
    model, apart = judged.model, [judged.held_out, *judged.others.values()]
    graph = desk.view.lineage(model.id)
    above = {entry.id for entry in graph.ancestors} | {model.id}
    for entry in [*graph.ancestors, model]:
        made_from = tuple(edge.parent for edge in graph.edges if edge.child == entry.id and edge.parent in above)
        yield Node(entry.id, entry.kind, entry.name, entry.digest, made_from)
    for entry in {entry.id: entry for entry in apart}.values():
        if entry.id not in above:
            yield Node(entry.id, entry.kind, entry.name, entry.digest)


def _policy_signatures(desk: Desk, modality: str) -> Iterator[SignatureFacts]:
    gates = policies.gates_name(desk.view, modality)
    acts: tuple[tuple[Literal["policy", "trust"], str], ...] = (("policy", gates), ("trust", "trust"))
    for act, name in acts:
        entry = policies.latest(desk.view, name)
        keyid = desk.site.settings.officer_keyid
        yield SignatureFacts(act, entry.author, "officer", keyid, entry.created, entry.digest, entry.name)


def _confusion(table: Mapping[str, Any] | None) -> Confusion | None:
    """The table of an evaluation, whose last row and column stand for nothing and are named in it."""
    if not table:
        return None
    return Confusion.from_json({**table, "true": table["true"][:-1], "answered": table["answered"][:-1]})


def _pictures(listed: Sequence[Mapping[str, str]], folder: Path) -> Iterator[Shown]:
    for picture in listed:
        name = Path(picture["path"])
        kind: Literal["plot", "sample", "confusion"] = "plot"
        if _SAMPLES in str(name):
            kind = "sample"
        elif any(word in name.stem for word in _CONFUSIONS):
            kind = "confusion"
        yield Shown((folder / name).read_bytes(), Text(picture["caption_en"], picture["caption_fr"]), kind)
