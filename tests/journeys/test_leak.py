"""Nothing above a reader is told to them: secrets planted higher, and hundreds of attempts by lower readers.

`bench/leak.py` makes ten thousand.
"""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from casemate.factory.desk import utc_now
from tests.factory.town import Town, found
from tests.leaks import TOPS, Attempt, Field, Seat, Secret, attempts, leak, plant, seated, tried

ATTEMPTS = 150
SEED = 20


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Field:
    return site(tmp_path_factory.mktemp("leaks") / "town")


def site(root: Path, top: str = "S") -> Field:
    return plant(found(root, clock=utc_now), random.Random(SEED), top)  # noqa: S311


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
@pytest.mark.parametrize("who", TOPS)
async def test_no_attempt_of_a_lower_reader_is_told_what_is_above_them(
    planted: Field, tmp_path: Path, who: str
) -> None:
    chance = random.Random(f"{SEED} {who}")  # noqa: S311
    doors: Counter[str] = Counter()
    async with seated(planted, site(tmp_path / "twin", TOPS[who]), who) as seats:
        for attempt, _ in zip(attempts(planted, who, chance), range(ATTEMPTS), strict=False):
            assert not await tried(seats, who, attempt, chance)
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


@pytest.mark.anyio
async def test_an_answer_that_differs_from_the_twins_is_a_leak_and_identifiers_are_none(tmp_path: Path) -> None:
    sites = [Field(Town(tmp_path / name, utc_now), {"tom": []}, {"tom": ["a" * 26]}) for name in ("town", "twin")]
    seats = tuple(Seat(each, None, None) for each in sites)  # type: ignore[arg-type]

    async def told(*answers: str) -> str:
        kept = iter(answers)

        async def ask(seat: Seat, words: str) -> str:
            return f"{words} {next(kept)} {seat.planted.town.root}"

        return await tried(seats, "tom", Attempt("door", "who", ask), random.Random(SEED))  # type: ignore[arg-type]  # noqa: S311

    assert not await told(f"vs_{'b' * 26} at 2030-01-01T10:00:00Z", f"vs_{'c' * 26} at 2030-01-02T11:00:00Z")
    assert "otherwise on the twin" in await told("refused", "answered")
    assert "otherwise on the twin" in await told(f"{'b' * 26} {'b' * 26}", f"{'b' * 26} {'c' * 26}")
    assert "otherwise on the twin" in await told("a" * 26, "b" * 26)
