"""The release: the act that lets a model into production, and the act that takes it out again.

Rules. `release` believes nothing it is told: it judges again, holds the approvals against what it judged, checks that
the pen may release, and then checks its own work as serving will. What it returns is a value; storing it is the
factory's affair. The pen is anything that signs; this module opens no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from casemate.errors import BadInput, DigestMismatch, NotAllowed
from casemate.gates.approval import Seen, check_approvals
from casemate.gates.judge import Facts, Verdict, judge
from casemate.gates.policy import GatePolicy
from casemate.gates.release_check import (
    RELEASING_ROLES,
    Release,
    Revocation,
    check,
    read_release,
    release_statement,
    revocation_statement,
)
from casemate.gates.scores import Scores
from casemate.signing.envelope import Envelope
from casemate.signing.openssf import sign_listing
from casemate.signing.signer import Signer
from casemate.signing.statement import aware, instant_text
from casemate.signing.trust import Trust, TrustedKey
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest


@dataclass(frozen=True)
class Case:
    """Everything on which a release is decided."""

    name: str
    model: Manifest
    marking: str
    author: str
    scores: Scores
    facts: Facts
    policy: GatePolicy
    dossier: Digest
    calibration: Digest | None = None

    def judge(self) -> Verdict:
        """The verdict on this case."""
        return judge(self.scores, self.policy, facts=self.facts)

    def seen(self) -> Seen:
        """What the approvers of this case have before them."""
        return Seen(self.model.digest, self.dossier, self.judge().digest)


@dataclass(frozen=True)
class Released:
    """A signed release, and the OpenSSF signature that lies in the model's folder as `model.sig`."""

    release: Release
    envelope: Envelope
    model_signature: bytes

    @property
    def digest(self) -> Digest:
        """The digest of the release's file, by which detections and revocations name it."""
        return Digest(self.envelope.hex)


def release(
    case: Case,
    verdict: Verdict,
    approvals: Sequence[Envelope],
    pen: Signer,
    *,
    trust: Trust,
    now: datetime,
    sites: Sequence[str],
    not_after: datetime | None = None,
) -> Released:
    """Release the model of `case`: GateClosed, NotAllowed or BadSignature with the first reason against it.

    `pen` is a site's or an officer's. `not_after` is the policy's validity from `now` if it is not given, and never
    later than that.
    """
    if case.facts.model != case.model.digest:
        raise DigestMismatch(f"release {case.name}: model", expected=case.model.digest, found=case.facts.model)
    again = case.judge()
    if again != verdict:
        raise DigestMismatch(f"release {case.name}: verdict", expected=again.digest, found=verdict.digest)
    again.open_or_raise()
    _may_release(pen, trust, now, f"release {case.name}")
    seen, required = Seen(case.model.digest, case.dossier, again.digest), case.policy.approvals
    check_approvals(approvals, seen=seen, author=case.author, required=required, trust=trust, now=now)
    statement = _compose(case, again, approvals, now=now, sites=sites, not_after=not_after)
    envelope = pen.sign(release_statement(statement))
    listing = {file.path: file.digest.hex for file in case.model.files}
    model_signature = sign_listing(case.name, listing, pen)
    checked = check(envelope, approvals, trust=trust, now=now, site=sites[0], model=case.model.digest)
    return Released(checked, envelope, model_signature)


def revoke(
    released: Envelope, reason: str, pen: Signer, *, trust: Trust, now: datetime, made_under: Trust | None = None
) -> Envelope:
    """Sign that a release may not be used any more; `pen` is a site's or an officer's.

    A release of another site is read under the trust file that it was `made_under`; whoever withdraws it here signs
    under ours.
    """
    if not reason.strip():
        raise BadInput("revocation reason", expected="a reason", found="none")
    release, _ = read_release(released, made_under or trust)
    key = _may_release(pen, trust, now, f"revocation of {release.name}")
    revocation = Revocation(Digest(released.hex), Digest(released.payload_hex), reason, key.name, aware(now))
    return pen.sign(revocation_statement(revocation))


def _may_release(pen: Signer, trust: Trust, now: datetime, thing: str) -> TrustedKey:
    key = trust.by_id(pen.public.keyid)
    role = next((role for role in RELEASING_ROLES if role in key.roles), None)
    if role is None:
        expected = f"a key with role {' or '.join(RELEASING_ROLES)}"
        raise NotAllowed(f"{thing} by {key.name}", expected=expected, found=", ".join(sorted(key.roles)))
    key.check(role=role, now=now, thing=thing)
    return key


def _compose(
    case: Case,
    verdict: Verdict,
    approvals: Sequence[Envelope],
    *,
    now: datetime,
    sites: Sequence[str],
    not_after: datetime | None,
) -> Release:
    valid_from = aware(now).replace(microsecond=0)
    latest = valid_from + timedelta(days=case.policy.validity_days)
    expires = latest if not_after is None else aware(not_after).replace(microsecond=0)
    if not valid_from < expires <= latest:
        expected = f"an end after {instant_text(valid_from)}, until {instant_text(latest)}"
        raise BadInput(f"release {case.name}", expected=expected, found=instant_text(expires))
    if not sites or len(set(sites)) != len(sites):
        raise BadInput(
            f"release {case.name}", expected="one or more sites, each once", found=", ".join(sites) or "none"
        )
    return Release(
        name=case.name,
        model=case.model.digest,
        marking=case.marking,
        author=case.author,
        verdict=verdict.digest,
        scores=case.scores.digest,
        dossier=case.dossier,
        policy=case.policy.digest,
        approvals=tuple(Digest(approval.hex) for approval in approvals),
        required=case.policy.approvals,
        valid_from=valid_from,
        expires=expires,
        sites=tuple(sites),
        calibration=case.calibration,
    )
