"""The detector's network: EfficientNet-lite0 cut at stride 16, a trunk at stride 8, answers every 4 pixels.

Rules. The backbone's batch norms are frozen: their scale multiplies the weights at each step (as cheap as folding) and
never learns. The trunk works at stride 8, where a dense 3x3 convolution keeps a CPU busy; each of its cells answers for
the four stride-4 cells inside it (depth to space), and stride-4 features come in by a 2x2 convolution of stride 2.
Answers are raw: a logit per taxonomy node, conditional on the node's parent, and the logarithms of four distances in
cells. Input is uint8 RGB, NCHW, height and width multiples of 32; normalisation is the first layer. Why this shape:
docs/adr/0004-detector-architecture.md.
"""

from dataclasses import asdict, dataclass, field
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from casemate.errors import BadInput

STRIDE_PX = 4
MULTIPLE_PX = 32
MEAN, SPREAD = 127.0, 128.0
"""Normalisation of the ImageNet weights, the same for every band."""


@dataclass(frozen=True)
class Stage:
    """Inverted-residual blocks of one width; the first one carries the stride."""

    channels: int
    blocks: int
    kernel: int
    stride: int
    expand: int


LITE0 = (
    Stage(16, 1, 3, 1, 1),
    Stage(24, 2, 3, 2, 6),
    Stage(40, 2, 5, 2, 6),
    Stage(80, 3, 3, 2, 6),
    Stage(112, 3, 5, 1, 6),
)
TINY = (Stage(8, 1, 3, 1, 1), Stage(8, 1, 3, 2, 2), Stage(12, 1, 3, 2, 2), Stage(16, 1, 3, 2, 2))


@dataclass(frozen=True)
class Architecture:
    """All that decides the shapes of the weights, but for the number of nodes."""

    stem: int = 32
    stages: tuple[Stage, ...] = LITE0
    trunk: int = 64
    trunk_blocks: int = 2

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Any) -> "Architecture":
        """Read strictly what `to_json` wrote."""
        expected = set(cls.__dataclass_fields__)
        if not isinstance(facts, dict) or set(facts) != expected:
            raise BadInput("architecture", expected=sorted(expected), found=facts)
        try:
            stages = tuple(Stage(**stage) for stage in facts["stages"])
        except TypeError as wrong:
            raise BadInput("architecture stages", expected=sorted(Stage.__dataclass_fields__), found=wrong) from None
        return cls(int(facts["stem"]), stages, int(facts["trunk"]), int(facts["trunk_blocks"]))


SIZES = {
    "base": Architecture(),
    "debug": Architecture(stem=8, stages=TINY, trunk=16, trunk_blocks=1),
}


class FrozenNormConv(nn.Module):
    """A convolution whose batch norm is frozen: weights times a constant scale, plus a learnt bias.

    Padding is TensorFlow's SAME, as the ImageNet weights were trained: a stride-2 layer pads more at the end.
    """

    scale: Tensor

    def __init__(self, inside: int, outside: int, kernel: int, *, stride: int = 1, groups: int = 1) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outside, inside // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outside))
        self.register_buffer("scale", torch.ones(outside))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.kernel, self.stride, self.groups = kernel, stride, groups

    @property
    def pads(self) -> tuple[int, int]:
        """Zeros before and after, in both directions."""
        total = self.kernel - self.stride
        return total // 2, total - total // 2

    def forward(self, x: Tensor) -> Tensor:
        """Convolve with scaled weights."""
        weight = self.weight * self.scale[:, None, None, None]
        before, after = self.pads
        if before == after:
            return functional.conv2d(x, weight, self.bias, self.stride, before, 1, self.groups)
        x = functional.pad(x, (before, after, before, after))
        return functional.conv2d(x, weight, self.bias, self.stride, 0, 1, self.groups)


class InvertedResidual(nn.Module):
    """MobileNet's block, with ReLU6: expand, depthwise, project, and a shortcut where shapes allow one."""

    def __init__(self, inside: int, stage: Stage, *, stride: int) -> None:
        super().__init__()
        wide = inside * stage.expand
        self.expand = FrozenNormConv(inside, wide, 1) if stage.expand > 1 else nn.Identity()
        self.depthwise = FrozenNormConv(wide, wide, stage.kernel, stride=stride, groups=wide)
        self.project = FrozenNormConv(wide, stage.channels, 1)
        self.expands, self.shortcut = stage.expand > 1, stride == 1 and inside == stage.channels

    def forward(self, x: Tensor) -> Tensor:
        """Same height and width, or half of them."""
        y = functional.relu6(self.expand(x), inplace=True) if self.expands else x
        y = self.project(functional.relu6(self.depthwise(y), inplace=True))
        return x + y if self.shortcut else cast("Tensor", y)


