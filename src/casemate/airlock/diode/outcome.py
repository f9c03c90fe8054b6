"""What a receiver says at the end."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from casemate.airlock.diode.missing import Missing


@dataclass(frozen=True)
class Outcome:
    """One bundle: `folder` where it is whole, else what is missing. Whole says nothing of who sent it."""

    session: bytes
    folder: Path | None
    missing: Missing | None
    blocks: int
    size: int

    @property
    def whole(self) -> bool:
        """Whether every block and every file was verified."""
        return self.folder is not None


@dataclass
class Tally:
    """How many packets or dropped files came, and what became of them."""

    taken: int = 0
    not_ours: int = 0
    repeated: int = 0
    lies: int = 0
    forgotten: int = 0

    @property
    def ours(self) -> int:
        """What belonged to a session that is wanted."""
        return self.taken + self.repeated


@dataclass(frozen=True)
class Received:
    """The bundles that were seen, why others were refused, and the count of what came."""

    outcomes: tuple[Outcome, ...]
    refused: tuple[str, ...]
    tally: Tally = field(default_factory=Tally)
