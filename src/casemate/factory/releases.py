"""Verbs on releases: into production, answering, and out again."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, NewEntry
from casemate.errors import NotAllowed
from casemate.factory import casefile, judging, peers
from casemate.factory.desk import Desk
from casemate.factory.policies import SITE_PROJECT
from casemate.factory.reading import entry_row
from casemate.gates import Case, Scores, read_approval
from casemate.gates import revoke as sign_revocation
from casemate.gates.dossier_facts import SignatureFacts
from casemate.gates.pen import unlock
from casemate.gates.release import Released
from casemate.gates.release import release as sign_release
from casemate.signing import Envelope
from casemate.store import Digest, get_bytes, get_manifest, put_bytes, put_folder

RELEASE, MODEL_SIGNATURE, SITE_KEY = "release.dsse.json", "model.sig", "site.pem"


def release(
    desk: Desk, report: str, *, name: str, days: int | None = None, sites: Sequence[str] = ()
) -> dict[str, Any]:
    """Put the model of a report into production, here and on other `sites`: all is checked again, the site signs."""
    with desk.act("release", f"report {report} as {name}"):
        entry = judging.of_this_site(desk.view.find(report, kind="report"))
        desk.project_marking(entry.project)
        if not desk.person.roles & {"author", "approver", "officer"}:
            expected, found = "the role author, approver or officer", ", ".join(sorted(desk.person.roles))
            raise NotAllowed(f"release by {desk.person.name}", expected=expected, found=found)
        subject = judging.subject_of(desk, entry)
        case = _case(desk, entry, subject, name)
        decisions = list(_decisions(desk, entry))
        signed = sign_release(
            case, judging.verdict_of(desk, entry), [envelope for _, envelope in decisions],
            unlock(desk.site.site_key, None), trust=desk.trust, now=desk.now(), sites=_sites(desk, sites),
            not_after=desk.now() + timedelta(days=days) if days is not None else None,
        )  # fmt: skip
        return entry_row(_register(desk, signed, entry, subject, decisions))


def _sites(desk: Desk, others: Sequence[str]) -> list[str]:
    """Where a release is valid: here, and on sites to which things may go."""
    policy = desk.exchange_policy()
    return [desk.site.name, *(policy.peer(name, "out").name for name in dict.fromkeys(others))]


def _case(desk: Desk, report: Entry, subject: judging.Evaluated, name: str) -> Case:
    manifest, model = get_manifest(desk.store, report.digest), subject.model
    calibrated = any(file.path == judging.CALIBRATION for file in manifest.files)
    return Case(
        name=name,
        model=get_manifest(desk.store, model.digest),
        marking=str(report.marking),
        author=model.author,
        scores=Scores.from_json(judging.file_of(desk, report, judging.SCORES)),
        facts=judging.facts_of(desk, subject),
        policy=desk.gate_policy(str(model.facts["modality"])),
        dossier=judging.digest_of(manifest, judging.DOSSIER, report),
        calibration=judging.digest_of(manifest, judging.CALIBRATION, report) if calibrated else None,
    )


def _decisions(desk: Desk, report: Entry) -> Iterator[tuple[Entry, Envelope]]:
    """The decisions on a report, each as its person gave it last."""
    latest = {}
    for entry in sorted(desk.view.lineage(report.id).descendants, key=lambda entry: entry.created):
        if entry.kind == "approval" and entry.facts.get("report") == report.id:
            latest[entry.author] = entry
    for entry in latest.values():
        yield entry, Envelope.from_json(get_bytes(desk.store, entry.digest), thing=f"approval {entry.name}")


def _register(
    desk: Desk, signed: Released, report: Entry, subject: judging.Evaluated, decisions: list[tuple[Entry, Envelope]]
) -> Entry:
    model = subject.model
    with tempfile.TemporaryDirectory(dir=desk.site.runs) as temporary:
        folder = Path(temporary)
        (folder / "approvals").mkdir()
        (folder / RELEASE).write_bytes(signed.envelope.to_json())
        (folder / judging.DOSSIER).write_bytes(_dossier(desk, signed, report, subject, decisions))
        (folder / MODEL_SIGNATURE).write_bytes(signed.model_signature)
        (folder / SITE_KEY).write_bytes(unlock(desk.site.site_key, None).public.p384_pem())
        for entry, envelope in decisions:
            (folder / "approvals" / f"{entry.id}.dsse.json").write_bytes(envelope.to_json())
        manifest = put_folder(desk.store, folder)
    facts = {
        "modality": model.facts["modality"],
        **({"task": model.facts["task"]} if "task" in model.facts else {}),
        "model": model.id,
        "report": report.id,
        "release": str(signed.digest),
        "sites": list(signed.release.sites),
        "valid_from": signed.release.valid_from.isoformat(),
        "expires": signed.release.expires.isoformat(),
        "approved_by": [entry.author for entry, _ in decisions],
    }
    parents = (model.id, report.id, *(entry.id for entry, _ in decisions))
    new = NewEntry("release", signed.release.name, report.project, report.marking, manifest.digest, parents, facts)
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign)


def _dossier(
    desk: Desk, signed: Released, report: Entry, subject: judging.Evaluated, decisions: list[tuple[Entry, Envelope]]
) -> bytes:
    """The dossier as its approvers saw it, with their signatures and the release's."""
    scores = Scores.from_json(judging.file_of(desk, report, judging.SCORES))
    verdict = judging.verdict_of(desk, report)
    acts = [_decision_facts(desk, envelope) for _, envelope in decisions]
    site = desk.trust.signer(signed.envelope)
    at, digest = signed.release.valid_from, signed.digest
    acts.append(SignatureFacts("release", site.name, "site", site.public.keyid, at, digest, signed.release.name))
    with tempfile.TemporaryDirectory(dir=desk.site.runs) as temporary:
        laid_out = casefile.lay_out(desk, report, Path(temporary) / "report")
        judged = casefile.Judged(
            report.name, subject.model, subject.held_out, subject.others, scores, verdict, report.marking
        )
        return casefile.compose(desk, judged, laid_out, acts)


def _decision_facts(desk: Desk, envelope: Envelope) -> SignatureFacts:
    said, key = read_approval(envelope, desk.trust, now=desk.now())
    return SignatureFacts(
        said.decision, said.by, said.role, key.public.keyid, said.at, Digest(envelope.hex), said.reason
    )


def revoke(desk: Desk, name: str, *, reason: str) -> dict[str, Any]:
    """Withdraw a release: nothing loads it any more. Officers only."""
    with desk.act("revoke", f"release {name}"):
        entry = desk.view.find(name, kind="release")
        released = Envelope.from_json(judging.file_of(desk, entry, RELEASE), thing=f"release {entry.name}")
        made_under = peers.origin_trust(desk, entry)
        envelope = sign_revocation(released, reason, desk.pen, trust=desk.trust, now=desk.now(), made_under=made_under)
        digest = put_bytes(desk.store, envelope.to_json())
        called = f"{entry.name} withdrawn by {desk.person.name}"
        # In the site's project: whoever withdraws need not be a member of the release's.
        new = NewEntry("revocation", called, SITE_PROJECT, entry.marking, digest, (entry.id,), {"release": entry.id})
        return entry_row(desk.catalog.register(new, by=desk.reader, reason=reason, sign=desk.sign))
