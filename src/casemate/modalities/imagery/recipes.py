"""Recipes: functions that return the complete parameters of a training run, found by name.

Rules. A recipe is a pure function; what it returns is frozen into the plan, so that changing a recipe never changes a
run that was made. Each figure in one was measured (docs/adr/0004-detector-architecture.md). A recipe's keyword
arguments are the parameters that a person may reasonably change; any other goes through a plan of one's own.
"""

from typing import Any

from casemate.learning.recipes import Recipes
from casemate.modalities.imagery.schedule import TrainingPlan

_FINE_TUNE = TrainingPlan(
    start="base",
    steps=240,
    batch=8,
    crop_px=256,
    scale_min=0.55,
    scale_max=1.8,
    object_px=32.0,
    anywhere=0.4,
    lr=3e-3,
    backbone_lr=0.5,
    warmup_steps=30,
    ema=0.97,
    freeze=3,
    input_scale=1.0,
    checkpoint_every=50,
)
_BASE = TrainingPlan(start="input:imagenet", steps=1200, batch=8, crop_px=256, checkpoint_every=25)
_DEBUG = TrainingPlan(
    size="debug",
    start="random",
    steps=6,
    batch=2,
    crop_px=64,
    scale_min=0.8,
    scale_max=1.2,
    warmup_steps=2,
    ema=0.5,
    freeze=1,
    input_scale=1.0,
    checkpoint_every=2,
    report_every=1,
)


def fine_tune(**changes: Any) -> TrainingPlan:
    """From the shipped base weights to one's own classes, in minutes on two cores. The usual recipe."""
    return _FINE_TUNE.changed(changes)


def base(**changes: Any) -> TrainingPlan:
    """What made the shipped base weights, from a backbone that learnt ImageNet (an input named imagenet)."""
    return _BASE.changed(changes)


def debug(**changes: Any) -> TrainingPlan:
    """A tiny network from random weights for a few steps: proves that everything runs, and learns nothing."""
    return _DEBUG.changed(changes)


RECIPES = Recipes(fine_tune, base, debug)
names, find = RECIPES.names, RECIPES.find
