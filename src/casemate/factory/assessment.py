"""What is assessed: what a person wants put, everything that answers, and where the answers stand.

Rules. Values alone. An assistant is named by the digest of all its parts and of what it searches, so that figures are
never those of two.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from casemate.catalog import Entry
from casemate.errors import BadInput
from casemate.factory.means import PASSAGES
from casemate.markings import Marking
from casemate.modalities import find
from casemate.signing.canonical import dump
from casemate.store import Digest

THING = "assessment"


@dataclass(frozen=True)
class Wanted:
    """What is to be assessed, and how much of it; 0 means all. `among` names document sets, empty: all."""

    sets: tuple[str, ...]
    name: str
    project: str
    engine: str = ""
    limit: int = PASSAGES
    questions: int = 0
    attacks: int = 0
    among: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.sets:
            raise BadInput(THING, expected="at least one set of questions or of attacks", found="none")
        for name, value in (("questions", self.questions), ("attacks", self.attacks)):
            if value < 0:
                raise BadInput(f"{THING}, {name}", expected="a whole number from 0", found=value)


@dataclass(frozen=True)
class Parts:
    """Everything that answers: the engine, the embedder, what is searched; and the facts that name their versions."""

    engine: str
    entries: tuple[Entry, ...]
    markings: tuple[Marking, ...]
    searched: tuple[Entry, ...]
    facts: Mapping[str, Any]

    @property
    def digest(self) -> Digest:
        """What names this very assistant, over these very documents."""
        return Digest.of_bytes(dump(dict(self.facts)))


@dataclass(frozen=True)
class Bench:
    """What is put to whom: the sets, what is drawn of them, where its answers stand, and what is left out."""

    wanted: Wanted
    sets: tuple[Entry, ...]
    datasets: tuple[Any, ...]
    puts: tuple[tuple[Any, Entry], ...]
    places: Mapping[str, frozenset[tuple[str, str]]]
    left_out: int


def rules() -> ModuleType:
    """The rules by which answers are judged; they are language's."""
    return find("language").module("assessment")
