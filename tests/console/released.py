"""Releases for tests, signed as a gate signs them but judged by nobody: a model folder becomes one in a second."""

from __future__ import annotations

import tempfile
from datetime import timedelta
from pathlib import Path

from casemate.catalog import Entry, NewEntry
from casemate.factory import Factory
from casemate.gates.approval import approve
from casemate.gates.judge import Facts
from casemate.gates.pen import unlock
from casemate.gates.policy import GatePolicy
from casemate.gates.release import Case
from casemate.gates.release import release as sign
from casemate.store import Digest, put_folder
from tests.factory.town import Town
from tests.gates.conftest import HELD_OUT, POLICY, SCORES, TRAINED_ON, scores_with


def released(
    town: Town,
    folder: Path,
    name: str,
    *,
    marking: str = "DR",
    modality: str = "language",
    task: str = "",
    days: int = 30,
) -> Entry:
    """A model folder as a release of ines, approved by marc and lea."""
    lea = town.acting("lea")  # who may read and make all that is asked for here
    manifest = put_folder(lea.store, folder)
    facts = {"modality": modality} | ({"task": task} if task else {})
    marked = lea.site.policy.parse(marking)
    model = lea.catalog.register(NewEntry("model", f"model of {name}", "harbour", marked, manifest.digest, (), facts),
                                 by=lea.reader, sign=lea.sign)  # fmt: skip
    scores = scores_with(model={"digest": str(manifest.digest)}, dataset=SCORES["dataset"])
    about = Facts(manifest.digest, HELD_OUT, (TRAINED_ON,), 0)
    policy = GatePolicy.from_toml(POLICY)
    case = Case(name, manifest, marking, "ines", scores, about, policy, Digest.of_bytes(b"dossier"))
    return _registered(lea, town, case, model, days)


def _registered(desk: Factory, town: Town, case: Case, model: Entry, days: int) -> Entry:
    seen = case.seen()
    decisions = [
        approve(seen, unlock(town.key(who), None), author="ines", reason="seen", trust=desk.trust, now=desk.now())
        for who in ("marc", "lea")
    ]
    signed = sign(
        case, case.judge(), decisions, unlock(desk.site.site_key, None), trust=desk.trust, now=desk.now(),
        sites=[desk.site.name], not_after=desk.now() + timedelta(days=days),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "approvals").mkdir()
        (folder / "release.dsse.json").write_bytes(signed.envelope.to_json())
        for number, decision in enumerate(decisions):
            (folder / "approvals" / f"{number}.dsse.json").write_bytes(decision.to_json())
        manifest = put_folder(desk.store, folder)
    facts = {
        "modality": model.facts["modality"], "model": model.id, "release": str(signed.digest),
        "sites": list(signed.release.sites), "valid_from": signed.release.valid_from.isoformat(),
        "expires": signed.release.expires.isoformat(), "approved_by": ["marc", "lea"],
    }  # fmt: skip
    new = NewEntry("release", case.name, "harbour", model.marking, manifest.digest, (model.id,), facts)
    return desk.catalog.register(new, by=desk.reader, sign=desk.sign)
