"""A marking (on a thing) and a clearance (of a person): values, compared and joined.

The lattice is a product: levels are a ladder, compartments grow by union, releasability shrinks by intersection.
Releasability None means "no caveat": any nationality may read. An empty releasability means that nobody may.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import reduce


@dataclass(frozen=True, order=True)
class Level:
    """A rung of the ladder; `code` is how it is written, `mention` says that it is protected but not classified."""

    rank: int
    code: str
    names: tuple[tuple[str, str], ...] = field(default=(), compare=False)
    mention: bool = field(default=False, compare=False)

    def name(self, language: str = "en") -> str:
        """Wording of the level in `language`, its code where there is none."""
        return dict(self.names).get(language, self.code)


@dataclass(frozen=True)
class Marking:
    """Level, need-to-know compartments and releasability of an entry."""

    level: Level
    compartments: frozenset[str] = frozenset()
    releasable_to: frozenset[str] | None = None

    def join(self, other: Marking) -> Marking:
        """The least marking at least as strict as both."""
        if self.releasable_to is None or other.releasable_to is None:
            releasable = other.releasable_to if self.releasable_to is None else self.releasable_to
        else:
            releasable = self.releasable_to & other.releasable_to
        return Marking(max(self.level, other.level), self.compartments | other.compartments, releasable)

    def within(self, ceiling: Marking) -> bool:
        """Whether this marking does not exceed `ceiling`."""
        return self.join(ceiling) == ceiling

    @staticmethod
    def join_all(first: Marking, rest: Iterable[Marking] = ()) -> Marking:
        """The join of one marking and any number of others."""
        return reduce(Marking.join, rest, first)

    def __str__(self) -> str:
        """Canonical text, `LEVEL//COMPARTMENT,…//REL TO AAA,…`; `Policy.parse` reads it back."""
        parts = [self.level.code]
        if self.compartments:
            parts.append(",".join(sorted(self.compartments)))
        if self.releasable_to is not None:
            parts.append("REL TO " + (",".join(sorted(self.releasable_to)) or "NONE"))
        return "//".join(parts)


@dataclass(frozen=True)
class Clearance:
    """What a person may read: up to a level, in these compartments, as this nationality (ISO 3166 alpha-3)."""

    level: Level
    compartments: frozenset[str] = frozenset()
    nationality: str = ""

    def dominates(self, marking: Marking) -> bool:
        """Whether a person with this clearance may read a thing with `marking`."""
        return (
            self.level >= marking.level
            and self.compartments >= marking.compartments
            and (marking.releasable_to is None or self.nationality in marking.releasable_to)
        )

    def __str__(self) -> str:
        """Canonical text, `LEVEL//COMPARTMENT,…//NATIONALITY`; `Policy.parse_clearance` reads it back."""
        compartments = [",".join(sorted(self.compartments))] if self.compartments else []
        return "//".join([self.level.code, *compartments, self.nationality])