class Backbone(nn.Module):
    """Features at strides 4, 8 and 16. `frozen` parts (0 none, 1 the stem, 2 stem and first stage, …) learn nothing."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.stem = FrozenNormConv(3, architecture.stem, 3, stride=2)
        self.stages = nn.ModuleList()
        inside, stride, last_at = architecture.stem, 2, {}
        for index, stage in enumerate(architecture.stages):
            strides = [stage.stride] + [1] * (stage.blocks - 1)
            widths = [inside] + [stage.channels] * (stage.blocks - 1)
            blocks = [InvertedResidual(w, stage, stride=s) for w, s in zip(widths, strides, strict=True)]
            self.stages.append(nn.Sequential(*blocks))
            inside, stride = stage.channels, stride * stage.stride
            last_at[stride] = index
        self.taps = [last_at[4], last_at[8], last_at[16]]
        self.widths = [architecture.stages[tap].channels for tap in self.taps]
        self.frozen = 0

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of strides 4, 8, 16, finest first."""
        features: list[Tensor] = []
        with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen < 1):
            x = functional.relu6(self.stem(x), inplace=True)
        for index, stage in enumerate(self.stages):
            with torch.set_grad_enabled(torch.is_grad_enabled() and self.frozen < index + 2):
                x = stage(x)
            if index in self.taps:
                features.append(x)
        return features


class NormConv(nn.Sequential):
    """Convolution, batch norm, ReLU."""

    def __init__(self, inside: int, outside: int, kernel: int, *, stride: int = 1, active: bool = True) -> None:
        conv = nn.Conv2d(inside, outside, kernel, stride=stride, padding=(kernel - 1) // 2, bias=False)
        super().__init__(
            conv, nn.BatchNorm2d(outside, momentum=0.05), nn.ReLU(inplace=True) if active else nn.Identity()
        )


class Residual(nn.Module):
    """Two dense 3x3 convolutions and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(NormConv(channels, channels, 3), NormConv(channels, channels, 3, active=False))

    def forward(self, x: Tensor) -> Tensor:
        """Same shape out as in."""
        return functional.relu(x + self.body(x), inplace=True)


@dataclass(frozen=True)
class Prior:
    """What an untrained network answers: how rare objects are, and how many cells from centre to edge."""

    objectness: float = 0.01
    half_size_cells: float = 3.0
    conditional: float = field(default=0.8)


class Detector(nn.Module):
    """uint8 RGB [B, 3, H, W] to logits [B, nodes, H/4, W/4] and log-distances [B, 4, H/4, W/4].

    Distances go from the cell's centre to the left, top, right and bottom edge, counted in cells.
    """

    def __init__(self, architecture: Architecture, nodes: int, *, prior: Prior | None = None) -> None:
        super().__init__()
        self.backbone = Backbone(architecture)
        fine, middle, coarse = self.backbone.widths
        width = architecture.trunk
        self.from_fine = NormConv(fine, width, 2, stride=2, active=False)
        self.from_middle = NormConv(middle, width, 1, active=False)
        self.from_coarse = NormConv(coarse, width, 1, active=False)
        self.trunk = nn.Sequential(*(Residual(width) for _ in range(architecture.trunk_blocks)))
        self.node_tower, self.box_tower = NormConv(width, width, 3), NormConv(width, width, 3)
        self.node_logits, self.box_logs = nn.Conv2d(width, 4 * nodes, 1), nn.Conv2d(width, 16, 1)
        self._set_prior(nodes, prior or Prior())

    def _set_prior(self, nodes: int, prior: Prior) -> None:
        rare = torch.logit(torch.tensor(prior.objectness))
        likely = torch.logit(torch.tensor(prior.conditional))
        bias = torch.cat([rare[None], likely.expand(nodes - 1)])
        with torch.no_grad():
            nn.init.normal_(self.node_logits.weight, std=0.01)
            nn.init.normal_(self.box_logs.weight, std=0.01)
            cast("Tensor", self.node_logits.bias).copy_(bias.repeat_interleave(4))
            cast("Tensor", self.box_logs.bias).fill_(torch.log(torch.tensor(prior.half_size_cells)))

    def forward(self, image_NCHW: Tensor) -> tuple[Tensor, Tensor]:
        """Normalise, extract, answer."""
        fine, middle, coarse = self.backbone((image_NCHW.float() - MEAN) * (1 / SPREAD))
        x = self.from_fine(fine) + self.from_middle(middle)
        x = x + functional.interpolate(self.from_coarse(coarse), scale_factor=2.0, mode="nearest")
        x = self.trunk(functional.relu(x, inplace=True))
        logits = functional.pixel_shuffle(self.node_logits(self.node_tower(x)), 2)
        distances = functional.pixel_shuffle(self.box_logs(self.box_tower(x)), 2)
        return logits, distances

    def freeze(self, parts: int) -> None:
        """Stop the first `parts` parts of the backbone (stem, then stages) from learning."""
        self.backbone.frozen = parts
        frozen = [self.backbone.stem, *self.backbone.stages][:parts]
        for module in frozen:
            module.requires_grad_(requires_grad=False)


def build(architecture: Architecture, nodes: int, *, seed: int) -> Detector:
    """A network with random weights that are a function of the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Detector(architecture, nodes)
