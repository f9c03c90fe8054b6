"""What an answer costs: hierarchical, quality-aware, and silent about what was never labelled.

Rules. A node's logit is conditional on its parent; a node's absolute probability is the product down its path. The
likelihood follows what a data set says, and no more:

- at a position that answers for a box, the root learns the box's overlap (quality focal loss), the nodes of the label's
  path learn 1 and their siblings 0; what lies deeper than the label learns nothing;
- at any other position, each node that the crop's data set labels exhaustively learns that its *absolute* probability
  is 0, so the blame goes to the factor that earned it; other nodes learn nothing;
- inside a box marked difficult nothing is learnt but through other boxes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from casemate.modalities.imagery.targets import (
    NEGATIVE,
    Assignment,
    Truth,
    assign,
    boxes_from_logs,
    positions_xy_px,
)


@dataclass(frozen=True)
class Tree:
    """A taxonomy as tensors: `above[n, m]` when m is n or an ancestor of n; `beside[n, m]` when a label n denies m."""

    above: Tensor  # bool [nodes, nodes]
    beside: Tensor  # bool [nodes, nodes]

    @classmethod
    def of(cls, parents: Sequence[int]) -> "Tree":
        """From each node's parent index (-1 for the root, which is first; parents come before children)."""
        count = len(parents)
        above = torch.eye(count, dtype=torch.bool)
        for node, parent in enumerate(parents):
            if parent >= 0:
                above[node] |= above[parent]
        parent_of = torch.tensor(list(parents))
        siblings = (parent_of[:, None] == parent_of[None]) & ~torch.eye(count, dtype=torch.bool)
        beside = (above.float() @ siblings.float()) > 0
        return cls(above, beside & ~above)

    def to(self, device: torch.device) -> "Tree":
        """The same on another device."""
        return Tree(self.above.to(device), self.beside.to(device))

    def log_absolute(self, logits: Tensor) -> Tensor:
        """Logarithms of absolute probabilities [..., nodes] from conditional logits [..., nodes]."""
        return functional.logsigmoid(logits) @ self.above.to(logits.dtype).T

    def topmost(self, nodes: Tensor) -> Tensor:
        """Of a set of nodes (bool [nodes]), those without an ancestor in the set: the others follow from them."""
        strictly_above = self.above & ~torch.eye(len(self.above), dtype=torch.bool)
        return nodes & ~(strictly_above & nodes[None]).any(1)


@dataclass(frozen=True)
class Loss:
    """The three parts, each a scalar, already divided by the batch's total quality."""

    presence: Tensor
    nodes: Tensor
    boxes: Tensor

    @property
    def total(self) -> Tensor:
        """What is minimised."""
        return self.presence + self.nodes + 2.0 * self.boxes


def detection_loss(logits: Tensor, logs: Tensor, truths: Sequence[Truth], tree: Tree) -> Loss:
    """Loss of raw answers [B, nodes, h, w] and [B, 4, h, w] against the truths of B crops."""
    centres = positions_xy_px(*logits.shape[2:]).to(logits.device)
    logits, logs = logits.float().flatten(2).transpose(1, 2), logs.float().flatten(2).transpose(1, 2)
    boxes, log_p = boxes_from_logs(logs, centres), tree.log_absolute(logits)
    presence, nodes, extent = logits.new_zeros(()), logits.new_zeros(()), logits.new_zeros(())
    weight = logits.new_zeros(())
    for index, truth in enumerate(truths):
        found = assign(log_p[index].exp(), boxes[index], centres, truth)
        presence = presence + _absence(log_p[index], found, truth, tree)
        positive = torch.nonzero(found.box >= 0)[:, 0]
        if len(positive) == 0:
            continue
        quality, owner = found.quality[positive], found.box[positive]
        presence = presence + _quality_focal(logits[index, positive, 0], quality).sum()
        nodes = nodes + (_path(logits[index, positive], truth.nodes[owner], tree) * quality).sum()
        misfit = 1 - generalised_iou(boxes[index, positive], truth.boxes_xyxy_px[owner])
        extent = extent + (misfit * quality).sum()
        weight = weight + quality.sum()
    share = weight.clamp(min=1.0)
    return Loss(presence / share, nodes / share, extent / share)


def _absence(log_p: Tensor, found: Assignment, truth: Truth, tree: Tree) -> Tensor:
    known = tree.topmost(truth.exhaustive)
    log_absent = log_p[found.box == NEGATIVE][:, known].clamp(max=-1e-6)
    p = log_absent.exp()
    return (p.square() * -torch.log1p(-p)).sum()


def _quality_focal(logit: Tensor, quality: Tensor) -> Tensor:
    gap = (quality - logit.sigmoid()).abs().square()
    return functional.binary_cross_entropy_with_logits(logit, quality, reduction="none") * gap


def _path(logits: Tensor, labels: Tensor, tree: Tree) -> Tensor:
    yes, no = tree.above[labels].to(logits.dtype), tree.beside[labels].to(logits.dtype)
    yes[:, 0] = 0.0  # the root has its own, quality-aware part
    return -(functional.logsigmoid(logits) * yes + functional.logsigmoid(-logits) * no).sum(-1)


def generalised_iou(a: Tensor, b: Tensor) -> Tensor:
    """GIoU of paired boxes [N, 4]: 1 when equal, below 0 when far apart."""
    shared = (torch.minimum(a[:, 2:], b[:, 2:]) - torch.maximum(a[:, :2], b[:, :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[:, 2:], b[:, 2:]) - torch.minimum(a[:, :2], b[:, :2])).prod(-1).clamp(min=1e-6)
    union = (a[:, 2:] - a[:, :2]).prod(-1) + (b[:, 2:] - b[:, :2]).prod(-1) - shared
    return shared / union.clamp(min=1e-6) - (hull - union) / hull
