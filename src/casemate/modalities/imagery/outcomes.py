"""What became of every detection: what it met, what was answered, whether that was right.

Rules. One row a detection, over all images, so that calibration, decisions, the confusion of classes and the galleries
speak of the same rows. Decisions are made with curves and thresholds that were fitted on the other fold of images.
A false alarm is one where the data set could show it (see `truth`). Counts are kept an image at a time, so that
intervals can be drawn over images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from casemate.modalities.imagery.calibrate import Examples, Fitted
from casemate.modalities.imagery.decide import decide
from casemate.modalities.imagery.levels import IDENTIFICATION, LEVELS, NOTHING, RECOGNITION, best_branch
from casemate.modalities.imagery.matching import Bools, Floats, Ints
from casemate.modalities.imagery.metrics import ratio
from casemate.modalities.imagery.taxonomy import Taxonomy
from casemate.modalities.imagery.truth import Judged, Scope, meet

QUADRANTS_BELOW = 8
"""Sets of fewer images are cut into quadrants for calibration, so that two folds hold something."""
MISSED, NOT_THERE = "(missed)", "(nothing)"


@dataclass(frozen=True)
class Rows:
    """Every detection of at least some score, in the order of the images.

    `image` [N], `box` [N] (its place in the image), `node_scores` [N, K], `gsd_m` [N], `group` [N] (image, or quadrant
    of it), `label` [N] (node of the true box met, -1: none), `met` [N] (its place in the image), `region` [N] (it met a
    difficult box), `false_alarm` [N].
    """

    image: Ints
    box: Ints
    node_scores: Floats
    gsd_m: Floats
    group: Ints
    label: Ints
    met: Ints
    region: Bools
    false_alarm: Bools


def gather(images: Sequence[Judged], within: Scope, *, score_min: float) -> Rows:
    """The rows of all images: detections of at least `score_min` at the root."""
    cut = len(images) < QUADRANTS_BELOW
    parts = [_rows(i, image, within, score_min=score_min, cut=cut) for i, image in enumerate(images)]
    return Rows(*(np.concatenate([getattr(part, name) for part in parts]) for name in Rows.__dataclass_fields__))


def _rows(index: int, image: Judged, within: Scope, *, score_min: float, cut: bool) -> Rows:
    meeting = meet(image, within)
    keep = np.flatnonzero(image.node_scores[:, 0] >= score_min)
    met = meeting.met[keep]
    return Rows(
        image=np.full(len(keep), index),
        box=keep,
        node_scores=image.node_scores[keep],
        gsd_m=np.full(len(keep), image.gsd_m),
        group=4 * index + (_quadrant(image)[keep] if cut else np.zeros(len(keep), dtype=np.int64)),
        label=np.append(image.truth_node, NOTHING)[met],
        met=met,
        region=meeting.region[keep],
        false_alarm=meeting.false_alarm[keep],
    )


def _quadrant(image: Judged) -> Ints:
    centres = (image.boxes_xyxy_px[:, :2] + image.boxes_xyxy_px[:, 2:]) / 2
    right_half, lower_half = centres[:, 0] * 2 >= image.width, centres[:, 1] * 2 >= image.height
    quadrant: Ints = right_half + 2 * lower_half
    return quadrant


# ── calibration ──────────────────────────────────────────────────────────────────────────────────────────────────────
def examples(rows: Rows, images: Sequence[Judged], within: Scope) -> Examples:
    """What calibration learns from: each row's score at each level, whether it is right, and whether that is known."""
    candidates = _candidates(rows.node_scores, within)
    raw = np.take_along_axis(rows.node_scores, np.maximum(candidates, 0), axis=1)
    right, known = verdicts(rows, candidates, within)
    levels = np.concatenate([within.nodes.level[image.truth_node[~image.difficult]] for image in images])
    return Examples(
        raw=raw,
        right=right,
        known=known,
        group=rows.group,
        positives=(len(levels), int(np.sum(levels >= RECOGNITION)), int(np.sum(levels >= IDENTIFICATION))),
        nodes=frozenset(within.names(within.evaluated)),
    )


def verdicts(rows: Rows, answers: Ints, within: Scope) -> tuple[Bools, Bools]:
    """Whether each answer (a node [N, L], -1: none) is right, and whether that can be told.

    It cannot for what met a difficult box, for what met none where the set would not show it, and where the true box is
    labelled above the answer: it may be one.
    """
    size = len(within.nodes.names)
    below = np.zeros((size + 1, size + 1), dtype=bool)  # [a, b]: b is a or an ancestor of a; the last row is "nothing"
    for node in range(size):
        below[node, within.nodes.ancestors(node)] = True
    label = rows.label[:, None]
    given = answers != NOTHING
    right = given & below[label, answers]
    may_be = below[answers, label] & ~below[label, answers]
    told = np.where(label == NOTHING, rows.false_alarm[:, None], ~may_be) & ~rows.region[:, None]
    return right & told, given & told


