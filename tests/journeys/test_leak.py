"""Nothing above a reader is told to them: secrets planted higher, and hundreds of attempts by lower readers.

`bench/leak.py` makes ten thousand.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from casemate.console import Bounds
from casemate.factory.desk import utc_now
from tests.console.conftest import opened
from tests.factory.town import found
from tests.leaks import Field, Secret, attempts, leak, plant, tried

ATTEMPTS = 150
SEED = 20


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Field:
    town = found(tmp_path_factory.mktemp("leaks") / "town", clock=utc_now)
    return plant(town, random.Random(SEED))  # noqa: S311


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("who", ["tom", "ines"])
async def test_no_attempt_of_a_lower_reader_is_told_what_is_above_them(planted: Field, who: str) -> None:
    chance = random.Random(f"{SEED} {who}")  # noqa: S311
    bounds = Bounds(requests_a_minute=1_000_000)
    doors: Counter[str] = Counter()
    with opened(planted.town, bounds) as place:
        project = "open" if who == "tom" else "harbour"
        async with place.client(who, project=project) as client:
            for attempt, _ in zip(attempts(planted, who, chance, client), range(ATTEMPTS), strict=False):
                assert not await tried(planted, who, attempt, chance)
                doors[attempt.door] += 1
    assert min(doors[door] for door in ("search", "ask", "read", "chat", "collections")) > 5, doors


def test_what_is_planted_is_there_for_who_may_read_it(planted: Field, tmp_path: Path) -> None:
    """The proof would be worth nothing if the secrets could not be found at all."""
    lea = planted.town.acting("lea")
    told = repr(
        [lea.search("mot de passe du bâtiment", limit=50), lea.entries(), lea.projects(), lea.journal(limit=500)]
    )
    missed = [s for s in planted.secrets["tom"] if s.hidden not in told]
    # A file's name stands in the document's list, not in a passage.
    sets = [row["id"] for row in lea.entries(kind="documents")]
    told += repr([lea.documents(entry) for entry in sets])
    assert [s for s in missed if s.hidden not in told] == []
    assert leak(planted, "tom", told) is not None
    assert tmp_path


def test_a_leak_would_be_seen_however_it_is_spelt() -> None:
    secret = Secret("KABCDE", "FGHJKLMNPQRS", "S")
    planted = Field(None, {"tom": [secret]}, {})  # type: ignore[arg-type]
    for told in ("...FGHJKLMNPQRS...", "f-g-h-j k l m n p q r s", "SRQPNMLKJHGF", "KABCDEFGHJKLMNPQRS"):
        assert leak(planted, "tom", told) is secret
    assert leak(planted, "tom", "KABCDE") is None
