"""What a training plan may say, and the learning rate at each step.

Rules. Every parameter is known, typed and bounded; an unknown one is refused, because a misspelt parameter that is
ignored is a wrong result. The values are the plan's: nothing is filled in silently that the plan does not show, so
recipes write them all out.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from casemate.errors import BadInput

START_INPUT = "input:"
_CHOICES = {"size": ("base", "debug"), "precision": ("fp32", "bf16")}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "steps": (1, 10_000_000),
    "batch": (1, 4096),
    "crop_px": (32, 4096),
    "scale_min": (0.05, 20),
    "scale_max": (0.05, 20),
    "anywhere": (0, 1),
    "weather": (0, 1),
    "lr": (0, 1e9),
    "backbone_lr": (0, 10),
    "weight_decay": (0, 10),
    "warmup_steps": (0, 1_000_000),
    "clip_norm": (1e-6, 1e9),
    "ema": (0, 1),
    "freeze": (0, 32),
    "input_scale": (0.1, 10),
    "object_px": (0, 512),
    "checkpoint_every": (1, 10_000_000),
    "report_every": (1, 10_000_000),
    "validate_every": (0, 10_000_000),
    "validation_share": (0, 0.9),
    "patience": (1, 1_000_000),
}


@dataclass(frozen=True)
class TrainingPlan:
    """The parameters of a training run; recipes return one, a plan carries its JSON."""

    size: str = "base"
    start: str = "base"
    """base (the shipped weights), random, or input:<name> (a model folder among the run's inputs)."""
    steps: int = 400
    batch: int = 8
    crop_px: int = 320
    scale_min: float = 0.8
    scale_max: float = 3.0
    """Crops are enlarged by a factor drawn between these two."""
    anywhere: float = 0.25
    """Share of crops that are taken anywhere, and not round a box."""
    weather: float = 1.0
    """Strength of the changes of light, colour, haze, blur and noise."""
    source_weights: Mapping[str, float] = field(default_factory=dict)
    """How often each input is drawn; by default by the root of its number of boxes."""
    lr: float = 2e-3
    backbone_lr: float = 0.25
    """The backbone's learning rate, as a share of `lr`."""
    weight_decay: float = 0.02
    warmup_steps: int = 60
    clip_norm: float = 5.0
    ema: float = 0.995
    freeze: int = 3
    """Parts of the backbone that do not learn: 1 the stem, 2 stem and first stage, …"""
    input_scale: float = 1.5
    """How much the finished model enlarges what it sees."""
    object_px: float = 0.0
    """Above 0: the three scales are multiplied so that 1 brings the data's median box to this many pixels a side."""
    checkpoint_every: int = 50
    report_every: int = 5
    validate_every: int = 0
    """Steps between two measures on images held out of training; 0: none, and no early stop."""
    validation_share: float = 0.0
    patience: int = 5
    """How many measures without a better one end the run; the best weights are kept."""
    precision: str = "fp32"
    compile: bool = False
    int8: bool = False

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainingPlan":
        """Read a plan's parameters: every one of them known, of its type and within its bounds."""
        known = {item.name: item for item in fields(cls)}
        for name in parameters:
            if name not in known:
                raise BadInput(
                    f"parameter {name}", expected=f"one of {', '.join(sorted(known))}", found="an unknown one"
                )
        plan = cls(**{name: _typed(name, value, getattr(cls(), name)) for name, value in parameters.items()})
        plan.check()
        return plan

    def check(self) -> None:
        """Refuse values out of bounds or that contradict one another."""
        for name, (low, high) in _BOUNDS.items():
            if not low <= getattr(self, name) <= high:
                raise BadInput(f"parameter {name}", expected=f"{low:g} to {high:g}", found=getattr(self, name))
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise BadInput(f"parameter {name}", expected=" or ".join(choices), found=repr(getattr(self, name)))
        if self.start not in {"base", "random"} and not self.start.startswith(START_INPUT):
            raise BadInput("parameter start", expected="base, random or input:<name>", found=repr(self.start))
        if self.crop_px % 32:
            raise BadInput("parameter crop_px", expected="a multiple of 32", found=self.crop_px)
        if self.scale_min > self.scale_max:
            raise BadInput(
                "parameter scale_min", expected=f"at most scale_max {self.scale_max:g}", found=self.scale_min
            )
        if self.validate_every and not self.validation_share:
            raise BadInput("parameter validation_share", expected="above 0 where validate_every is", found=0)

    def to_parameters(self) -> dict[str, Any]:
        """The JSON that goes into a plan."""
        return asdict(self)

    def fitted(self, median_px: float) -> "TrainingPlan":
        """The plan with its scales for boxes of this median side, kept between a quarter and eight times."""
        if not self.object_px:
            return self
        factor = min(max(self.object_px / max(median_px, 1e-6), 0.25), 8.0)
        scales = {name: round(factor * getattr(self, name), 4) for name in ("scale_min", "scale_max", "input_scale")}
        fitted = replace(self, object_px=0.0, **scales)
        fitted.check()
        return fitted

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step: a linear start, then a cosine down to 2 %."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        return warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


def _typed(name: str, value: Any, like: Any) -> Any:
    if isinstance(like, bool) or isinstance(value, bool):
        right = isinstance(like, bool) and isinstance(value, bool)
    elif isinstance(like, float):
        right = isinstance(value, int | float)
    elif isinstance(like, Mapping):
        right = isinstance(value, Mapping) and all(isinstance(v, int | float) and v >= 0 for v in value.values())
    else:
        right = isinstance(value, type(like))
    if not right:
        kind = "weights, each 0 or more" if isinstance(like, Mapping) else type(like).__name__
        raise BadInput(f"parameter {name}", expected=kind, found=repr(value))
    return float(value) if isinstance(like, float) else value
