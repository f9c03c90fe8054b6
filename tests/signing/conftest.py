"""Pens that need no key file, the same in every run, and a trust that knows them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from casemate.signing.sign import Pen
from casemate.signing.trust import Trust, TrustedKey

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)


@cache
def pen_of(name: str) -> Pen:
    seed = hashlib.sha256(name.encode()).digest()
    classic = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP384R1())
    return Pen(classic, mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))


@pytest.fixture(scope="session")
def pens() -> Callable[[str], Pen]:
    return pen_of


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def trust() -> Trust:
    start, end = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    people = {"anne": "author", "bob": "approver", "carol": "approver", "olivia": "officer", "harbour": "site"}
    return Trust(tuple(TrustedKey(n, pen_of(n).public, frozenset({r}), start, end) for n, r in people.items()))
