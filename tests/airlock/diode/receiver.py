"""A receiver in a process of its own, for tests that kill it.

    python -m tests.airlock.diode.receiver ADDRESS INTO IDLE_S

It prints `listening ADDRESS`, `block DONE TOTAL` as blocks arrive, and at the end `whole FOLDER` or `missing LINE`.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from casemate.airlock.diode import Address, Patience, receive

CHECKOUT = Path(__file__).resolve().parents[3]


def main() -> None:
    address, into, idle_s = sys.argv[1:]

    def say(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    result = receive(
        Address.parse(address),
        Path(into),
        patience=Patience(idle_s=float(idle_s), deadline_s=120),
        progress=lambda done, total, _unit: say("block", done, total),
        on_listening=lambda bound: say("listening", bound),
    )
    for outcome in result.outcomes:
        say(*(("missing", outcome.missing.to_text()) if outcome.missing else ("whole", outcome.folder)))
    say("end", result.tally)


class Receiver:
    """Such a process, seen from a test."""

    def __init__(self, into: Path, *, address: str = "127.0.0.1:0", idle_s: float = 5.0, prefix: tuple[str, ...] = ()):
        argv = [*prefix, sys.executable, "-m", "tests.airlock.diode.receiver", address, str(into), str(idle_s)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
        self.address = Address.parse(self.next("listening")[0])

    def next(self, word: str) -> list[str]:
        """What it says after the next `word`."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            first, *rest = line.split(maxsplit=2)
            if first == word:
                return rest
        raise AssertionError(f"the receiver ended without saying {word}")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def end(self) -> list[list[str]]:
        """What it said to its end."""
        said, _ = self.process.communicate(timeout=150)
        assert self.process.returncode == 0
        return [line.split(maxsplit=1) for line in said.splitlines()]


if __name__ == "__main__":
    main()
