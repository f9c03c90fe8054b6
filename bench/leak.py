"""Ten thousand attempts of lower readers on secrets planted above them: `python bench/leak.py [ATTEMPTS] [SEED]`.

Search, questions (answered by `quote`), readings of every kind and the routes of the API, with injections, names half
heard, filters on what is above, forged ceilings; and pairs of a secret and one that was never planted, whose answers
must be equal. It prints how many attempts were made by each door and how many leaked, and ends with 1 if any did.
"""

from __future__ import annotations

import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tests.console.conftest import opened
from tests.factory.town import found
from tests.leaks import Field, attempts, plant, tried

from casemate.console import Bounds
from casemate.factory.desk import utc_now


def main(many: int, seed: int) -> int:
    """Plant, try, count."""
    with tempfile.TemporaryDirectory(prefix="casemate-leak-") as folder:
        planted = plant(found(Path(folder) / "town", clock=utc_now), random.Random(seed))  # noqa: S311
        made: Counter[str] = Counter()
        leaks: list[str] = []
        start = time.monotonic()
        for who in ("tom", "ines"):
            asyncio.run(_tries(planted, who, many // 2, seed, made, leaks))
        seconds = time.monotonic() - start
    total = sum(count for door, count in made.items() if door != "pairs")
    print(
        f"secrets above the readers: tom (NP) {len(planted.secrets['tom'])}, ines (DR) {len(planted.secrets['ines'])}"
    )
    print("attempts by door: " + ", ".join(f"{door} {count}" for door, count in sorted(made.items())))
    print(f"attempts {total}, leaks {len(leaks)}, {seconds:.0f} s, seed {seed}")
    for told in leaks[:10]:
        print(told[:2000])
    return 1 if leaks else 0


async def _tries(planted: Field, who: str, many: int, seed: int, made: Counter[str], leaks: list[str]) -> None:
    chance = random.Random(f"{seed} {who}")  # noqa: S311
    with opened(planted.town, Bounds(requests_a_minute=10_000_000)) as place:
        async with place.client(who, project="open" if who == "tom" else "harbour") as client:
            for attempt, _ in zip(attempts(planted, who, chance, client), range(many), strict=False):
                told = await tried(planted, who, attempt, chance)
                made[attempt.door] += 1
                made["pairs"] += bool(attempt.whole)
                if told:
                    leaks.append(f"{who}: {told}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
