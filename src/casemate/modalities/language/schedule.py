"""What a training plan may say, and the learning rate at each step.

Rules. Every parameter is known, typed and bounded; an unknown one is refused, because a misspelt parameter that is
ignored is a wrong result. Recipes write them all out: nothing is filled in silently that the plan does not show.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from casemate.errors import BadInput

START_INPUT = "input:"
GGUF_TYPES = ("none", "f16", "q8_0", "q4_0")
_CHOICES = {
    "objective": ("text", "chat"),
    "tune": ("full", "lora"),
    "precision": ("fp32", "bf16"),
    "spread": ("auto", "ddp", "fsdp"),
    "gguf": GGUF_TYPES,
}
_BOUNDS: Mapping[str, tuple[float, float]] = {
    "lora_rank": (1, 1024),
    "lora_alpha": (0.01, 4096),
    "lora_dropout": (0, 0.9),
    "vocabulary": (260, 262_144),
    "layers": (1, 256),
    "width": (32, 65_536),
    "heads": (1, 1024),
    "kv_heads": (1, 1024),
    "feed_forward": (32, 262_144),
    "context": (8, 1_048_576),
    "batch": (1, 65_536),
    "micro_batch": (1, 65_536),
    "steps": (1, 10_000_000),
    "lr": (0, 1e9),
    "warmup_steps": (0, 1_000_000),
    "weight_decay": (0, 10),
    "beta2": (0.5, 0.9999),
    "clip_norm": (1e-6, 1e9),
    "checkpoint_every": (1, 10_000_000),
    "report_every": (1, 10_000_000),
    "validate_every": (0, 10_000_000),
    "validation_share": (0, 0.9),
    "patience": (1, 1_000_000),
}


@dataclass(frozen=True)
class TrainingPlan:
    """The parameters of a training run; recipes return one, a plan carries its JSON."""

    objective: str = "text"
    """text: every token of every document is learned; chat: those of the assistant's turns alone."""
    start: str = "random"
    """random, or input:<name> (a model folder among the run's inputs: input:base is the one given as --base)."""
    tune: str = "full"
    """full: all weights learn; lora: small matrices beside the linear layers learn, and are merged at the end."""
    lora_rank: int = 16
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    vocabulary: int = 8192
    """Size of the vocabulary that is made from the data; like the five below, only where the start is random."""
    layers: int = 6
    width: int = 256
    heads: int = 4
    kv_heads: int = 2
    feed_forward: int = 704
    context: int = 256
    """Tokens of a block: documents and conversations are packed into blocks, and see nothing of their neighbours."""
    batch: int = 16
    """Blocks of a step, over all processes."""
    micro_batch: int = 8
    """Blocks that a process holds at a time; gradients of a step are added up over as many passes as that takes."""
    steps: int = 400
    lr: float = 2e-3
    warmup_steps: int = 40
    weight_decay: float = 0.1
    beta2: float = 0.95
    clip_norm: float = 1.0
    checkpoint_every: int = 50
    report_every: int = 5
    validate_every: int = 0
    """Steps between two measures on records held out of training; 0: none, and no early stop."""
    validation_share: float = 0.0
    patience: int = 5
    """How many measures without a better one end the run; the best weights are kept."""
    precision: str = "fp32"
    """bf16 computes in half precision on GPUs, with weights and moments in fp32; ignored on processors."""
    recompute: bool = False
    """Compute activations again in the backward pass: slower, in much less memory."""
    spread: str = "auto"
    """How several processes share a run: ddp (a copy each), fsdp (a part of the weights each), auto: fsdp on GPUs."""
    gguf: str = "q8_0"
    """The type of the model.gguf that is written beside the weights: f16, q8_0, q4_0, or none."""

    @classmethod
    def from_parameters(cls, parameters: Mapping[str, Any]) -> "TrainingPlan":
        """Read a plan's parameters: every one of them known, of its type and within its bounds."""
        known = {item.name: item for item in fields(cls)}
        for name in parameters:
            if name not in known:
                expected = f"one of {', '.join(sorted(known))}"
                raise BadInput(f"parameter {name}", expected=expected, found="an unknown one")
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
        if self.start != "random" and not self.start.startswith(START_INPUT):
            raise BadInput("parameter start", expected="random or input:<name>", found=repr(self.start))
        if self.tune == "lora" and self.start == "random":
            raise BadInput("parameter tune", expected="full where the start is random", found="lora")
        if self.width % (2 * self.heads) or self.heads % self.kv_heads:
            expected = f"heads that divide half of width {self.width}, and kv_heads that divide heads"
            raise BadInput("parameter heads", expected=expected, found=f"{self.heads}, {self.kv_heads}")
        if self.validate_every and not self.validation_share:
            raise BadInput("parameter validation_share", expected="above 0 where validate_every is", found=0)

    def to_parameters(self) -> dict[str, Any]:
        """The JSON that goes into a plan."""
        return asdict(self)

    def rate(self, step: int) -> float:
        """The share of the learning rate at a step: a linear start, then a cosine down to 5 %."""
        warm = min(1.0, (step + 1) / max(self.warmup_steps, 1))
        return warm * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * step / self.steps)))


def _typed(name: str, value: Any, like: Any) -> Any:
    if isinstance(like, bool) or isinstance(value, bool):
        right = isinstance(like, bool) and isinstance(value, bool)
    elif isinstance(like, float):
        right = isinstance(value, int | float)
    else:
        right = isinstance(value, type(like))
    if not right:
        raise BadInput(f"parameter {name}", expected=type(like).__name__, found=repr(value))
    return float(value) if isinstance(like, float) else value
