"""The loop of a run: what happens after which step, when it ends early, and where it goes on."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

import pytest

from casemate.errors import Diverged
from casemate.learning.ahead import Ahead
from casemate.learning.progress import Progress, go_on, require_finite
from casemate.learning.schedule import Schedule

NAN = float("nan")


@dataclass
class Walker:
    """A learner that writes down what it is asked, and whose measures are given."""

    figures: list[float | None]
    progress: Progress = field(default_factory=lambda: Progress(lower_is_better=True))
    log: list[str] = field(default_factory=list)

    def learn(self, step: int) -> str:
        self.log.append(f"learn {step}")
        return f"loss of {step}"

    def report(self, step: int, loss: str) -> None:
        self.log.append(f"report {step} {loss}")

    def measure(self, step: int) -> float | None:
        self.log.append(f"measure {step}")
        return self.figures.pop(0)

    def keep(self) -> None:
        self.log.append("keep")

    def save(self) -> None:
        self.log.append("save")


def schedule(steps: int, patience: int = 2) -> Schedule:
    return Schedule(
        steps=steps, report_every=3, checkpoint_every=2, validate_every=2, validation_share=0.5, patience=patience
    )


def test_after_a_step_come_report_measure_and_checkpoint_where_each_is_due() -> None:
    walker = Walker([3.0, 2.0])
    go_on(walker, schedule(5))
    assert walker.log == [
        "learn 0", "learn 1", "measure 2", "keep", "save", "learn 2", "report 3 loss of 2", "learn 3", "measure 4",
        "keep", "save", "learn 4", "report 5 loss of 4", "save",
    ]  # fmt: skip


def test_a_run_goes_on_from_where_its_checkpoint_was_written() -> None:
    walker = Walker([1.0])
    walker.progress.go_back({"step": 3, "best": 2.0, "worse_rounds": 1, "stopped": False})
    go_on(walker, schedule(4))
    assert walker.log == ["learn 3", "report 4 loss of 3", "measure 4", "keep", "save"]


def test_as_many_measures_in_a_row_as_patience_that_are_not_better_stop_the_run_with_a_checkpoint() -> None:
    walker = Walker([2.0, 2.0, 1.0, 3.0, NAN])
    go_on(walker, schedule(100))
    assert walker.progress.step == 10
    assert (walker.progress.best, walker.progress.stopped) == (1.0, True)
    assert walker.log[-2:] == ["measure 10", "save"]
    stopped = len(walker.log)
    go_on(walker, schedule(100))
    assert len(walker.log) == stopped


def test_where_nothing_is_held_out_no_measure_counts() -> None:
    walker = Walker([None, None, None])
    go_on(walker, schedule(6))
    assert (walker.progress.best, walker.progress.worse_rounds, "keep" in walker.log) == (None, 0, False)


def test_higher_may_be_better_and_nan_never_is() -> None:
    progress = Progress(lower_is_better=False)
    assert [progress.hears(figure, patience=9) for figure in (NAN, 0.0, 0.2, 0.1)] == [False, True, True, False]
    assert (progress.best, progress.worse_rounds) == (0.2, 1)


def test_a_checkpoint_of_earlier_versions_whose_best_is_below_all_figures_is_read() -> None:
    progress = Progress(lower_is_better=False)
    progress.go_back({"step": 2, "best": -1.0, "worse_rounds": 0, "stopped": False})
    assert progress.hears(0.0, patience=1)


def test_what_a_checkpoint_keeps_brings_it_back() -> None:
    progress = Progress(lower_is_better=True, step=4, best=0.5, worse_rounds=1, stopped=True)
    again = Progress(lower_is_better=True)
    again.go_back({"step": 4, **progress.facts()})
    assert again == progress


def test_a_loss_that_is_not_a_number_names_its_step() -> None:
    require_finite("loss", 1e30, 3, 8)
    with pytest.raises(Diverged, match="loss at step 3 of 8: expected a finite number, found inf"):
        require_finite("loss", float("inf"), 3, 8)


def test_what_the_next_step_needs_is_made_while_the_present_one_is_learned() -> None:
    made = [threading.Event() for _ in range(4)]

    def make(step: int) -> int:
        made[step].set()
        return step * step

    with Ahead(make) as ahead:
        assert ahead.take(1) == 1
        assert made[2].wait(timeout=10)  # without being asked
        assert ahead.take(2) == 4
    assert not made[0].is_set()


def test_what_could_not_be_made_is_raised_at_its_step() -> None:
    def make(step: int) -> int:
        if step == 1:
            raise ValueError("no pixels")
        return step

    with Ahead(make) as ahead:
        assert ahead.take(0) == 0
        with pytest.raises(ValueError, match="no pixels"):
            ahead.take(1)
