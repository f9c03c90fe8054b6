from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from casemate.errors import BadInput, BadSignature, CasemateError, GateClosed, NotAllowed
from casemate.gates.approval import (
    Approval,
    Decision,
    Seen,
    approval_statement,
    approve,
    check_approvals,
    read_approval,
)
from casemate.signing.envelope import Envelope
from casemate.signing.trust import Trust, TrustedKey
from casemate.store.digest import Digest
from tests.gates.conftest import NOW, pen_of

SEEN = Seen(*(Digest.of_bytes(word) for word in (b"model", b"dossier", b"verdict")))
TWO = (("approver", 2),)


def sign(
    trust: Trust, name: str, *, seen: Seen = SEEN, decision: Decision = "approve", role: str = "approver"
) -> Envelope:
    return approve(seen, pen_of(name), author="anne", reason="seen", trust=trust, now=NOW, decision=decision, role=role)


def check(
    trust: Trust, approvals: Sequence[Envelope], *, required: tuple[tuple[str, int], ...] = TWO, author: str = "anne"
) -> tuple[Approval, ...]:
    return check_approvals(approvals, seen=SEEN, author=author, required=required, trust=trust, now=NOW)


def refusal(kind: type[CasemateError], trust: Trust, approvals: Sequence[Envelope], **how: object) -> str:
    with pytest.raises(kind) as refused:
        check(trust, approvals, **how)  # type: ignore[arg-type]
    return str(refused.value)


def test_two_different_approvers_are_enough(trust: Trust) -> None:
    approvals = check(trust, [sign(trust, "bob"), sign(trust, "carol")])
    assert [(a.by, a.role, a.decision, a.reason) for a in approvals] == [
        ("bob", "approver", "approve", "seen"),
        ("carol", "approver", "approve", "seen"),
    ]


def test_an_approval_is_read_back_as_it_was_signed(trust: Trust, now: datetime) -> None:
    approval, key = read_approval(sign(trust, "bob"), trust, now=now)
    assert approval == Approval(SEEN, "anne", "approve", "seen", "bob", "approver", now)
    assert key.name == "bob"


def test_the_author_does_not_approve_their_own_work(trust: Trust) -> None:
    with pytest.raises(NotAllowed) as refused:
        sign(trust, "anne")
    assert str(refused.value) == "approval by anne: expected somebody other than the author, found the author"
    slipped_in = pen_of("anne").sign(
        approval_statement(Approval(SEEN, "anne", "approve", "mine", "anne", "approver", NOW))
    )
    assert refusal(NotAllowed, trust, [sign(trust, "bob"), slipped_in]) == (
        "approval by anne: expected somebody other than the author, found the author"
    )


def test_one_person_counts_once_under_whatever_key(trust: Trust) -> None:
    bob = sign(trust, "bob")
    assert refusal(NotAllowed, trust, [bob, bob]) == "approvals: expected different people, found bob twice"
    second = replace(trust.named("bob")[0], public=pen_of("bob's other key").public)
    two_keys = Trust((*trust.keys, second))
    other = approve(SEEN, pen_of("bob's other key"), author="anne", reason="again", trust=two_keys, now=NOW)
    assert refusal(NotAllowed, two_keys, [bob, other]) == "approvals: expected different people, found bob twice"


def test_too_few_approvals_close_the_gate(trust: Trust) -> None:
    assert refusal(GateClosed, trust, []) == "approvals: expected 2 by different people as approver, found 0"
    assert refusal(GateClosed, trust, [sign(trust, "bob")]) == (
        "approvals: expected 2 by different people as approver, found 1 (bob)"
    )
    assert refusal(GateClosed, trust, [sign(trust, "bob")], required=()) == (
        "approvals: expected 2 by different people, found 1"
    )


def test_the_officer_counts_as_officer_only(trust: Trust) -> None:
    officer = sign(trust, "olivia", role="officer")
    approvals = [sign(trust, "bob"), officer]
    assert len(check(trust, approvals, required=(("approver", 1), ("officer", 1)))) == 2
    assert refusal(GateClosed, trust, approvals) == (
        "approvals: expected 2 by different people as approver, found 1 (bob)"
    )


