"""What a plan of training a detector may say.

Rules. Every parameter is known, typed and bounded; an unknown one is refused. Scales may be fitted to the data: what
they became is in the model.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

from casemate.errors import BadInput
from casemate.learning.schedule import Schedule


@dataclass(frozen=True)
class TrainingPlan(Schedule):
    """The parameters of a training run; recipes return one, a plan carries its JSON."""

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **Schedule.BOUNDS,
        "batch": (1, 4096),
        "crop_px": (32, 4096),
        "scale_min": (0.05, 20),
        "scale_max": (0.05, 20),
        "anywhere": (0, 1),
        "weather": (0, 1),
        "backbone_lr": (0, 10),
        "ema": (0, 1),
        "freeze": (0, 32),
        "input_scale": (0.1, 10),
        "object_px": (0, 512),
    }
    CHOICES: ClassVar[Mapping[str, Sequence[str]]] = {**Schedule.CHOICES, "size": ("base", "debug")}
    STARTS: ClassVar[Sequence[str]] = ("base", "random")
    LAST_RATE: ClassVar[float] = 0.02

    start: str = "base"
    """base (the shipped weights), random, or input:<name> (a model folder among the run's inputs)."""
    warmup_steps: int = 60
    clip_norm: float = 5.0
    size: str = "base"
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
    backbone_lr: float = 0.25
    """The backbone's learning rate, as a share of `lr`."""
    ema: float = 0.995
    freeze: int = 3
    """Parts of the backbone that do not learn: 1 the stem, 2 stem and first stage, …"""
    input_scale: float = 1.5
    """How much the finished model enlarges what it sees."""
    object_px: float = 0.0
    """Above 0: the three scales are multiplied so that 1 brings the data's median box to this many pixels a side."""
    compile: bool = False
    int8: bool = False

    def check(self) -> None:
        """Refuse values out of bounds or that contradict one another."""
        super().check()
        if self.crop_px % 32:
            raise BadInput("parameter crop_px", expected="a multiple of 32", found=self.crop_px)
        if self.scale_min > self.scale_max:
            raise BadInput(
                "parameter scale_min", expected=f"at most scale_max {self.scale_max:g}", found=self.scale_min
            )

    def fitted(self, median_px: float) -> "TrainingPlan":
        """The plan with its scales for boxes of this median side, kept between a quarter and eight times."""
        if not self.object_px:
            return self
        factor = min(max(self.object_px / max(median_px, 1e-6), 0.25), 8.0)
        scales = {name: round(factor * getattr(self, name), 4) for name in ("scale_min", "scale_max", "input_scale")}
        fitted = replace(self, object_px=0.0, **scales)
        fitted.check()
        return fitted
