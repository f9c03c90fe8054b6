"""People with pens, and a trust that knows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from casemate.signing.trust import Trust, TrustedKey
from tests.gates.conftest import NOW, pen_of

PEOPLE = {"ines": "author", "paul": "sponsor", "serge": "sponsor", "claire": "officer", "port": "site"}


@pytest.fixture(scope="session")
def trust() -> Trust:
    start, end = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    return Trust(tuple(TrustedKey(n, pen_of(n).public, frozenset({r}), start, end) for n, r in PEOPLE.items()))


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW
