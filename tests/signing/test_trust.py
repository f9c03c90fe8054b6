from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, BadSignature
from casemate.signing.sign import Pen
from casemate.signing.statement import Statement, Subject
from casemate.signing.trust import ROLES, TRUST_TYPE, Trust, TrustedKey, load_trust, sign_trust
from tests.signing.conftest import pen_of

Pens = Callable[[str], Pen]
STATEMENT = Statement("urn:x", (Subject("a", "0" * 64),), {"k": 1})
instants = st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1)).map(lambda t: t.replace(microsecond=0, tzinfo=UTC))  # noqa: DTZ001
keys = st.builds(
    lambda name, roles, start, revoked: TrustedKey(
        name, pen_of("anne").public, roles, start, start + timedelta(days=1), revoked
    ),
    st.text(min_size=1, max_size=20).filter(lambda t: t.isprintable() and bool(t.strip())),
    st.frozensets(st.sampled_from(ROLES), min_size=1),
    instants,
    st.booleans(),
)


@given(st.lists(keys, max_size=1).map(tuple), st.integers(1, 2**40))
@settings(deadline=None, max_examples=100)
def test_what_is_printed_is_read_back(trusted: tuple[TrustedKey, ...], serial: int) -> None:
    trust = Trust(trusted, serial)
    assert Trust.from_toml(trust.to_toml()) == trust


def test_a_key_signs_in_its_role_and_its_window(trust: Trust, pens: Pens, now: datetime) -> None:
    envelope = pens("bob").sign(STATEMENT)
    statement, key = trust.statement(envelope, role="approver", predicate_type="urn:x", now=now)
    assert (statement, key.name) == (STATEMENT, "bob")


def test_another_role_is_refused(trust: Trust, pens: Pens, now: datetime) -> None:
    with pytest.raises(BadSignature) as refusal:
        trust.verify(pens("anne").sign(STATEMENT), role="approver", now=now, thing="approval")
    assert str(refusal.value) == "approval by anne: expected a key with role approver, found author"


@pytest.mark.parametrize("when", [datetime(2029, 12, 31, tzinfo=UTC), datetime(2031, 1, 2, tzinfo=UTC)])
def test_a_key_outside_its_window_is_refused_also_when_the_clock_is_set_back(
    trust: Trust, pens: Pens, when: datetime
) -> None:
    with pytest.raises(BadSignature) as refusal:
        trust.verify(pens("bob").sign(STATEMENT), role="approver", now=when)
    assert str(refusal.value) == (
        "envelope by bob: expected a key valid from 2030-01-01T00:00:00Z to 2031-01-01T00:00:00Z, "
        f"found time {when:%Y-%m-%dT%H:%M:%SZ}"
    )


def test_a_revoked_key_is_refused(trust: Trust, pens: Pens, now: datetime) -> None:
    revoked = Trust(tuple(replace(key, revoked=key.name == "bob") for key in trust.keys))
    with pytest.raises(BadSignature) as refusal:
        revoked.verify(pens("bob").sign(STATEMENT), role="approver", now=now)
    assert str(refusal.value) == "envelope by bob: expected a key in force, found a revoked key"


def test_a_key_that_is_not_in_the_file_is_refused(trust: Trust, pens: Pens, now: datetime) -> None:
    with pytest.raises(BadSignature, match="envelope signer: expected a trusted key, found key "):
        trust.verify(pens("eve").sign(STATEMENT), role="approver", now=now)
    with pytest.raises(BadSignature, match="signer: expected a trusted key, found key "):
        trust.by_id(pens("eve").public.keyid)


def test_a_statement_of_another_type_is_refused(trust: Trust, pens: Pens, now: datetime) -> None:
    with pytest.raises(BadSignature) as refusal:
        trust.statement(pens("bob").sign(STATEMENT), role="approver", predicate_type="urn:y", now=now)
    assert str(refusal.value) == "envelope statement: expected urn:y, found urn:x"


def test_one_key_under_two_names_is_refused_half_by_half(trust: Trust, pens: Pens) -> None:
    anne, bob = trust.keys[:2]
    for stolen in ({"p384": anne.public.p384}, {"mldsa65": anne.public.mldsa65}):
        double = replace(bob, public=replace(bob.public, **stolen))
        with pytest.raises(BadInput) as refusal:
            Trust((anne, double))
        assert str(refusal.value) == ("trust file: expected each half of a key once, found one key under anne and bob")


def test_the_officer_signs_the_file_and_nobody_else(trust: Trust, pens: Pens) -> None:
    officer = pens("olivia")
    text, envelope = sign_trust(trust, officer)
    assert load_trust(text, envelope, officer.public) == trust
    _, forged = sign_trust(trust, pens("bob"))
    with pytest.raises(BadSignature, match="trust file signer: expected a trusted key, found key "):
        load_trust(text, forged, officer.public)
    with pytest.raises(BadSignature) as refusal:
        load_trust(text.replace(b"approver", b"officer"), envelope, officer.public)
    assert str(refusal.value) == "trust file: expected the bytes that the officer signed, found other bytes"
    other = officer.sign_bytes("text/plain", text).to_json()
    with pytest.raises(BadSignature, match=f"trust file payload type: expected {TRUST_TYPE.replace('+', '.')}"):
        load_trust(text, other, officer.public)


def test_an_older_file_is_refused(trust: Trust, pens: Pens) -> None:
    text, envelope = sign_trust(trust, pens("olivia"))
    with pytest.raises(BadSignature) as refusal:
        load_trust(text, envelope, pens("olivia").public, serial_floor=2)
    assert str(refusal.value) == "trust file: expected serial 2 or later, found serial 1"


def test_the_file_is_strict(trust: Trust) -> None:
    text = Trust(trust.keys[:1]).to_toml()
    for old, new, message in (
        ("serial = 1", "serial = 0", "trust file serial: expected"),
        ("serial = 1", "serial = 1\nextra = 1", "trust file extra: expected no such key, found one"),
        (
            '"author"',
            '"king"',
            "trusted key anne roles: expected some of author, approver, sponsor, officer, site, found 'king'",
        ),
        ('"author"', '"author", "author"', "trust file key anne roles: expected each role once"),
        ("revoked = false", "revoked = 0", "trust file keys.0.revoked: expected"),
        ("revoked = false", "", "trust file keys.0.revoked: expected a value, found none"),
        ('keyid = "', 'keyid = "0', "trust file key anne keyid: expected"),
        ("2031-01-01", "2029-01-01", "expected not_after later than 2030-01-01T00:00:00Z"),
        ("2031-01-01T00:00:00Z", "2031-01-01T00:00:00", "instant: expected a time with its zone"),
        ('name = "anne"', 'name = "an\\nne"', "trusted key name: expected printable text on one line"),
        ("[[keys]]", "[[keys]", "trust file: expected TOML"),
    ):
        assert old in text
        with pytest.raises(BadInput) as refusal:
            Trust.from_toml(text.replace(old, new, 1))
        assert message in str(refusal.value)


def test_the_text_of_the_file_is_as_agreed(trust: Trust, golden: Callable[[str, str], None]) -> None:
    golden("signing/trust.toml", trust.to_toml())
