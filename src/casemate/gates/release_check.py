"""Whether a release holds: the half of the gate that anybody may run, and that serving runs at every load.

Rules. Pure, and without anything that signs. A release holds on a site that it names, between its instants, for the
model that it names, while its signer's key is good, with the approvals that it lists and no others, unless it was
revoked. A revocation counts for ever, whatever became of the key that signed it; one that does not verify is an error
and never ignored. Approvals are held against the instant of the release, to which the signer attests: an approver's
key may end without ending the release, but a revoked key ends it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pydantic import Field

from casemate.errors import BadInput, BadSignature, DigestMismatch, NotAllowed, Revoked
from casemate.gates.approval import CLOCK_SKEW, Seen, check_approvals
from casemate.signing.canonical import Door, shorten
from casemate.signing.envelope import Envelope
from casemate.signing.statement import Statement, Subject, aware, instant_text, read_instant
from casemate.signing.trust import Trust, TrustedKey, said
from casemate.store.digest import Digest

RELEASE_TYPE = "urn:casemate:release:1"
REVOCATION_TYPE = "urn:casemate:revocation:1"
RELEASING_ROLES = ("site", "officer")


@dataclass(frozen=True)
class Release:
    """The statement that a model may be used: which, where, from when, until when, and on what it rests."""

    name: str
    model: Digest
    marking: str
    author: str
    verdict: Digest
    scores: Digest
    dossier: Digest
    policy: Digest
    approvals: tuple[Digest, ...]
    required: tuple[tuple[str, int], ...]
    valid_from: datetime
    expires: datetime
    sites: tuple[str, ...]
    calibration: Digest | None = None

    @property
    def seen(self) -> Seen:
        """What its approvers must have seen."""
        return Seen(self.model, self.dossier, self.verdict)


@dataclass(frozen=True)
class Revocation:
    """The statement that a release may not be used any more."""

    release: Digest
    payload: Digest
    reason: str
    by: str
    at: datetime


def check(
    envelope: Envelope,
    approvals: Sequence[Envelope],
    *,
    trust: Trust,
    now: datetime,
    site: str,
    model: Digest,
    revocations: Iterable[Envelope] = (),
) -> Release:
    """The release, if it holds at `site` and `now` for `model`; Revoked, NotAllowed, BadSignature otherwise."""
    release, key = read_release(envelope, trust)
    key.check(role=_releasing_role(key), now=now, thing=f"release {release.name}")
    if release.model != model:
        raise DigestMismatch(f"release {release.name}: model", expected=release.model, found=model)
    refuse_revoked(envelope, release.name, revocations, trust)
    _refuse_outside_window(release, now)
    if site not in release.sites:
        raise NotAllowed(f"release {release.name}", expected=f"site {' or '.join(release.sites)}", found=site)
    _refuse_other_approvals(release, approvals)
    check_approvals(
        approvals,
        seen=release.seen,
        author=release.author,
        required=release.required,
        trust=trust,
        now=release.valid_from,
    )
    return release


def read_release(envelope: Envelope, trust: Trust) -> tuple[Release, TrustedKey]:
    """The release in an envelope that a trusted key signed, and that key; whether it holds is `check`'s question."""
    key = trust.signer(envelope, thing="release")
    statement = said(envelope, predicate_type=RELEASE_TYPE, thing="release")
    raw = _ReleaseJson.enter(dict(statement.predicate), "release")
    if len(statement.subjects) != 1:
        raise BadInput("release subjects", expected="one model", found=f"{len(statement.subjects)}")
    subject = statement.subjects[0]
    return raw.release(subject), key


def release_statement(release: Release) -> Statement:
    """The release as an in-toto statement about its model."""
    predicate = {
        "marking": release.marking,
        "author": release.author,
        "verdict": str(release.verdict),
        "scores": str(release.scores),
        "dossier": str(release.dossier),
        "policy": str(release.policy),
        "approvals": [str(approval) for approval in release.approvals],
        "required": dict(release.required),
        "valid_from": instant_text(release.valid_from),
        "expires": instant_text(release.expires),
        "sites": list(release.sites),
        "calibration": str(release.calibration) if release.calibration else None,
    }
    return Statement(RELEASE_TYPE, (Subject(release.name, release.model.hex),), predicate)


