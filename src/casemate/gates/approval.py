"""Approvals: the decisions of two people on a model, its dossier and its verdict.

Rules. Those of `casemate.signing.decision`: an approval names the model, the dossier and the verdict by digest, and the
author, so it cannot be carried over to anything else; the author does not decide on their own work.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from casemate.errors import GateClosed
from casemate.gates.policy import APPROVING_ROLES
from casemate.signing import decision as decisions
from casemate.signing.decision import CLOCK_SKEW, Matter
from casemate.signing.decision import Word as Decision
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.statement import Statement
from casemate.signing.trust import Trust, TrustedKey
from casemate.store.digest import Digest

__all__ = ["CLOCK_SKEW", "Approval", "Decision", "Seen", "approve", "check_approvals", "read_approval"]

APPROVAL_TYPE = "urn:casemate:approval:1"
MATTER = Matter(APPROVAL_TYPE, "approval", ("model", "dossier", "verdict"), APPROVING_ROLES, GateClosed)


@dataclass(frozen=True)
class Seen:
    """What an approver had before them."""

    model: Digest
    dossier: Digest
    verdict: Digest

    @property
    def hexes(self) -> tuple[str, ...]:
        """The three digests as an approval's subjects name them."""
        return (self.model.hex, self.dossier.hex, self.verdict.hex)


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
    return decisions.sign_decision(
        MATTER, seen.hexes, pen, author=author, reason=reason, role=role, trust=trust, now=now, word=decision
    )


def approval_statement(approval: Approval) -> Statement:
    """The approval as an in-toto statement about model, dossier and verdict."""
    said = (approval.author, approval.decision, approval.reason, approval.by, approval.role, approval.at)
    return decisions.decision_statement(MATTER, decisions.Decision(approval.seen.hexes, *said))


def read_approval(envelope: Envelope, trust: Trust, *, now: datetime) -> tuple[Approval, TrustedKey]:
    """The decision in an envelope that its author signed with a key good for it at `now`; BadSignature otherwise."""
    found, key = decisions.read_decision(MATTER, envelope, trust, now=now)
    return _approval(found), key


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
    found = decisions.check_decisions(
        MATTER, envelopes, seen=seen.hexes, author=author, required=required, trust=trust, now=now
    )
    return tuple(map(_approval, found))


def _approval(found: decisions.Decision) -> Approval:
    seen = Seen(*(Digest(digest) for digest in found.seen))
    return Approval(seen, found.author, found.word, found.reason, found.by, found.role, found.at)
