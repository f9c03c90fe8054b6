from __future__ import annotations

from datetime import datetime

import pytest

from casemate.errors import BadInput, BadSignature
from casemate.gates.policy import GatePolicy, load_policy, sign_policy
from casemate.signing.trust import Trust
from casemate.store.digest import Digest
from tests.gates.conftest import POLICY, pen_of


def test_the_shipped_policy_asks_for_two_people_and_no_overlap() -> None:
    policy = GatePolicy.shipped()
    assert policy.approvals == (("approver", 2),)
    assert (policy.max_near_duplicates, policy.validity_days) == (0, 365)
    with pytest.raises(BadInput) as refusal:
        GatePolicy.shipped("lenient")
    assert str(refusal.value) == "gate policy lenient: expected default or language or language-small, found lenient"


def test_the_digest_is_that_of_the_text() -> None:
    assert GatePolicy.from_toml(POLICY).digest == Digest.of_bytes(POLICY.encode())
    assert GatePolicy.from_toml(POLICY + "\n# changed\n").digest != GatePolicy.from_toml(POLICY).digest


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("at_least = 0.70", "at_least = nan", "gate policy rules.0.at_least: expected Input should be a finite number"),
        ("at_least = 0.70", "at_least = inf", "gate policy rules.0.at_least: expected Input should be a finite number"),
        (
            "at_least = 0.70",
            'at_least = "0.70"',
            "gate policy rules.0.at_least: expected Input should be a valid number",
        ),
        ("at_least = 0.70", "atleast = 0.70", "gate policy rules.0.atleast: expected no such key, found one"),
        ("at_least = 0.70", "", "gate policy rule recall: expected at_least or at_most, found neither"),
        (
            "at_least = 0.70",
            "at_least = 0.7\nat_most = 1",
            "gate policy rule recall: expected at_least or at_most, found both",
        ),
        ('on = "low"', 'on = "lowest"', "gate policy rules.1.on: expected Input should be 'value', 'low' or 'high'"),
        ("max_drop = 0.30", "max_drop = -0.1", "gate policy robustness.0.max_drop: expected"),
        ("min_images = 10", "min_images = 0", "gate policy held_out.min_images: expected"),
        ("casemate-gate-policy/1", "casemate-gate-policy/2", "gate policy format: expected"),
        ("[[rules]]", "[[rules]", "gate policy: expected TOML, found"),
        ("[held_out]", "[approvals]\napprover = 1\n[held_out]", "gate policy approvals: expected at least 2 people"),
        (
            "[held_out]",
            "[approvals]\nking = 2\n[held_out]",
            "gate policy approvals: expected roles among approver, offi",
        ),
        (
            "[held_out]",
            "[approvals]\napprover = 3\nofficer = 0\n[held_out]",
            "gate policy approvals: expected at least 2 people, found approver = 3, officer = 0",
        ),
        (
            "[calibration]",
            '[[rules]]\nmetric = "recall"\nat_least = 0.1\n[calibration]',
            "gate policy rules: expected each rule once, found recall value True twice",
        ),
        ("[calibration]", "[overlap]\nmax_near_duplicates = -1\n[calibration]", "gate policy overlap.max_near_dup"),
    ],
)
def test_a_slip_of_the_pen_is_an_error(old: str, new: str, message: str) -> None:
    assert old in POLICY
    with pytest.raises(BadInput) as refusal:
        GatePolicy.from_toml(POLICY.replace(old, new, 1))
    assert str(refusal.value).startswith(message)


def test_a_policy_without_rules_is_an_error() -> None:
    with pytest.raises(BadInput, match="gate policy rules: expected a value, found none"):
        GatePolicy.from_toml('format = "casemate-gate-policy/1"\nname = "open"\n')


def test_only_the_officer_signs_a_policy(trust: Trust, policy: GatePolicy, now: datetime) -> None:
    text = policy.text.encode()
    assert load_policy(text, sign_policy(policy, pen_of("olivia")), trust, now=now) == policy
    with pytest.raises(BadSignature) as refusal:
        load_policy(text, sign_policy(policy, pen_of("bob")), trust, now=now)
    assert str(refusal.value) == "gate policy by bob: expected a key with role officer, found approver"
    lower = text.replace(b"0.70", b"0.10")
    with pytest.raises(
        BadSignature, match="gate policy: expected the bytes that the officer signed, found other bytes"
    ):
        load_policy(lower, sign_policy(policy, pen_of("olivia")), trust, now=now)
