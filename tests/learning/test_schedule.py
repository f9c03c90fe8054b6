"""Schedules: parameters that are known, typed and bounded; the learning rate; what is due, and when."""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from casemate.errors import BadInput, NotFound
from casemate.learning.inputs import inputs
from casemate.learning.recipes import Recipes
from casemate.learning.schedule import Schedule


@dataclass(frozen=True)
class Sums(Schedule):
    """A schedule of a modality that learns sums."""

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {**Schedule.BOUNDS, "terms": (1, 9)}
    STARTS: ClassVar[tuple[str, ...]] = ("base", "random")

    terms: int = 2
    carry: bool = False
    shares: Mapping[str, float] = field(default_factory=dict)


def quick(**changes: Any) -> Sums:
    """Few steps."""
    return Sums(steps=6, checkpoint_every=4, report_every=3, validate_every=2, validation_share=0.5).changed(changes)


def long(**changes: Any) -> Sums:
    """Many steps."""
    return Sums(steps=1000).changed(changes)


def test_a_schedule_reads_back_what_it_wrote_and_a_whole_number_will_do_for_a_float() -> None:
    plan = quick(lr=1, terms=3, shares={"a": 2})
    assert Sums.from_parameters(plan.to_parameters()) == plan
    assert isinstance(plan.lr, float)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepps": 5}, "parameter stepps: expected one of batch, carry, checkpoint_every, "),
        ({"steps": "5"}, "parameter steps: expected int, found '5'"),
        ({"steps": True}, "parameter steps: expected int, found True"),
        ({"carry": 1}, "parameter carry: expected bool, found 1"),
        ({"lr": "fast"}, "parameter lr: expected float, found 'fast'"),
        ({"steps": 0}, "parameter steps: expected 1 to 1e+07, found 0"),
        ({"lr": float("nan")}, "parameter lr: expected 0 to 1e+09, found nan"),
        ({"terms": 10}, "parameter terms: expected 1 to 9, found 10"),
        ({"precision": "fp8"}, "parameter precision: expected fp32 or bf16, found 'fp8'"),
        ({"start": "web"}, "parameter start: expected base, random or input:<name>, found 'web'"),
        ({"shares": {"a": -1}}, "parameter shares: expected weights, each 0 or more, found {'a': -1}"),
        ({"validate_every": 5}, "parameter validation_share: expected above 0 where validate_every is, found 0"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_with_both_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        Sums.from_parameters(changes)
    with pytest.raises(BadInput, match=re.escape(message)):
        Sums().changed(changes)


def test_the_learning_rate_rises_in_a_line_then_falls_to_what_is_left() -> None:
    plan = Sums(steps=100, warmup_steps=10)
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[0] < rates[5] < rates[9]
    assert all(after <= before for before, after in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(Sums.LAST_RATE, abs=1e-3)


def test_what_is_due_is_due_every_so_many_steps_and_a_report_and_a_checkpoint_after_the_last() -> None:
    plan, steps = quick(steps=7), range(1, 8)
    assert [step for step in steps if plan.reports(step)] == [3, 6, 7]
    assert [step for step in steps if plan.validates(step)] == [2, 4, 6]
    assert [step for step in steps if plan.saves(step)] == [4, 7]
    assert not any(Sums().validates(step) for step in range(1, 500))


def test_recipes_are_found_by_name_the_usual_one_first() -> None:
    recipes = Recipes(quick, long)
    assert recipes.names() == ["quick", "long"]
    assert recipes.find("long")(terms=3).terms == 3
    with pytest.raises(NotFound, match="recipe: expected quick or long, found 'huge'"):
        recipes.find("huge")


def test_inputs_are_data_sets_but_for_the_model_that_a_run_starts_from() -> None:
    assert inputs(["b", "base", "a"], "input:base").datasets == ("a", "b")
    assert inputs(["b", "base", "a"], "input:base").older == "base"
    assert inputs(["base"], "random").datasets == ("base",)
    message = r"parameter start: expected an input among a, b \(a base model is given as --base\), found gone"
    with pytest.raises(BadInput, match=message):
        inputs(["a", "b"], "input:gone")
    with pytest.raises(BadInput, match="inputs: expected at least one data set, found none"):
        inputs(["base"], "input:base")
