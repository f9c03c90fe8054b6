"""Recipes and plans of language training: whole, bounded, and refused where misspelt."""

from __future__ import annotations

import math
from typing import Any

import pytest

from casemate.errors import BadInput, NotFound
from casemate.modalities.language import recipes
from casemate.modalities.language.schedule import TrainingPlan


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_writes_out_every_parameter_and_reads_them_back(name: str) -> None:
    plan = recipes.find(name)()
    assert TrainingPlan.from_parameters(plan.to_parameters()) == plan
    assert recipes.find(name)(steps=7, lr=1).steps == 7


def test_recipes_are_found_by_name_and_the_usual_one_is_first() -> None:
    assert recipes.names()[0] == "fine_tune"
    with pytest.raises(NotFound, match=r"recipe: expected fine_tune or .* or debug, found 'magic'"):
        recipes.find("magic")


def test_the_learning_rate_warms_up_then_falls() -> None:
    plan = TrainingPlan(steps=100, warmup_steps=10)
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == pytest.approx(plan.rate(9), rel=0.02)
    assert rates[-1] == pytest.approx(0.05, abs=0.01)
    assert all(math.isfinite(rate) and rate > 0 for rate in rates)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepz": 3}, r"parameter stepz: expected one of .*, found an unknown one"),
        ({"steps": 0}, r"parameter steps: expected 1 to 1e\+07, found 0"),
        ({"steps": True}, r"parameter steps: expected int, found True"),
        ({"recompute": 1}, r"parameter recompute: expected bool, found 1"),
        ({"lr": "fast"}, r"parameter lr: expected float, found 'fast'"),
        ({"tune": "some"}, r"parameter tune: expected full or lora, found 'some'"),
        ({"start": "web"}, r"parameter start: expected random or input:<name>, found 'web'"),
        ({"tune": "lora"}, r"parameter tune: expected full where the start is random, found lora"),
        ({"heads": 5}, r"parameter heads: expected heads that divide half of width 32, .*, found 5, 1"),
        ({"validate_every": 2}, r"parameter validation_share: expected above 0 where validate_every is, found 0"),
        ({"gguf": "q9"}, r"parameter gguf: expected none or f16 or q8_0 or q4_0, found 'q9'"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        recipes.debug(**changes)
    with pytest.raises(BadInput, match=message):
        TrainingPlan.from_parameters({**recipes.debug().to_parameters(), **changes})
