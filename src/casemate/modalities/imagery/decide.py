"""From scores to an answer: the deepest level that is supported, or a reason why not.

Rules. A detection walks down its most probable branch. It goes one step deeper only if the probability of being right
there reaches that level's threshold, if the node was measured, and if the ground sampling distance, where known, is
fine enough for the node; the first "no" ends the answer and is its reason, with both figures. A probability is never
higher than the one above it. Pure; one pass over the tree for any number of detections.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from casemate.modalities.imagery.calibrate import Calibration, Thresholds
from casemate.modalities.imagery.levels import (
    DETECTION,
    LEVELS,
    NOTHING,
    Tree,
    best_branch,
    tree,
)
from casemate.modalities.imagery.matching import Bools, Floats, Ints
from casemate.modalities.imagery.taxonomy import Taxonomy

ANSWERED, BELOW, COARSE, UNMEASURED, CLOSED = range(5)
"""Why a walk ended: nowhere further to go, score below the threshold, pixels too coarse, node or level not measured."""


@dataclass(frozen=True)
class Decision:
    """One detection's answer; `level` and `label` are empty where not even detection is supported.

    `scores` and `candidates` say for each level how probable its best node is, whether answered or not (None: there is
    none, or it cannot be told); `abstained` has the reason for the level that was not answered.
    """

    level: str
    label: str
    score: float
    scores: Mapping[str, float | None]
    candidates: Mapping[str, str | None]
    abstained: tuple[str, ...]


@dataclass(frozen=True)
class Decisions:
    """Answers for N detections as arrays; `decisions[i]` is one of them with its reasons in words.

    `level` [N] and `node` [N] are -1 where nothing is answered; `scores` [N, 3] NaN where unknown; `candidates` [N, 3]
    -1 where there is none; `why` [N] is the code of the end of the walk, `refused` [N] the node that was refused
    and `refused_score` [N] its probability.
    """

    level: Ints
    node: Ints
    score: Floats
    scores: Floats
    candidates: Ints
    why: Ints
    refused: Ints
    refused_score: Floats
    gsd_m: Floats
    nodes: Tree
    thresholds: Thresholds

    def __len__(self) -> int:
        return len(self.level)

    def __iter__(self) -> Iterator[Decision]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: int) -> Decision:
        level, node = int(self.level[index]), int(self.node[index])
        candidates = [int(c) for c in self.candidates[index]]
        return Decision(
            level="" if level == NOTHING else LEVELS[level],
            label="" if node == NOTHING else self.nodes.names[node],
            score=float(self.score[index]),
            scores={name: _known(s) for name, s in zip(LEVELS, self.scores[index], strict=True)},
            candidates={
                name: None if c == NOTHING else self.nodes.names[c] for name, c in zip(LEVELS, candidates, strict=True)
            },
            abstained=self._reasons(index),
        )

    def _reasons(self, index: int) -> tuple[str, ...]:
        why, refused = int(self.why[index]), int(self.refused[index])
        if why == ANSWERED:
            return ()
        level = LEVELS[int(self.nodes.level[refused])]
        name = self.nodes.names[refused]
        if why == COARSE:
            limit, gsd = self.nodes.max_gsd_m[refused], self.gsd_m[index]
            return (f"{level}: {gsd:g} m a pixel is too coarse for {name}, which needs {limit:g} m or finer",)
        if why == UNMEASURED:
            return (f"{level}: {name} was never measured on held-out data",)
        if why == CLOSED:
            return (f"{level}: no threshold holds for this level on held-out data",)
        return (f"{level}: {self.refused_score[index]:.2f} for {name} is below {self.thresholds[level]:.2f}",)


def _known(score: float) -> float | None:
    return None if np.isnan(score) else float(score)


def decide(
    node_scores: Floats,
    taxonomy: Taxonomy,
    calibration: Calibration,
    thresholds: Thresholds,
    gsd_m: float | Floats | None = None,
) -> Decisions:
    """Decide for `node_scores` [N, K] (a column per node of the taxonomy, probabilities that never rise downwards).

    `gsd_m` is metres a pixel: one figure, one a detection (NaN: unknown), or None.
    """
    nodes = tree(taxonomy)
    branch = best_branch(node_scores, nodes)
    count = len(node_scores)
    gsd = np.broadcast_to(np.asarray(np.nan if gsd_m is None else gsd_m, dtype=np.float64), (count,))
    walk = _Walk.start(count, gsd, nodes, calibration, thresholds)
    for depth in range(branch.shape[1]):
        walk.step(branch[:, depth], node_scores)
    return walk.result()


@dataclass
class _Walk:
    """Where each detection's answer stands while it goes down its branch."""

    answer: Decisions
    going: Bools
    above: Floats
    measured: Bools
    calibration: Calibration

    @classmethod
    def start(cls, count: int, gsd: Floats, nodes: Tree, calibration: Calibration, thresholds: Thresholds) -> _Walk:
        measured = np.array([calibration.measured is None or name in calibration.measured for name in nodes.names])
        measured[0] = True
        answer = Decisions(
            level=np.full(count, NOTHING),
            node=np.full(count, NOTHING),
            score=np.zeros(count),
            scores=np.full((count, len(LEVELS)), np.nan),
            candidates=np.full((count, len(LEVELS)), NOTHING),
            why=np.full(count, ANSWERED),
            refused=np.full(count, NOTHING),
            refused_score=np.full(count, np.nan),
            gsd_m=gsd,
            nodes=nodes,
            thresholds=thresholds,
        )
        return cls(answer, np.ones(count, dtype=bool), np.ones(count), measured, calibration)

    def step(self, at: Ints, node_scores: Floats) -> None:
        """Go to the nodes `at` [N] (-1: the branch has ended)."""
        rows = np.flatnonzero(at != NOTHING)
        if not len(rows):
            return
        node = at[rows]
        level = int(self.answer.nodes.level[node[0]])  # a depth is of one level
        raw = node_scores[rows, node].astype(np.float64)
        stated = np.minimum(self.calibration.apply(raw, level), self.above[rows])
        self.above[rows] = np.where(np.isnan(stated), self.above[rows], stated)
        self._answer(rows, node, level, stated)
        fresh = (self.answer.node[rows] == node) | (self.answer.candidates[rows, level] == NOTHING)
        self.answer.candidates[rows[fresh], level] = node[fresh]
        self.answer.scores[rows[fresh], level] = stated[fresh]

    def _answer(self, rows: Ints, node: Ints, level: int, stated: Floats) -> None:
        going = self.going[rows]
        rows, node, stated = rows[going], node[going], stated[going]
        why = self._why(rows, node, level, stated)
        yes = why == ANSWERED
        self.answer.level[rows[yes]], self.answer.node[rows[yes]] = level, node[yes]
        self.answer.score[rows[yes]] = stated[yes]
        self.answer.why[rows[~yes]], self.answer.refused[rows[~yes]] = why[~yes], node[~yes]
        self.answer.refused_score[rows[~yes]] = stated[~yes]
        self.going[rows[~yes]] = False

    def _why(self, rows: Ints, node: Ints, level: int, stated: Floats) -> Ints:
        """The reason against each node, the weightiest first: coarse pixels, not measured, no threshold, low score."""
        threshold = self.answer.thresholds.get(LEVELS[level])
        if threshold is None or LEVELS[level] not in self.calibration.curves:
            why = np.full(len(rows), CLOSED)
        else:
            why = np.where(stated < threshold, BELOW, ANSWERED)
        why = np.where(self.measured[node], why, UNMEASURED)
        return np.where(self.answer.gsd_m[rows] > self.answer.nodes.max_gsd_m[node], COARSE, why)

    def result(self) -> Decisions:
        """The answers as they stand."""
        return self.answer


def supported(decisions: Decisions) -> Bools:
    """Which detections [N] are answered at all."""
    return decisions.level >= DETECTION
