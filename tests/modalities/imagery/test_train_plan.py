from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import BadInput
from casemate.modalities.imagery import recipes
from casemate.modalities.imagery.schedule import TrainingPlan
from casemate.modalities.imagery.validate import divide
from tests.modalities.imagery.training_runs import squares


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_json_and_reads_back_as_itself(name: str) -> None:
    plan = recipes.find(name)()
    assert TrainingPlan.from_parameters(json.loads(json.dumps(plan.to_parameters()))) == plan
    assert recipes.find(name)(steps=7).steps == 7


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_px": 100}, "parameter crop_px: expected a multiple of 32, found 100"),
        ({"scale_min": 4.0}, "parameter scale_min: expected at most scale_max 3, found 4.0"),
        ({"size": "huge"}, "parameter size: expected base or debug, found 'huge'"),
        ({"start": "imagenet"}, "parameter start: expected base, random or input:<name>, found 'imagenet'"),
        ({"source_weights": {"a": -1}}, "parameter source_weights: expected weights, each 0 or more, found {'a': -1}"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_with_both_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        TrainingPlan.from_parameters(changes)


def test_the_learning_rate_falls_to_two_percent() -> None:
    assert TrainingPlan(steps=100, warmup_steps=10).rate(99) == pytest.approx(0.02, abs=1e-3)


def test_scales_fit_themselves_to_the_median_box_within_bounds() -> None:
    plan = TrainingPlan(object_px=32.0, scale_min=0.5, scale_max=2.0, input_scale=1.0)
    fitted = plan.fitted(16.0)
    assert (fitted.scale_min, fitted.scale_max, fitted.input_scale) == (1.0, 4.0, 2.0)
    assert plan.fitted(0.001).input_scale == 8.0
    assert plan.fitted(9000.0).input_scale == 0.25
    assert TrainingPlan(object_px=0.0).fitted(16.0) == TrainingPlan()


def test_held_out_images_are_always_the_same_and_never_all(tmp_path: Path) -> None:
    dataset = squares(tmp_path, images=6)
    taught, held = divide(dataset, 0.34)
    assert [i.path for i in divide(dataset, 0.34)[1].images] == [i.path for i in held.images]
    assert len(held.images) == 2
    assert {i.path for i in taught.images} | {i.path for i in held.images} == {i.path for i in dataset.images}
    assert len(divide(dataset, 0.9)[0].images) == 1
    assert divide(dataset, 0.0)[1].images == ()
