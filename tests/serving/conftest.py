"""A released detector: a model folder in a store, approved by two people and released for the site harbour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from casemate.gates.approval import approve
from casemate.gates.judge import Facts
from casemate.gates.release import Case, Released, release, revoke
from casemate.modalities.imagery.calibrate import UNCALIBRATED
from casemate.serving import LoadedRelease, load
from casemate.signing.envelope import Envelope
from casemate.signing.trust import Trust
from casemate.store import open_store, put_bytes, put_folder
from casemate.store.manifest import Manifest
from casemate.store.objects import ObjectStore
from tests.bright_model import bright_model
from tests.gates.conftest import NOW, SCORES, case, facts, pen_of, policy, scores_with, trust

__all__ = ["case", "facts", "policy", "trust"]


@dataclass(frozen=True)
class Shop:
    """A store with a released model, and all that a load is given."""

    store: ObjectStore
    shelf: Path
    manifest: Manifest
    case: Case
    trust: Trust
    approvals: tuple[Envelope, ...]
    released: Released

    def load(self, **changes: Any) -> LoadedRelease:
        """Load the release, with some of what it is given changed."""
        given: dict[str, Any] = {
            "release": self.released.envelope.to_json(),
            "approvals": [approval.to_json() for approval in self.approvals],
            "store": self.store,
            "shelf": self.shelf,
            "trust": self.trust,
            "revocations": [],
            "now": NOW,
            "site": "harbour",
            **changes,
        }
        return load(given.pop("release"), given.pop("approvals"), given.pop("store"), given.pop("shelf"), **given)

    def revoked(self, reason: str) -> bytes:
        """A revocation of the release."""
        return revoke(self.released.envelope, reason, pen_of("olivia"), trust=self.trust, now=NOW).to_json()


def approvals_of(case: Case, trust: Trust, names: Sequence[str], now: datetime = NOW) -> tuple[Envelope, ...]:
    """Approvals of a case by these people."""
    seen = case.seen()
    return tuple(approve(seen, pen_of(n), author=case.author, reason="seen", trust=trust, now=now) for n in names)


@pytest.fixture
def shop(tmp_path: Path, case: Case, trust: Trust) -> Shop:
    store = open_store("posix", tmp_path / "store")
    manifest = put_folder(store, bright_model(tmp_path / "model"))
    scores = scores_with(model={"digest": str(manifest.digest)}, dataset=SCORES["dataset"])
    about = Facts(manifest.digest, case.facts.held_out, case.facts.trained_on, 0)
    calibration = put_bytes(store, replace(UNCALIBRATED, model=str(manifest.digest)).to_json())
    ours = replace(case, model=manifest, scores=scores, facts=about, calibration=calibration)
    approvals = approvals_of(ours, trust, ("bob", "carol"))
    released = release(ours, ours.judge(), approvals, pen_of("harbour"), trust=trust, now=NOW, sites=["harbour"])
    return Shop(store, tmp_path / "shelf", manifest, ours, trust, approvals, released)
