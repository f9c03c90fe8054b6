"""Pickles, whatever they are called: the oldest look like text, and a file can be a pickle and something else as well.

Every file of an allowed type is followed as a pickle from its first byte, without running anything
(`casemate.airlock.pickles`). One that would load, or call something before it breaks, is refused.
"""

from __future__ import annotations

from pathlib import Path

from casemate.airlock.limits import ScanLimits
from casemate.airlock.pickles import EXPECTED, follow
from casemate.airlock.report import Finding

READS_EVERY_FILE = True


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"pickle_disguise": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether the file is a pickle, too."""
    with file.open("rb") as stream:
        walk = follow(stream)
    if not walk.is_pickle:
        return []
    names = f" that names {', '.join(walk.names[:3])}" if walk.names else ""
    return [Finding("pickle", EXPECTED, f"a pickle of {walk.steps} steps{names}, in a file of type {type_name}")]
