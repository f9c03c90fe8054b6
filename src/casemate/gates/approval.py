"""Approvals: signed decisions, each by one person, on exactly what that person saw.

Rules. An approval names the model, the dossier and the verdict by digest, and the author, so it cannot be carried over
to anything else. The author does not decide on their own work, nor does anybody twice, under whatever key. A rejection
among the approvals closes the gate: the work comes back as another version, or the person signs anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature, GateClosed, NotAllowed
from casemate.gates.policy import APPROVING_ROLES, LEAST_APPROVERS
from casemate.signing.canonical import Door, shorten
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.statement import Statement, Subject, aware, instant_text, read_instant
from casemate.signing.trust import Trust, TrustedKey, said
from casemate.store.digest import Digest

APPROVAL_TYPE = "urn:casemate:approval:1"
CLOCK_SKEW = timedelta(minutes=5)  # between the machines of a site; an approval from further ahead is refused

Decision = Literal["approve", "reject"]


@dataclass(frozen=True)
class Seen:
    """What an approver had before them."""

    model: Digest
    dossier: Digest
    verdict: Digest


@dataclass(frozen=True)
class Approval:
    """One person's decision on what they saw of an author's work, and why."""

    seen: Seen
    author: str
    decision: Decision
    reason: str
    by: str
    role: str
    at: datetime


def approve(
    seen: Seen,
    pen: Signer,
    *,
    author: str,
    reason: str,
    trust: Trust,
    now: datetime,
    decision: Decision = "approve",
    role: str = "approver",
) -> Envelope:
    """Sign a decision; NotAllowed for the author, BadSignature for a key that may not sign as `role` now."""
    if role not in APPROVING_ROLES:
        raise BadInput("approval role", expected=" or ".join(APPROVING_ROLES), found=shorten(role))
    if not reason.strip():
        raise BadInput("approval reason", expected="a reason", found="none")
    key = trust.by_id(pen.public.keyid)
    key.check(role=role, now=now, thing="approval")
    _refuse_author(key.name, author)
    approval = Approval(seen, author, decision, reason, key.name, role, aware(now))
    return pen.sign(approval_statement(approval))


def approval_statement(approval: Approval) -> Statement:
    """The approval as an in-toto statement about model, dossier and verdict."""
    seen = approval.seen
    subjects = tuple(
        Subject(name, digest.hex)
        for name, digest in (("model", seen.model), ("dossier", seen.dossier), ("verdict", seen.verdict))
    )
    predicate = {
        "author": approval.author,
        "decision": approval.decision,
        "reason": approval.reason,
        "by": approval.by,
        "role": approval.role,
        "at": instant_text(approval.at),
    }
    return Statement(APPROVAL_TYPE, subjects, predicate)


def read_approval(envelope: Envelope, trust: Trust, *, now: datetime) -> tuple[Approval, TrustedKey]:
    """The decision in an envelope that its author signed with a key good for it at `now`; BadSignature otherwise."""
    key = trust.signer(envelope, thing="approval")
    approval = _parse(said(envelope, predicate_type=APPROVAL_TYPE, thing="approval"))
    if approval.by != key.name:
        raise BadSignature("approval", expected=f"a key of {approval.by}", found=f"a key of {key.name}")
    key.check(role=approval.role, now=now, thing="approval")
    if approval.at > aware(now) + CLOCK_SKEW:
        latest, found = instant_text(now), instant_text(approval.at)
        raise BadSignature(f"approval by {approval.by}", expected=f"no later than {latest}", found=found)
    return approval, key


def check_approvals(
    envelopes: Sequence[Envelope],
    *,
    seen: Seen,
    author: str,
    required: Iterable[tuple[str, int]],
    trust: Trust,
    now: datetime,
) -> tuple[Approval, ...]:
    """The approvals, one a person, if they are enough by role for `seen`; the first fault is raised otherwise."""
    approvals = []
    for envelope in envelopes:
        approval, _ = read_approval(envelope, trust, now=now)
        _refuse_author(approval.by, author)
        _refuse_other(approval, seen, author)
        if approval.decision == "reject":
            raise GateClosed(f"approval by {approval.by}", expected="approve", found=f"reject: {approval.reason}")
        approvals.append(approval)
    people = [approval.by for approval in approvals]
    for place, person in enumerate(people):
        if person in people[:place]:
            raise NotAllowed("approvals", expected="different people", found=f"{person} twice")
    _refuse_too_few(approvals, dict(required))
    return tuple(approvals)


def _refuse_author(person: str, author: str) -> None:
    if person == author:
        raise NotAllowed(f"approval by {person}", expected="somebody other than the author", found="the author")


def _refuse_other(approval: Approval, seen: Seen, author: str) -> None:
    for name in ("model", "dossier", "verdict"):
        expected, found = getattr(seen, name), getattr(approval.seen, name)
        if expected != found:
            raise BadSignature(f"approval by {approval.by}: {name}", expected=expected, found=found)
    if approval.author != author:
        raise BadSignature(f"approval by {approval.by}: author", expected=author, found=approval.author)


def _refuse_too_few(approvals: Sequence[Approval], required: Mapping[str, int]) -> None:
    for role, count in sorted(required.items()):
        people = [approval.by for approval in approvals if approval.role == role]
        if len(people) < count:
            found = f"{len(people)} ({', '.join(people)})" if people else "0"
            raise GateClosed("approvals", expected=f"{count} by different people as {role}", found=found)
    if len(approvals) < LEAST_APPROVERS:
        raise GateClosed("approvals", expected=f"{LEAST_APPROVERS} by different people", found=len(approvals))


def _parse(statement: Statement) -> Approval:
    raw = _ApprovalJson.enter(dict(statement.predicate), "approval")
    names = tuple(subject.name for subject in statement.subjects)
    if names != ("model", "dossier", "verdict"):
        raise BadInput("approval subjects", expected="model, dossier, verdict", found=shorten(", ".join(names)))
    seen = Seen(*(Digest(subject.digest) for subject in statement.subjects))
    return Approval(seen, raw.author, raw.decision, raw.reason, raw.by, raw.role, read_instant(raw.at, "approval at"))


class _ApprovalJson(Door):
    author: str = Field(min_length=1, max_length=256)
    decision: Decision
    reason: str = Field(min_length=1, max_length=10_000)
    by: str = Field(min_length=1, max_length=256)
    role: Literal["approver", "officer"]
    at: str
