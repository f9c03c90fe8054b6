"""What a data set's labels can judge: for each node of the taxonomy, what is right, wrong, or cannot be told.

Rules. A box counts for its own node and for all above it. It is unsure, so a region in which nothing is judged, for the
nodes below it (a "vehicle" may be a bus), and everywhere if it was marked difficult. A detection that meets no box is
wrong only where the set could show it: at a node that is labelled throughout, or, for a node above those, if the
detection's own most probable branch goes through a node that is labelled throughout. What the set never labels is
never counted as a false alarm, and the scores say which nodes that leaves out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from casemate.errors import BadInput
from casemate.modalities.imagery.boxes import ImageryDataset, LabelledImage
from casemate.modalities.imagery.levels import NOTHING, Tree, best_branch, tree
from casemate.modalities.imagery.matching import IOU_50, Bools, Case, Floats, Ints, assign, box_areas_px2
from casemate.modalities.imagery.taxonomy import Taxonomy


@dataclass(frozen=True)
class Judged:
    """One image: its true boxes, and what was detected in it.

    `truth_xyxy_px` [G, 4], `truth_node` [G], `difficult` [G]; `boxes_xyxy_px` [N, 4], `node_scores` [N, K] of the
    model's taxonomy; `gsd_m` NaN where unknown.
    """

    path: str
    width: int
    height: int
    gsd_m: float
    truth_xyxy_px: Floats
    truth_node: Ints
    difficult: Bools
    boxes_xyxy_px: Floats
    node_scores: Floats


@dataclass(frozen=True)
class Scope:
    """What a data set can judge of a model's taxonomy.

    `nodes` is the tree; `labels` the nodes that have boxes of their own; `evaluated` those with boxes at or below them;
    `covered` [K] those labelled throughout (or all of whose kinds are); `countable` those at which false alarms can be
    told at all. Nodes are indexes; the lists are in the tree's order.
    """

    nodes: Tree
    labels: tuple[int, ...]
    evaluated: tuple[int, ...]
    covered: Bools
    countable: Bools

    def names(self, chosen: Sequence[int]) -> list[str]:
        """Their names."""
        return [self.nodes.names[i] for i in chosen]

    def at_level(self, level: int) -> list[int]:
        """Evaluated nodes of a level at which false alarms can be told."""
        return [i for i in self.evaluated if self.nodes.level[i] == level and self.countable[i]]

    @property
    def classes(self) -> list[int]:
        """The nodes that the headline figures average over: those that the set itself uses as labels."""
        return [i for i in self.labels if self.countable[i]]


def scope(dataset: ImageryDataset, taxonomy: Taxonomy) -> Scope:
    """What the data set can judge; refuses labels that the model does not know, and sets that can judge nothing."""
    name = dataset.source or dataset.folder.name
    used = sorted({box.label for image in dataset.images for box in image.boxes if not box.difficult})
    foreign = [label for label in (*used, *sorted(dataset.exhaustive)) if not taxonomy.knows(label)]
    if foreign:
        expected = f"labels of the model's taxonomy ({', '.join(taxonomy.names)})"
        raise BadInput(f"data set {name}", expected=expected, found=", ".join(dict.fromkeys(foreign)))
    if not used:
        raise BadInput(f"data set {name}", expected="at least one labelled box", found=_count_text(dataset))
    if not dataset.exhaustive:
        expected = "at least one class that is labelled throughout, without which no false alarm can be told"
        raise BadInput(f"data set {name}", expected=expected, found="none")
    nodes = tree(taxonomy)
    labels = sorted({taxonomy.index(taxonomy.resolve(label)) for label in used})
    evaluated = sorted({step for label in labels for step in nodes.ancestors(label)})
    covered_names = taxonomy.covered(taxonomy.resolve(label) for label in dataset.exhaustive)
    covered = np.array([node in covered_names for node in nodes.names])
    above = {step for i in np.flatnonzero(covered) for step in nodes.ancestors(int(i))}
    countable = np.array([i in above for i in range(len(nodes.names))])
    found = Scope(nodes, tuple(labels), tuple(evaluated), covered, countable)
    if not found.classes:
        expected = f"boxes of a class that is labelled throughout ({', '.join(sorted(dataset.exhaustive))})"
        raise BadInput(f"data set {name}", expected=expected, found=", ".join(used))
    return found


def _count_text(dataset: ImageryDataset) -> str:
    return f"{len(dataset.images)} images with {dataset.box_count} boxes, none that counts"


def judged(image: LabelledImage, taxonomy: Taxonomy, boxes_xyxy_px: Floats, node_scores: Floats) -> Judged:
    """Put an image's labels beside what was detected in it."""
    return Judged(
        path=image.path,
        width=image.width,
        height=image.height,
        gsd_m=float("nan") if image.gsd_m is None else image.gsd_m,
        truth_xyxy_px=image.boxes_xyxy_px,
        truth_node=np.array([taxonomy.index(taxonomy.resolve(b.label)) for b in image.boxes], dtype=np.int64),
        difficult=np.array([b.difficult for b in image.boxes], dtype=bool),
        boxes_xyxy_px=boxes_xyxy_px,
        node_scores=node_scores,
    )


def case(image: Judged, node: int, within: Scope) -> Case:
    """The image's question about one node."""
    below, unsure = _relation(image, node, within)
    asked = below | unsure
    truth = image.truth_xyxy_px[asked]
    return Case(
        truth_xyxy_px=truth,
        truth_area_px2=box_areas_px2(truth),
        unsure=unsure[asked],
        boxes_xyxy_px=image.boxes_xyxy_px,
        scores=image.node_scores[:, node],
        counted=counted(image.node_scores, node, within),
    )


def _relation(image: Judged, node: int, within: Scope) -> tuple[Bools, Bools]:
    """Which true boxes are of the node, and which may be (labelled above it, or difficult)."""
    above = set(within.nodes.ancestors(node)[:-1])
    paths = {int(label): set(within.nodes.ancestors(int(label))) for label in np.unique(image.truth_node)}
    of_node = np.array([node in paths[int(label)] for label in image.truth_node], dtype=bool)
    may_be = np.array([int(label) in above for label in image.truth_node], dtype=bool)
    return of_node & ~image.difficult, may_be | (of_node & image.difficult)


def counted(node_scores: Floats, node: int, within: Scope) -> Bools:
    """Which detections [N] may be false alarms at a node."""
    if within.covered[node]:
        return np.ones(len(node_scores), dtype=bool)
    branch = best_branch(node_scores, within.nodes)
    through = np.where(branch == NOTHING, False, within.covered[branch])
    on_the_way = (branch == node).any(axis=1) if node else np.ones(len(branch), dtype=bool)
    return through.any(axis=1) & on_the_way


@dataclass(frozen=True)
class Meeting:
    """Which true box each detection of an image meets, whatever its class, at IoU 0.5.

    `met` [N] is the index of the true box or -1; `region` [N] says that what it met is difficult; `false_alarm` [N]
    that it met nothing where the set would have shown it.
    """

    met: Ints
    region: Bools
    false_alarm: Bools


def meet(image: Judged, within: Scope) -> Meeting:
    """Match an image's detections by their detection score, class-blind."""
    order = np.argsort(-image.node_scores[:, 0], kind="stable")
    met = np.full(len(order), NOTHING, dtype=np.int64)
    left_out = image.difficult[None, :]
    met[order] = assign(image.boxes_xyxy_px[order], image.truth_xyxy_px, image.difficult, left_out)[0, IOU_50]
    region = np.append(image.difficult, False)[met]
    return Meeting(met, region, (met == NOTHING) & counted(image.node_scores, 0, within))
