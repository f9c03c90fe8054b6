"""What is being evaluated: the plan, the sets, and how far it has come."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar

from casemate.compute.metrics import append_metric
from casemate.compute.plan import Plan
from casemate.modalities.language.corpus import LanguageDataset
from casemate.modalities.language.evaluation.figures import Figure
from casemate.modalities.language.evaluation.settings import Settings


class _Named(Protocol):
    @property
    def id(self) -> str: ...


Item = TypeVar("Item", bound=_Named)


@dataclass
class Task:
    """An evaluation under way; `total` grows as its parts say how much there is to do."""

    plan: Plan
    workdir: Path
    asked: Settings
    dataset: LanguageDataset
    done: int = 0
    total: int = 0

    @property
    def model_dir(self) -> Path:
        """The model's verified files."""
        return self.workdir / "inputs" / "model"

    @property
    def seed(self) -> int:
        """The plan's seed."""
        return self.plan.seed

    def step(self) -> None:
        """One item further."""
        self.done += 1
        append_metric(self.workdir, self.done, max(self.total, self.done), items=self.done)

    def drawn(self, items: Sequence[Item], most: int) -> list[Item]:
        """At most so many items (0: all), drawn by the seed and their ids, in their own order."""
        if not most or len(items) <= most:
            return list(items)
        chosen = sorted(items, key=lambda item: hashlib.sha256(f"{self.seed} {item.id}".encode()).digest())[:most]
        kept = {item.id for item in chosen}
        return [item for item in items if item.id in kept]


@dataclass(frozen=True)
class Sample:
    """One exchange for the dossier."""

    kind: str
    asked: str
    answered: str
    outcome_en: str
    outcome_fr: str
    good: bool

    def to_json(self) -> dict[str, Any]:
        """As scores.json holds it, cut to what a page can show."""
        return {**vars(self), "asked": _cut(self.asked), "answered": _cut(self.answered)}


@dataclass
class Found:
    """What a part of an evaluation found."""

    metrics: dict[str, Figure] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)

    def add(self, other: Found) -> None:
        """Another part's findings beside these."""
        self.metrics |= other.metrics
        self.counts |= other.counts
        self.samples += other.samples


_MOST_CHARACTERS = 600


def _cut(text: str) -> str:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return plain if len(plain) <= _MOST_CHARACTERS else plain[: _MOST_CHARACTERS - 1] + "…"
