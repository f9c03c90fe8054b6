"""What may go into production: policy, verdict, approvals, release and revocation.

Rules. Nothing is released without a verdict that passes under a signed policy, and approvals by two different people
who are not the author and who saw exactly that verdict and dossier. Whoever releases judges again; whoever loads checks
again. The verbs are `judge.judge`, `approval.approve`, `release.release` and `release.revoke`; `release_check.check` is
the half without a pen, for serving; `pen` is the only module here that opens a key.
"""

from casemate.gates.approval import Approval, Seen, approve, check_approvals, read_approval
from casemate.gates.judge import Facts, Reason, Verdict, read_verdict, verdict_statement
from casemate.gates.policy import GatePolicy, load_policy, sign_policy
from casemate.gates.release import Case, Released, revoke
from casemate.gates.release_check import Release, Revocation, check, read_release, read_revocation
from casemate.gates.scores import Figure, Scores

__all__ = [
    "Approval",
    "Case",
    "Facts",
    "Figure",
    "GatePolicy",
    "Reason",
    "Release",
    "Released",
    "Revocation",
    "Scores",
    "Seen",
    "Verdict",
    "approve",
    "check",
    "check_approvals",
    "load_policy",
    "read_approval",
    "read_release",
    "read_revocation",
    "read_verdict",
    "revoke",
    "sign_policy",
    "verdict_statement",
]
