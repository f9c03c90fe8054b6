"""What a plan of training a language model may say.

Rules. Every parameter is known, typed and bounded; an unknown one is refused. What is held out is measured after the
last step too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from casemate.errors import BadInput
from casemate.learning.schedule import Schedule

GGUF_TYPES = ("none", "f16", "q8_0", "q4_0")


@dataclass(frozen=True)
class TrainingPlan(Schedule):
    """The parameters of a training run; recipes return one, a plan carries its JSON."""

    BOUNDS: ClassVar[Mapping[str, tuple[float, float]]] = {
        **Schedule.BOUNDS,
        "batch": (1, 65_536),
        "micro_batch": (1, 65_536),
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
        "beta2": (0.5, 0.9999),
    }
    CHOICES: ClassVar[Mapping[str, Sequence[str]]] = {
        **Schedule.CHOICES,
        "objective": ("text", "chat"),
        "tune": ("full", "lora"),
        "spread": ("auto", "ddp", "fsdp"),
        "gguf": GGUF_TYPES,
    }

    start: str = "random"
    """random, or input:<name> (a model folder among the run's inputs: input:base is the one given as --base)."""
    batch: int = 16
    """Blocks of a step, over all processes."""
    weight_decay: float = 0.1
    objective: str = "text"
    """text: every token of every document is learned; chat: those of the assistant's turns alone."""
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
    micro_batch: int = 8
    """Blocks that a process holds at a time; gradients of a step are added up over as many passes as that takes."""
    beta2: float = 0.95
    recompute: bool = False
    """Compute activations again in the backward pass: slower, in much less memory."""
    spread: str = "auto"
    """How several processes share a run: ddp (a copy each), fsdp (a part of the weights each), auto: fsdp on GPUs."""
    gguf: str = "q8_0"
    """The type of the model.gguf that is written beside the weights: f16, q8_0, q4_0, or none."""

    def check(self) -> None:
        """Refuse values out of bounds or that contradict one another."""
        super().check()
        if self.tune == "lora" and self.start == "random":
            raise BadInput("parameter tune", expected="full where the start is random", found="lora")
        if self.width % (2 * self.heads) or self.heads % self.kv_heads:
            expected = f"heads that divide half of width {self.width}, and kv_heads that divide heads"
            raise BadInput("parameter heads", expected=expected, found=f"{self.heads}, {self.kv_heads}")

    def validates(self, step: int) -> bool:
        """Whether a measure is due: every so many steps, and after the last."""
        return super().validates(step) or (bool(self.validate_every) and step == self.steps)
