"""From the network's raw answers to boxes with a score for each node. numpy only: no PyTorch, no engine.

Rules. A box's score is its root's probability: something is there. Positions below `score_min` are dropped before
anything is computed for them; of the rest only those that no neighbour outdoes are boxes, and of boxes that overlap
more than `overlap_max` the best stays, whatever their classes (one object is one object). Node scores are absolute
probabilities, never higher for a node than for its parent, in the order of the model's taxonomy.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.imagery.taxonomy import Taxonomy

Floats = NDArray[np.float32]

SCORE_MIN = 0.05
OVERLAP_MAX = 0.5
MOST_BOXES = 5000
_MOST_LOG_CELLS = 6.0


@dataclass(frozen=True)
class Detections:
    """What was found in one image: boxes [N, 4] in its pixels and scores [N, nodes], best first."""

    boxes_xyxy_px: Floats
    scores: Floats

    def __len__(self) -> int:
        """How many boxes."""
        return len(self.boxes_xyxy_px)


def decode(
    outputs: Sequence[NDArray[Any]],
    config: Mapping[str, Any],
    *,
    score_min: float = SCORE_MIN,
    overlap_max: float = OVERLAP_MAX,
) -> list[Detections]:
    """Detections of each image of a batch.

    `outputs` are the model's logits [B, nodes, h, w] (each conditional on its parent) and logarithms of distances
    [B, 4, h, w] in cells (left, top, right, bottom); `config` is the model's model.json. Boxes are in pixels of the
    tensor that went in: divide by `input.scale` and clip to the image where those differ.
    """
    logits, logs = (np.asarray(output, np.float32) for output in outputs)
    parents = parents_of(config)
    if logits.shape[1] != len(parents) or logs.shape[1] != 4:
        expected = f"{len(parents)} nodes and 4 distances a position, as in model.json"
        raise BadInput("model outputs", expected=expected, found=f"{logits.shape[1]} and {logs.shape[1]}")
    stride_px = int(config["strides"][0])
    return [
        _decode_one(*pair, parents, stride_px=stride_px, score_min=score_min, overlap_max=overlap_max)
        for pair in zip(logits, logs, strict=True)
    ]


def parents_of(config: Mapping[str, Any]) -> list[int]:
    """Each node's parent by index, -1 for the root, from the taxonomy in a model.json."""
    taxonomy = Taxonomy.from_json(config["taxonomy"], source="model.json, taxonomy")
    parents = [taxonomy.parent(name) for name in taxonomy.names]
    return [-1 if parent is None else taxonomy.index(parent) for parent in parents]


def _decode_one(
    logits: Floats, logs: Floats, parents: Sequence[int], *, stride_px: int, score_min: float, overlap_max: float
) -> Detections:
    floor = np.log(max(score_min, 1e-6)) - np.log1p(-min(score_min, 1 - 1e-6))
    rows, columns = _peaks(logits[0], np.float32(floor))
    order = np.argsort(-logits[0, rows, columns], kind="stable")[:MOST_BOXES]
    rows, columns = rows[order], columns[order]
    centres = (np.stack([columns, rows], 1).astype(np.float32) + 0.5) * stride_px
    sides = np.exp(np.minimum(logs[:, rows, columns].T, _MOST_LOG_CELLS)) * stride_px
    boxes = np.concatenate([centres - sides[:, :2], centres + sides[:, 2:]], 1).astype(np.float32)
    kept = suppress(boxes, overlap_max=overlap_max)
    return Detections(boxes[kept], node_scores(logits[:, rows[kept], columns[kept]].T, parents))


def _peaks(score: Floats, floor: np.float32) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Positions at or above the floor that none of their eight neighbours exceeds."""
    rows, columns = np.nonzero(score >= floor)
    if len(rows) == 0:
        return rows, columns
    framed = np.pad(score, 1, constant_values=-np.inf)
    around = [framed[rows + i, columns + j] for i in range(3) for j in range(3) if (i, j) != (1, 1)]
    peak = score[rows, columns] >= np.max(around, axis=0)
    return rows[peak], columns[peak]


def node_scores(logits: Floats, parents: Sequence[int]) -> Floats:
    """Absolute probabilities [N, nodes] from conditional logits [N, nodes]: products down the tree."""
    scores = (1 / (1 + np.exp(-np.clip(logits, -60, 60)))).astype(np.float32)
    for node, parent in enumerate(parents):
        if parent >= 0:
            scores[:, node] *= scores[:, parent]
    return scores


def suppress(boxes_xyxy_px: Floats, *, overlap_max: float) -> NDArray[np.intp]:
    """Indexes of the boxes that stay, of boxes [N, 4] sorted best first: none overlaps a better one by more.

    Exact greedy suppression. Each turn settles every box that no better undecided box overlaps, so that the number of
    turns is the length of the longest chain and not the number of boxes.
    """
    first, second = _overlapping(boxes_xyxy_px, overlap_max)
    undecided, kept = np.ones(len(boxes_xyxy_px), bool), np.zeros(len(boxes_xyxy_px), bool)
    while undecided.any():
        outdone = np.zeros_like(undecided)
        outdone[second[undecided[first] & undecided[second]]] = True
        settled = undecided & ~outdone
        kept |= settled
        undecided &= ~settled
        undecided[second[settled[first]]] = False
    return np.flatnonzero(kept)


def _overlapping(boxes: Floats, overlap_max: float) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pairs (better, worse) of boxes that overlap by more than `overlap_max`, found by a sweep along x."""
    if len(boxes) == 0:
        return np.zeros(0, np.intp), np.zeros(0, np.intp)
    by_x = np.argsort(boxes[:, 0], kind="stable")
    starts = boxes[by_x, 0]
    reach = np.searchsorted(starts, boxes[by_x, 2], side="left")
    counts = np.maximum(reach - np.arange(len(boxes)) - 1, 0)
    left = np.repeat(np.arange(len(boxes)), counts)
    right = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + left + 1
    a, b = by_x[left], by_x[right]
    near = (boxes[a, 1] < boxes[b, 3]) & (boxes[b, 1] < boxes[a, 3])
    a, b = a[near], b[near]
    over = _iou(boxes[a], boxes[b]) > overlap_max
    return np.minimum(a, b)[over], np.maximum(a, b)[over]


def _iou(a: Floats, b: Floats) -> Floats:
    sides = np.clip(np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2]), 0, None)
    shared = sides[:, 0] * sides[:, 1]
    area_a = (a[:, 2] - a[:, 0]) * (a[:, 3] - a[:, 1])
    area_b = (b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1])
    return np.asarray(shared / np.maximum(area_a + area_b - shared, 1e-9), np.float32)