def refuse_revoked(envelope: Envelope, name: str, revocations: Iterable[Envelope], trust: Trust) -> None:
    """Revoked if one of `revocations` is of this release, by its file or by what it says."""
    for item in revocations:
        revocation = read_revocation(item, trust)
        if revocation.release.hex == envelope.hex or revocation.payload.hex == envelope.payload_hex:
            found = f"revoked by {revocation.by} on {instant_text(revocation.at)}: {revocation.reason}"
            raise Revoked(f"release {name}", expected="a release in force", found=found)


def read_revocation(envelope: Envelope, trust: Trust) -> Revocation:
    """The revocation that an officer's or site's key signed, be that key ended or revoked since."""
    key = trust.signer(envelope, thing="revocation")
    _releasing_role(key, thing="revocation")
    statement = said(envelope, predicate_type=REVOCATION_TYPE, thing="revocation")
    names = tuple(subject.name for subject in statement.subjects)
    if names != ("release", "payload"):
        raise BadInput("revocation subjects", expected="release, payload", found=shorten(", ".join(names)))
    raw = _RevocationJson.enter(dict(statement.predicate), "revocation")
    if raw.by != key.name:
        raise BadSignature("revocation", expected=f"a key of {raw.by}", found=f"a key of {key.name}")
    release, payload = (Digest(subject.digest) for subject in statement.subjects)
    return Revocation(release, payload, raw.reason, raw.by, read_instant(raw.at, "revocation at"))


def revocation_statement(revocation: Revocation) -> Statement:
    """The revocation as an in-toto statement about the release's file and its payload."""
    subjects = (Subject("release", revocation.release.hex), Subject("payload", revocation.payload.hex))
    predicate = {"reason": revocation.reason, "by": revocation.by, "at": instant_text(revocation.at)}
    return Statement(REVOCATION_TYPE, subjects, predicate)


def _releasing_role(key: TrustedKey, *, thing: str = "release") -> str:
    for role in RELEASING_ROLES:
        if role in key.roles:
            return role
    expected = f"a key with role {' or '.join(RELEASING_ROLES)}"
    raise BadSignature(f"{thing} by {key.name}", expected=expected, found=", ".join(sorted(key.roles)))


def _refuse_outside_window(release: Release, now: datetime) -> None:
    if aware(now) + CLOCK_SKEW < release.valid_from:
        expected = f"a time from {instant_text(release.valid_from)}"
        raise Revoked(f"release {release.name}", expected=expected, found=f"{instant_text(now)}: not yet valid")
    if aware(now) > release.expires:
        expected = f"a time until {instant_text(release.expires)}"
        raise Revoked(f"release {release.name}", expected=expected, found=f"{instant_text(now)}: expired")


def _refuse_other_approvals(release: Release, approvals: Sequence[Envelope]) -> None:
    found = {Digest(approval.hex) for approval in approvals}
    for digest in release.approvals:
        if digest not in found:
            raise BadSignature(f"release {release.name}", expected=f"approval {digest}", found="none such")
    for digest in sorted(found - set(release.approvals)):
        raise BadSignature(f"release {release.name}", expected="only the approvals it lists", found=digest)


class _ReleaseJson(Door):
    marking: str = Field(min_length=1, max_length=4096)
    author: str = Field(min_length=1, max_length=256)
    verdict: str
    scores: str
    dossier: str
    policy: str
    approvals: list[str]
    required: dict[str, int]
    valid_from: str
    expires: str
    sites: list[str] = Field(min_length=1)
    calibration: str | None

    def release(self, subject: Subject) -> Release:
        return Release(
            name=subject.name,
            model=Digest(subject.digest),
            marking=self.marking,
            author=self.author,
            verdict=Digest.parse(self.verdict),
            scores=Digest.parse(self.scores),
            dossier=Digest.parse(self.dossier),
            policy=Digest.parse(self.policy),
            approvals=tuple(Digest.parse(approval) for approval in self.approvals),
            required=tuple(sorted(self.required.items())),
            valid_from=read_instant(self.valid_from, "release valid_from"),
            expires=read_instant(self.expires, "release expires"),
            sites=tuple(self.sites),
            calibration=Digest.parse(self.calibration) if self.calibration else None,
        )


class _RevocationJson(Door):
    reason: str = Field(min_length=1, max_length=10_000)
    by: str = Field(min_length=1, max_length=256)
    at: str