def _candidates(node_scores: Floats, within: Scope) -> Ints:
    """The node of each level [N, 3] that a detection would answer, no deeper than the set labels that branch."""
    branch = best_branch(node_scores, within.nodes)
    candidates = np.full((len(branch), len(LEVELS)), NOTHING, dtype=np.int64)
    for level in range(min(RECOGNITION + 1, branch.shape[1])):
        candidates[:, level] = branch[:, level]
    deepest = np.full(len(within.nodes.names), IDENTIFICATION)
    for node in within.evaluated:
        top = within.nodes.ancestors(node)[: RECOGNITION + 1][-1]
        deepest[top] = max(deepest[top], int(within.nodes.depth[node]))
    for depth in range(IDENTIFICATION, branch.shape[1]):
        reaches = (branch[:, depth] != NOTHING) & (deepest[branch[:, RECOGNITION]] >= depth)
        candidates[reaches, IDENTIFICATION] = branch[reaches, depth]
    return candidates


# ── decisions ────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class Answers:
    """What was answered for each row: `node` [N] (-1: nothing), `level` [N], `score` [N]."""

    node: Ints
    level: Ints
    score: Floats


def answer(rows: Rows, fitted: Fitted, taxonomy: Taxonomy) -> Answers:
    """Decide every row with what was fitted on the other fold."""
    both = [decide(rows.node_scores, taxonomy, half.calibration, half.thresholds, rows.gsd_m) for half in fitted.folds]
    first = fitted.fold == 0
    return Answers(
        node=np.where(first, both[0].node, both[1].node),
        level=np.where(first, both[0].level, both[1].level),
        score=np.where(first, both[0].score, both[1].score),
    )


def at_level(answers: Answers, level: int, within: Scope) -> Ints:
    """The node answered at a level [N]: the answer itself, or the node above it of that level; -1 where abstained."""
    size = len(within.nodes.names)
    lifted = np.full(size + 1, NOTHING, dtype=np.int64)
    for node in range(size):
        path = within.nodes.ancestors(node)
        if within.nodes.level[node] >= level:
            lifted[node] = node if level == IDENTIFICATION else path[level]
    return lifted[answers.node]


def decision_figures(
    rows: Rows, answers: Answers, images: Sequence[Judged], within: Scope, weights: Floats
) -> dict[str, Floats]:
    """Precision, recall and F1 of what is answered [B], at each level, and how much of it abstains there."""
    figures: dict[str, Floats] = {}
    answered = _per_image(answers.node != NOTHING, rows, len(images))
    for level, name in enumerate(LEVELS):
        node = at_level(answers, level, within)
        right, known = verdicts(rows, node[:, None], within)
        hits = weights @ _per_image(right[:, 0], rows, len(images))
        judged = weights @ _per_image(known[:, 0], rows, len(images))
        labelled = [np.sum(within.nodes.level[im.truth_node[~im.difficult]] >= level) for im in images]
        positives = weights @ np.array(labelled, dtype=np.float64)
        figures[f"precision.{name}"] = ratio(hits, judged)
        figures[f"recall.{name}"] = ratio(hits, positives)
        figures[f"f1.{name}"] = ratio(2 * hits, np.where(positives > 0, judged + positives, 0))
        given = weights @ _per_image(node != NOTHING, rows, len(images))
        figures[f"abstained.{name}"] = 1 - ratio(given, weights @ answered)
    for short in ("precision", "recall", "f1"):
        figures[short] = figures[f"{short}.{LEVELS[0]}"]
    return figures


def _per_image(chosen: Bools, rows: Rows, images: int) -> Floats:
    counts: Floats = np.bincount(rows.image[chosen], minlength=images).astype(np.float64)
    return counts


@dataclass(frozen=True)
class Confusion:
    """How often each true label (row) was answered with each node (column); the last of each: nothing there, missed."""

    true: tuple[str, ...]
    answered: tuple[str, ...]
    counts: Ints

    def to_json(self) -> dict[str, object]:
        """Names and counts."""
        return {"true": list(self.true), "answered": list(self.answered), "counts": self.counts.tolist()}


def confusion(rows: Rows, answers: Answers, images: Sequence[Judged], within: Scope) -> Confusion:
    """Count answers against labels; regions, and what cannot be told to be false, take no part."""
    given = (answers.node != NOTHING) & ~rows.region & ((rows.label != NOTHING) | rows.false_alarm)
    columns = sorted({*np.unique(answers.node[given]).tolist(), *within.labels} - {NOTHING})
    true = list(within.labels)
    counts = np.zeros((len(true) + 1, len(columns) + 1), dtype=np.int64)
    place = {node: i for i, node in enumerate(true)}
    for label, node in zip(rows.label[given].tolist(), answers.node[given].tolist(), strict=True):
        counts[place.get(label, len(true)), columns.index(node)] += 1
    totals: Mapping[int, int] = _totals(images)
    for label, i in place.items():
        counts[i, -1] = totals.get(label, 0) - counts[i, :-1].sum()
    return Confusion((*within.names(true), NOT_THERE), (*within.names(columns), MISSED), counts)


def _totals(images: Sequence[Judged]) -> dict[int, int]:
    labels = np.concatenate([image.truth_node[~image.difficult] for image in images])
    nodes, counts = np.unique(labels, return_counts=True)
    return dict(zip(nodes.tolist(), counts.tolist(), strict=True))
