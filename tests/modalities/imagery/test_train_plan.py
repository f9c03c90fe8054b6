from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from casemate.errors import BadInput, NotFound
from casemate.modalities.imagery import recipes
from casemate.modalities.imagery.checkpoint import Checkpoint, newest_checkpoint, save_checkpoint
from casemate.modalities.imagery.schedule import TrainingPlan
from casemate.modalities.imagery.validate import divide
from tests.modalities.imagery.training_runs import squares


@pytest.mark.parametrize("name", recipes.names())
def test_a_recipe_is_json_and_reads_back_as_itself(name: str) -> None:
    plan = recipes.find(name)()
    assert TrainingPlan.from_parameters(json.loads(json.dumps(plan.to_parameters()))) == plan


def test_an_unknown_recipe_lists_those_that_there_are() -> None:
    with pytest.raises(NotFound, match="recipe: expected fine_tune or base or debug, found 'huge'"):
        recipes.find("huge")


def test_a_recipe_takes_changes_and_refuses_what_it_does_not_know() -> None:
    assert recipes.fine_tune(steps=7).steps == 7
    with pytest.raises(BadInput, match=r"parameter stepps: expected one of .*steps.*, found an unknown one"):
        recipes.fine_tune(stepps=7)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stepps": 5}, "parameter stepps: expected one of "),
        ({"steps": "5"}, "parameter steps: expected int, found '5'"),
        ({"steps": True}, "parameter steps: expected int, found True"),
        ({"compile": 1}, "parameter compile: expected bool, found 1"),
        ({"steps": 0}, "parameter steps: expected 1 to 1e+07, found 0"),
        ({"lr": float("nan")}, "parameter lr: expected 0 to 1e+09, found nan"),
        ({"crop_px": 100}, "parameter crop_px: expected a multiple of 32, found 100"),
        ({"scale_min": 4.0}, "parameter scale_min: expected at most scale_max 3, found 4.0"),
        ({"size": "huge"}, "parameter size: expected base or debug, found 'huge'"),
        ({"start": "imagenet"}, "parameter start: expected base, random or input:<name>, found 'imagenet'"),
        ({"source_weights": {"a": -1}}, "parameter source_weights: expected weights, each 0 or more, found {'a': -1}"),
        ({"validate_every": 5}, "parameter validation_share: expected above 0 where validate_every is, found 0"),
    ],
)
def test_a_parameter_that_is_wrong_is_refused_with_both_values(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        TrainingPlan.from_parameters(changes)


def test_the_learning_rate_rises_then_falls_to_two_percent() -> None:
    plan = TrainingPlan(steps=100, warmup_steps=10)
    rates = [plan.rate(step) for step in range(100)]
    assert rates[0] < rates[5] < rates[10]
    assert all(after <= before for before, after in itertools.pairwise(rates[10:]))
    assert rates[-1] == pytest.approx(0.02, abs=1e-3)


def test_scales_fit_themselves_to_the_median_box_within_bounds() -> None:
    plan = TrainingPlan(object_px=32.0, scale_min=0.5, scale_max=2.0, input_scale=1.0)
    fitted = plan.fitted(16.0)
    assert (fitted.scale_min, fitted.scale_max, fitted.input_scale) == (1.0, 4.0, 2.0)
    assert plan.fitted(0.001).input_scale == 8.0
    assert plan.fitted(9000.0).input_scale == 0.25
    assert TrainingPlan(object_px=0.0).fitted(16.0) == TrainingPlan()


def test_a_checkpoint_gives_back_tensors_facts_and_the_state_of_chance(tmp_path: Path) -> None:
    torch.manual_seed(5)
    kept = Checkpoint({"a": torch.arange(6.0).reshape(2, 3).T}, {"best": 0.25})
    save_checkpoint(tmp_path, 7, kept, plan_digest="p")
    drawn = torch.rand(3)
    back = newest_checkpoint(tmp_path, plan_digest="p")
    assert back is not None
    torch.testing.assert_close(back.tensors["a"], kept.tensors["a"], rtol=0, atol=0)
    assert (back.facts["step"], back.facts["best"]) == (7, 0.25)
    torch.testing.assert_close(torch.rand(3), drawn, rtol=0, atol=0)


def test_the_newest_two_checkpoints_are_kept_and_nothing_half_written(tmp_path: Path) -> None:
    (tmp_path / ".step-000000001.safetensors.99").write_bytes(b"half of one, from a run that was killed")
    for step in (5, 10, 15):
        save_checkpoint(tmp_path, step, Checkpoint({}, {}), plan_digest="p")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-000000010.safetensors", "step-000000015.safetensors"]


def test_a_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    (tmp_path / "step-000000005.safetensors").write_bytes(b"\x08\x00")
    with pytest.raises(BadInput, match=r"step-000000005.safetensors: expected a whole checkpoint, found"):
        newest_checkpoint(tmp_path, plan_digest="p")


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path / "absent", plan_digest="p") is None


def test_held_out_images_are_always_the_same_and_never_all(tmp_path: Path) -> None:
    dataset = squares(tmp_path, images=6)
    taught, held = divide(dataset, 0.34)
    assert [i.path for i in divide(dataset, 0.34)[1].images] == [i.path for i in held.images]
    assert len(held.images) == 2
    assert {i.path for i in taught.images} | {i.path for i in held.images} == {i.path for i in dataset.images}
    assert len(divide(dataset, 0.9)[0].images) == 1
    assert divide(dataset, 0.0)[1].images == ()
