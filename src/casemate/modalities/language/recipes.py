"""Recipes: functions that return the complete parameters of a training run, found by name.

Rules. A recipe is a pure function; what it returns is frozen into the plan, so that changing a recipe never changes a
run that was made. A recipe's keyword arguments are the parameters of `schedule.TrainingPlan`.
"""

from typing import Any

from casemate.learning.recipes import Recipes
from casemate.modalities.language.schedule import TrainingPlan

_BASE = "input:base"
_FINE_TUNE = TrainingPlan(
    objective="chat",
    start=_BASE,
    tune="lora",
    context=1024,
    batch=16,
    micro_batch=1,
    steps=300,
    lr=2e-4,
    warmup_steps=10,
    weight_decay=0.0,
    beta2=0.999,
    validate_every=50,
    validation_share=0.05,
    precision="bf16",
    recompute=True,
)
_CONTINUE = TrainingPlan(
    objective="text",
    start=_BASE,
    tune="full",
    context=1024,
    batch=32,
    micro_batch=1,
    steps=1000,
    lr=2e-5,
    warmup_steps=50,
    validate_every=100,
    validation_share=0.02,
    precision="bf16",
    recompute=True,
)
_SMALL_FRENCH = TrainingPlan(
    objective="text",
    vocabulary=4096,
    layers=4,
    width=192,
    heads=4,
    kv_heads=2,
    feed_forward=512,
    context=128,
    batch=4,
    micro_batch=4,
    steps=2000,
    lr=2.5e-3,
    warmup_steps=100,
    beta2=0.99,
    checkpoint_every=100,
    report_every=20,
    validate_every=250,
    validation_share=0.1,
    patience=20,
)
_DEBUG = TrainingPlan(
    objective="text",
    vocabulary=300,
    layers=2,
    width=32,
    heads=2,
    kv_heads=1,
    feed_forward=64,
    context=32,
    batch=4,
    micro_batch=2,
    steps=6,
    lr=1e-2,
    warmup_steps=2,
    checkpoint_every=2,
    report_every=1,
    gguf="none",
)


def fine_tune(**changes: Any) -> TrainingPlan:
    """From a base model (--base) and conversations to an assistant of one's own, by LoRA (tune=full: all weights)."""
    return _FINE_TUNE.changed(changes)


def continue_pretraining(**changes: Any) -> TrainingPlan:
    """From a base model (--base) and texts: the model goes on reading, in the words of one's own documents."""
    return _CONTINUE.changed(changes)


def small_french(**changes: Any) -> TrainingPlan:
    """From nothing but texts: a vocabulary and a model of 2.4 million parameters, in minutes on two cores."""
    return _SMALL_FRENCH.changed(changes)


def debug(**changes: Any) -> TrainingPlan:
    """A tiny network from random weights for a few steps: proves that everything runs, and learns nothing."""
    return _DEBUG.changed(changes)


RECIPES = Recipes(fine_tune, continue_pretraining, small_french, debug)
names, find = RECIPES.names, RECIPES.find
