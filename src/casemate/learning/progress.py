"""How far a run has come and how its measures went, and the loop that takes it further, one step after another.

Rules. What a step is, is the learner's. After a step come, each where it is due: a report, a measure on what is held
out, a checkpoint. A measure that is better than all before is kept; as many in a row as the schedule's patience that
are not end the run. All processes of a run take the same steps and hear the same measures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from casemate.errors import Diverged
from casemate.learning.schedule import Schedule

Loss = TypeVar("Loss")


@dataclass
class Progress:
    """Steps taken, the best measure, and how many since were worse."""

    lower_is_better: bool
    step: int = 0
    best: float | None = None
    worse_rounds: int = 0
    stopped: bool = False

    def hears(self, figure: float, *, patience: int) -> bool:
        """Whether a measure is the best so far; after as many as `patience` that are not, the run is stopped."""
        if math.isfinite(figure) and (self.best is None or self._better(figure, self.best)):
            self.best, self.worse_rounds = figure, 0
            return True
        self.worse_rounds += 1
        self.stopped = self.worse_rounds >= patience
        return False

    def facts(self) -> dict[str, Any]:
        """What a checkpoint keeps of it, beside the step."""
        return {"best": self.best, "worse_rounds": self.worse_rounds, "stopped": self.stopped}

    def go_back(self, facts: Mapping[str, Any]) -> None:
        """Be where a checkpoint was written."""
        self.step, self.worse_rounds = int(facts["step"]), int(facts["worse_rounds"])
        self.best = None if facts["best"] is None else float(facts["best"])
        self.stopped = bool(facts["stopped"])

    def _better(self, figure: float, than: float) -> bool:
        return figure < than if self.lower_is_better else figure > than


class Learner(Protocol[Loss]):
    """What a modality says of its training; `step` counts those taken, from 1 after the first."""

    @property
    def progress(self) -> Progress:
        """How far it has come."""

    def learn(self, step: int) -> Loss:
        """Take the step that follows `step` others, and give its loss."""

    def report(self, step: int, loss: Loss) -> None:
        """Say how it goes."""

    def measure(self, step: int) -> float | None:
        """The figure on what is held out, the same in every process; None where nothing is."""

    def keep(self) -> None:
        """Keep the present weights as the best."""

    def save(self) -> None:
        """Write a checkpoint."""


def go_on(learner: Learner[Loss], schedule: Schedule) -> None:
    """Take the steps that are left."""
    progress = learner.progress
    while progress.step < schedule.steps and not progress.stopped:
        loss = learner.learn(progress.step)
        progress.step += 1
        if schedule.reports(progress.step):
            learner.report(progress.step, loss)
        if schedule.validates(progress.step):
            figure = learner.measure(progress.step)
            if figure is not None and progress.hears(figure, patience=schedule.patience):
                learner.keep()
        if progress.stopped or schedule.saves(progress.step):
            learner.save()


def require_finite(what: str, value: float, step: int, steps: int) -> None:
    """Diverged, naming the step, where a loss is not a number."""
    if not math.isfinite(value):
        raise Diverged(f"{what} at step {step} of {steps}", expected="a finite number", found=value)
