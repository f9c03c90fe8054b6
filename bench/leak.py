"""Ten thousand attempts of lower readers on secrets planted above them: `python bench/leak.py [ATTEMPTS] [SEED]`.

Search, questions (answered by `quote`), readings of every kind and the routes of the API, with injections, names half
heard, filters on what is above, forged ceilings. Each attempt is also made on a twin that never had what is above the
reader, and must be told the same there; pairs are a secret and one that was never planted, each on both sites. It
prints how many attempts were made by each door and how many leaked, and ends with 1 if any did.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.factory.town import found
from tests.leaks import TOPS, Field, attempts, plant, seated, tried

from casemate.factory.desk import utc_now


@dataclass(frozen=True)
class Tried:
    """What came of the attempts of one reader."""

    secrets: int
    made: Counter[str]
    leaks: list[str]


def main(many: int, seed: int) -> int:
    """Plant, try, count."""
    start = time.monotonic()
    with ProcessPoolExecutor(len(TOPS), get_context("spawn")) as pool:
        tries = dict(zip(TOPS, pool.map(_tries, TOPS, repeat(many // 2), repeat(seed)), strict=True))
    seconds = time.monotonic() - start
    made = sum((each.made for each in tries.values()), Counter[str]())
    leaks = [told for each in tries.values() for told in each.leaks]
    total = sum(count for door, count in made.items() if door != "pairs")
    above = ", ".join(f"{who} ({TOPS[who]}) {each.secrets}" for who, each in tries.items())
    print(f"secrets above the readers: {above}")
    print("attempts by door: " + ", ".join(f"{door} {count}" for door, count in sorted(made.items())))
    print(f"attempts {total}, leaks {len(leaks)}, {seconds:.0f} s, seed {seed}")
    for told in leaks[:10]:
        print(told[:2000])
    return 1 if leaks else 0


def _site(root: Path, seed: int, top: str) -> Field:
    return plant(found(root, clock=utc_now), random.Random(seed), top)  # noqa: S311


def _tries(who: str, many: int, seed: int) -> Tried:
    with tempfile.TemporaryDirectory(prefix="casemate-leak-") as folder:
        planted, twin = (_site(Path(folder) / top, seed, top) for top in ("S", TOPS[who]))
        so_far = Tried(len(planted.secrets[who]), Counter(), [])
        asyncio.run(_attempted((planted, twin), who, many, seed, so_far))
    return so_far


async def _attempted(sites: tuple[Field, Field], who: str, many: int, seed: int, so_far: Tried) -> None:
    chance = random.Random(f"{seed} {who}")  # noqa: S311
    async with seated(*sites, who) as seats:
        for attempt, _ in zip(attempts(sites[0], who, chance), range(many), strict=False):
            told = await tried(seats, who, attempt, chance)
            so_far.made[attempt.door] += 1
            so_far.made["pairs"] += bool(attempt.never)
            if told:
                so_far.leaks.append(f"{who}: {told}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