def test_a_rejection_closes_the_gate(trust: Trust) -> None:
    approvals = [sign(trust, "bob"), sign(trust, "carol", decision="reject")]
    assert refusal(GateClosed, trust, approvals) == "approval by carol: expected approve, found reject: seen"


@pytest.mark.parametrize("what", ["model", "dossier", "verdict"])
def test_an_approval_of_something_else_is_refused(trust: Trust, what: str) -> None:
    other = Digest.of_bytes(b"other")
    carried = sign(trust, "bob", seen=replace(SEEN, **{what: other}))
    assert refusal(BadSignature, trust, [carried, sign(trust, "carol")]) == (
        f"approval by bob: {what}: expected {getattr(SEEN, what)}, found {other}"
    )


def test_an_approval_of_another_authors_work_is_refused(trust: Trust) -> None:
    approvals = [sign(trust, "bob"), sign(trust, "carol")]
    assert refusal(BadSignature, trust, approvals, author="dave") == (
        "approval by bob: author: expected dave, found anne"
    )


def test_only_keys_with_the_role_approve(trust: Trust, now: datetime) -> None:
    with pytest.raises(BadSignature) as refused:
        sign(trust, "dave")
    assert str(refused.value) == "approval by dave: expected a key with role approver, found author"
    forged = pen_of("dave").sign(approval_statement(Approval(SEEN, "anne", "approve", "x", "dave", "approver", now)))
    assert refusal(BadSignature, trust, [sign(trust, "bob"), forged]) == (
        "approval by dave: expected a key with role approver, found author"
    )
    with pytest.raises(BadInput, match="approval role: expected approver or officer, found author"):
        sign(trust, "dave", role="author")


def test_nobody_signs_in_another_name(trust: Trust, now: datetime) -> None:
    forged = pen_of("bob").sign(approval_statement(Approval(SEEN, "anne", "approve", "x", "carol", "approver", now)))
    assert refusal(BadSignature, trust, [sign(trust, "bob"), forged]) == (
        "approval: expected a key of carol, found a key of bob"
    )


def test_an_approval_from_the_future_is_refused(trust: Trust) -> None:
    later = NOW + timedelta(hours=1)
    early = pen_of("bob").sign(approval_statement(Approval(SEEN, "anne", "approve", "x", "bob", "approver", later)))
    assert refusal(BadSignature, trust, [early]) == (
        "approval by bob: expected no later than 2030-06-01T12:00:00Z, found 2030-06-01T13:00:00Z"
    )


def test_a_revoked_or_ended_key_does_not_approve(trust: Trust) -> None:
    approvals = [sign(trust, "bob"), sign(trust, "carol")]
    revoked = Trust(tuple(replace(key, revoked=key.name == "carol") for key in trust.keys))
    assert (
        refusal(BadSignature, revoked, approvals) == "approval by carol: expected a key in force, found a revoked key"
    )

    def ended(key: TrustedKey) -> TrustedKey:
        return replace(key, not_after=datetime(2030, 5, 1, tzinfo=UTC)) if key.name == "bob" else key

    assert refusal(BadSignature, Trust(tuple(map(ended, trust.keys))), approvals).startswith(
        "approval by bob: expected a key valid from 2030-01-01T00:00:00Z to 2030-05-01T00:00:00Z"
    )


def test_a_decision_without_a_reason_is_refused(trust: Trust) -> None:
    with pytest.raises(BadInput, match="approval reason: expected a reason, found none"):
        approve(SEEN, pen_of("bob"), author="anne", reason=" ", trust=trust, now=NOW)


def test_another_signed_statement_is_not_an_approval(trust: Trust) -> None:
    from casemate.signing.statement import Statement, Subject

    other = pen_of("bob").sign(Statement("urn:casemate:verdict:1", (Subject("model", "0" * 64),), {}))
    assert refusal(BadSignature, trust, [other]) == (
        "approval statement: expected urn:casemate:approval:1, found urn:casemate:verdict:1"
    )
