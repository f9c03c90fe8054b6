"""One shard: the passages of one marking, as their reader opened them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from casemate.markings import Marking


@dataclass(frozen=True)
class Shard:
    """The generation of a shard that was in force when it was opened."""

    folder: Path
    marking: Marking


def open_shard(folder: Path, marking: Marking) -> Shard:
    """The shard in `folder` as it is now; one that was never written is empty."""
    return Shard(folder, marking)
