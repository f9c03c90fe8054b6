"""Recipes and plans of language training: whole, bounded, and refused where misspelt."""

from __future__ import annotations

from typing import Any

import pytest

from casemate.errors import BadInput
from casemate.modalities.language import recipes
from casemate.modalities.language.schedule import TrainingPlan


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_writes_out_every_parameter_and_reads_them_back(name: str) -> None:
    plan = recipes.find(name)()
    assert TrainingPlan.from_parameters(plan.to_parameters()) == plan
    assert recipes.find(name)(steps=7, lr=1).steps == 7


def test_the_usual_recipe_is_first() -> None:
    assert recipes.names()[0] == "fine_tune"


def test_the_learning_rate_falls_to_five_percent() -> None:
    assert TrainingPlan(steps=100, warmup_steps=10).rate(99) == pytest.approx(0.05, abs=1e-3)


def test_what_is_held_out_is_measured_after_the_last_step_too() -> None:
    plan = TrainingPlan(steps=7, validate_every=3, validation_share=0.1)
    assert [step for step in range(1, 8) if plan.validates(step)] == [3, 6, 7]
    assert not TrainingPlan(steps=7).validates(7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tune": "some"}, r"parameter tune: expected full or lora, found 'some'"),
        ({"start": "web"}, r"parameter start: expected random or input:<name>, found 'web'"),
        ({"tune": "lora"}, r"parameter tune: expected full where the start is random, found lora"),
        ({"heads": 5}, r"parameter heads: expected heads that divide half of width 32, .*, found 5, 1"),
        ({"gguf": "q9"}, r"parameter gguf: expected none or f16 or q8_0 or q4_0, found 'q9'"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        recipes.debug(**changes)
    with pytest.raises(BadInput, match=message):
        TrainingPlan.from_parameters({**recipes.debug().to_parameters(), **changes})
