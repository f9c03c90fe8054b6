"""The steps of a run: how many, how large, at which learning rate, and when a report, a measure, a checkpoint is due.

Rules. A modality's plan of training is this and its own parameters, each with a default and, where it is a number, with
bounds. The values are the plan's: nothing is filled in silently that the plan does not show.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Self

from casemate.errors import BadInput
from casemate.learning.inputs import START_INPUT
from casemate.learning.parameters import require_among, require_known, require_within, typed


@dataclass(frozen=True)
class Schedule:
    """The parameters that every training has."""

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        "steps": (1, 10_000_000),
        "lr": (0, 1e9),
        "weight_decay": (0, 10),
        "warmup_steps": (0, 1_000_000),
        "clip_norm": (1e-6, 1e9),
        "checkpoint_every": (1, 10_000_000),
        "report_every": (1, 10_000_000),
        "validate_every": (0, 10_000_000),
        "validation_share": (0, 0.9),
        "patience": (1, 1_000_000),
    }
    CHOICES: ClassVar[Mapping[str, Sequence[str]]] = {"precision": ("fp32", "bf16")}
    STARTS: ClassVar[Sequence[str]] = ("random",)
    """What a run may start from beside input:<name>."""
    LAST_RATE: ClassVar[float] = 0.05
    """The share of the learning rate that is left at the end."""

    start: str = "random"
    """Where first weights come from: a word of the modality's, or input:<name> (a model folder among the inputs)."""
    steps: int = 400
    batch: int = 8
    lr: float = 2e-3
    weight_decay: float = 0.02
    warmup_steps: int = 40
    clip_norm: float = 1.0
    checkpoint_every: int = 50
    report_every: int = 5
    validate_every: int = 0
    """Steps between two measures on what is held out of training; 0: none, and no early stop."""
    validation_share: float = 0.0
    patience: int = 5
    """How many measures without a better one end the run; the best weights are kept."""
    precision: str = "fp32"
    """bf16 computes in half precision on GPUs, with weights and moments in fp32; ignored on processors."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> Self:
        """Read a plan's parameters: every one of them known, of its type and within its bounds."""
        defaults = cls()
        require_known(parameters, (item.name for item in fields(cls)))
        plan = cls(**{name: typed(name, value, getattr(defaults, name)) for name, value in parameters.items()})
        plan.check()
        return plan

    def to_parameters(self) -> dict[str, Any]:
        """The JSON that goes into a plan."""
        return asdict(self)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The plan with other values for some of its parameters."""
        return self.from_parameters({**self.to_parameters(), **changes})

    def check(self) -> None:
        """Refuse values out of bounds or that contradict one another; a modality adds its own."""
        require_within(self, self.BOUNDS)
        require_among(self, self.CHOICES)
        if self.start not in self.STARTS and not self.start.startswith(START_INPUT):
            expected = f"{', '.join(self.STARTS)} or {START_INPUT}<name>"
            raise BadInput("parameter start", expected=expected, found=repr(self.start))
        if self.validate_every and not self.validation_share:
            raise BadInput("parameter validation_share", expected="above 0 where validate_every is", found=0)

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step: a linear start, then a cosine down to `LAST_RATE`."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        left = self.LAST_RATE
        return warm * (left + (1 - left) * 0.5 * (1 + math.cos(math.pi * step / self.steps)))

    # ── what is due after so many steps ──────────────────────────────────────────────────────────────────────────────
    def reports(self, step: int) -> bool:
        """Whether a report is due."""
        return step % self.report_every == 0 or step == self.steps

    def validates(self, step: int) -> bool:
        """Whether a measure is due on what is held out."""
        return bool(self.validate_every) and step % self.validate_every == 0

    def saves(self, step: int) -> bool:
        """Whether a checkpoint is due."""
        return step % self.checkpoint_every == 0 or step == self.steps
