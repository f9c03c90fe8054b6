"""Orders: what two people decide, and that nobody decides on their own."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

import pytest

from casemate.airlock.orders import Order, decide, read, require_decided
from casemate.errors import AirlockClosed, BadInput, BadSignature, NotAllowed
from casemate.signing.canonical import dump
from casemate.signing.envelope import Envelope
from casemate.signing.trust import Trust
from tests.gates.conftest import NOW, pen_of

ORDER = Order("out", "ines", ("lea",), NOW, "DR", {"peer": "depot", "reason": "exercise", "entries": []})
BOTH = (("officer", 1), ("sponsor", 1))


def signed(trust: Trust, who: str, role: str, *, order: Order = ORDER, refuse: bool = False) -> Envelope:
    word = "reject" if refuse else "approve"
    return decide(order, pen_of(who), role=role, reason="read", trust=trust, now=NOW, word=word)  # type: ignore[arg-type]


def test_an_order_is_read_back_as_it_was_written() -> None:
    assert Order.from_json(ORDER.to_json()) == ORDER
    with pytest.raises(BadInput, match="order surprise: expected no such key, found one"):
        Order.from_json(dump({**json.loads(ORDER.to_json()), "surprise": 1}))


def test_a_sponsor_and_an_officer_open_the_airlock(trust: Trust, now: datetime) -> None:
    decisions = require_decided(
        ORDER,
        [signed(trust, "paul", "sponsor"), signed(trust, "claire", "officer")],
        required=BOTH,
        trust=trust,
        now=now,
    )
    assert [(d.by, d.role, d.word) for d in decisions] == [
        ("paul", "sponsor", "approve"),
        ("claire", "officer", "approve"),
    ]
    assert read(signed(trust, "paul", "sponsor"), trust, now=now).reason == "read"


@pytest.mark.parametrize(
    ("people", "message"),
    [
        ([], "decisions: expected 1 by different people as officer, found 0"),
        ([("claire", "officer")], "decisions: expected 1 by different people as sponsor, found 0"),
        ([("paul", "sponsor"), ("serge", "sponsor")], "decisions: expected 1 by different people as officer, found 0"),
    ],
)
def test_fewer_do_not(trust: Trust, now: datetime, people: list[tuple[str, str]], message: str) -> None:
    given = [signed(trust, who, role) for who, role in people]
    with pytest.raises(AirlockClosed) as closed:
        require_decided(ORDER, given, required=BOTH, trust=trust, now=now)
    assert str(closed.value) == message


def test_who_asked_and_whose_work_it_is_do_not_decide(trust: Trust) -> None:
    mine = replace(ORDER, asked_by="claire")
    with pytest.raises(
        NotAllowed, match="decision by claire: expected somebody other than the author, found the author"
    ):
        signed(trust, "claire", "officer", order=mine)
    work = replace(ORDER, authors=("paul",))
    with pytest.raises(NotAllowed, match="decision by paul: expected somebody other than the author"):
        signed(trust, "paul", "sponsor", order=work)


def test_a_decision_slipped_in_for_its_author_is_refused_when_it_is_read(trust: Trust, now: datetime) -> None:
    other = replace(ORDER, authors=())
    slipped = signed(trust, "paul", "sponsor", order=other)
    with pytest.raises(BadSignature, match="decision by paul: order: expected sha256:"):
        require_decided(ORDER, [slipped, signed(trust, "claire", "officer")], required=BOTH, trust=trust, now=now)


def test_a_no_closes_the_airlock(trust: Trust, now: datetime) -> None:
    given = [signed(trust, "paul", "sponsor"), signed(trust, "claire", "officer", refuse=True)]
    with pytest.raises(AirlockClosed, match="decision by claire: expected approve, found reject: read"):
        require_decided(ORDER, given, required=BOTH, trust=trust, now=now)


def test_a_role_must_be_held(trust: Trust) -> None:
    with pytest.raises(BadSignature, match="decision by paul: expected a key with role officer, found sponsor"):
        signed(trust, "paul", "officer")
    with pytest.raises(BadInput, match="decision role: expected sponsor or officer, found approver"):
        signed(trust, "paul", "approver")


def test_anything_changed_in_the_order_undoes_its_decisions(trust: Trust, now: datetime) -> None:
    given = [signed(trust, "paul", "sponsor"), signed(trust, "claire", "officer")]
    for other in (
        replace(ORDER, marking="S"),
        replace(ORDER, facts={**ORDER.facts, "peer": "mill"}),
        replace(ORDER, action="in"),
    ):
        with pytest.raises(BadSignature, match="decision by paul: order: expected"):
            require_decided(other, given, required=BOTH, trust=trust, now=now)
