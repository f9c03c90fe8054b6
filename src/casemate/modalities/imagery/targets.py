"""Which positions answer for which box: a soft, quality-aware assignment (after RTMDet's dynamic soft labels).

Rules. A position is a candidate for a box when its centre lies in the box, or at most one cell from the box's centre,
so that a box smaller than a cell still has four. Among candidates the cheapest are taken, where cost joins how well
the node is scored, how well the box fits and how near the centre is; how many is the sum of the ten best overlaps, at
least one. A position wanted by two boxes goes to the cheaper. Positions inside a box marked difficult are neither
positive nor negative. Everything here is without gradient.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from casemate.modalities.imagery.network import STRIDE_PX

NEGATIVE, IGNORED = -1, -2
_MOST_POSITIVES = 10


@dataclass(frozen=True)
class Truth:
    """The boxes of one crop, in pixels of the crop, and what its data set labels without exception."""

    boxes_xyxy_px: Tensor  # float32 [G, 4]
    nodes: Tensor  # int64 [G], index in the taxonomy
    difficult: Tensor  # bool [G]
    exhaustive: Tensor  # bool [nodes]: absence of a label means absence of the thing


@dataclass(frozen=True)
class Assignment:
    """For each position: the box it answers for (or NEGATIVE, IGNORED), and the overlap of its present answer."""

    box: Tensor  # int64 [P]
    quality: Tensor  # float32 [P]


def positions_xy_px(height: int, width: int) -> Tensor:
    """Centres of the answering cells, float32 [P, 2], row by row."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return (torch.stack([x, y], -1).reshape(-1, 2).float() + 0.5) * STRIDE_PX


def boxes_from_logs(logs: Tensor, centres_xy_px: Tensor) -> Tensor:
    """Boxes xyxy in pixels [..., P, 4] from log-distances [..., P, 4] in cells."""
    distances = torch.exp(logs.clamp(max=6.0)) * STRIDE_PX
    return torch.cat([centres_xy_px - distances[..., :2], centres_xy_px + distances[..., 2:]], -1)


def pairwise_iou(a: Tensor, b: Tensor) -> Tensor:
    """Overlap of each box of `a` [G, 4] with each of `b` [P, 4]: [G, P]."""
    corner_0 = torch.maximum(a[:, None, :2], b[None, :, :2])
    corner_1 = torch.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = (corner_1 - corner_0).clamp(min=0).prod(-1)
    area_a, area_b = (a[:, 2:] - a[:, :2]).prod(-1), (b[:, 2:] - b[:, :2]).prod(-1)
    return shared / (area_a[:, None] + area_b[None] - shared).clamp(min=1e-6)


def _inside(boxes: Tensor, centres: Tensor) -> Tensor:
    return ((centres[None] > boxes[:, None, :2]) & (centres[None] < boxes[:, None, 2:])).all(-1)


@torch.no_grad()
def assign(probabilities: Tensor, boxes_xyxy_px: Tensor, centres_xy_px: Tensor, truth: Truth) -> Assignment:
    """Give each box its positions, from the present answers: absolute probabilities [P, nodes] and boxes [P, 4]."""
    count = len(centres_xy_px)
    box = torch.full((count,), NEGATIVE, dtype=torch.int64, device=centres_xy_px.device)
    quality = torch.zeros(count, device=centres_xy_px.device)
    ignored = _inside(truth.boxes_xyxy_px[truth.difficult], centres_xy_px).any(0)
    box[ignored] = IGNORED
    kept = torch.nonzero(~truth.difficult)[:, 0]
    if len(kept) == 0:
        return Assignment(box, quality)
    wanted = truth.boxes_xyxy_px[kept]
    middle = (wanted[:, :2] + wanted[:, 2:]) / 2
    offset_cells = (centres_xy_px[None] - middle[:, None]) / STRIDE_PX
    candidate = _inside(wanted, centres_xy_px) | (offset_cells.abs() <= 1.0).all(-1)
    near = torch.nonzero(candidate.any(0))[:, 0]
    candidate, offset_cells = candidate[:, near], offset_cells[:, near]
    overlap = pairwise_iou(wanted, boxes_xyxy_px[near]) * candidate
    cost = _cost(overlap, probabilities[near][:, truth.nodes[kept]].T, offset_cells)
    taken = _cheapest(cost.masked_fill(~candidate, torch.inf), overlap)
    winner = cost.masked_fill(~taken, torch.inf).argmin(0)
    positive = taken.any(0)
    box[near[positive]] = kept[winner[positive]]
    quality[near[positive]] = overlap[winner[positive], torch.nonzero(positive)[:, 0]]
    return Assignment(box, quality)


def _cost(overlap: Tensor, probability: Tensor, offset_cells: Tensor) -> Tensor:
    p = probability.clamp(1e-6, 1 - 1e-6)
    surprise = -(overlap * p.log() + (1 - overlap) * (1 - p).log()) * (overlap - p).abs().square()
    far = torch.pow(10.0, offset_cells.square().sum(-1).sqrt() - 3.0)
    return surprise - 3.0 * (overlap + 1e-7).log() + far


def _cheapest(cost: Tensor, overlap: Tensor) -> Tensor:
    """Mark, for each box, its k cheapest candidates: k is the sum of its best overlaps, at least one."""
    most = min(_MOST_POSITIVES, cost.shape[1])
    wanted = overlap.topk(most, dim=1).values.sum(1).int().clamp(min=1)
    order = cost.topk(most, dim=1, largest=False)
    rank = torch.arange(most, device=cost.device)[None]
    chosen = (rank < wanted[:, None]) & torch.isfinite(order.values)
    return torch.zeros_like(cost, dtype=torch.bool).scatter_(1, order.indices, chosen)
