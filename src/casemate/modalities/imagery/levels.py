"""Detection, recognition, identification: how the depth of a taxonomy's node becomes one of the three decisions.

Rules. The root (depth 0) is detection: something is there. Its children (depth 1) are recognition: it is of this class.
All below (depth 2 and more) is identification: it is of this type; a deeper node is a finer identification. Scores are
probabilities that a detection is of a node, never higher for a node than for its parent, so the most probable branch is
found by going down, at each step to the best child.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from casemate.errors import BadInput
from casemate.modalities.imagery.matching import Floats, Ints
from casemate.modalities.imagery.taxonomy import Taxonomy

LEVELS = ("detection", "recognition", "identification")
DETECTION, RECOGNITION, IDENTIFICATION = range(3)
NOTHING = -1


@dataclass(frozen=True)
class Tree:
    """A taxonomy as arrays over its nodes [K], in the order of its names."""

    names: tuple[str, ...]
    parent: Ints
    depth: Ints
    level: Ints
    max_gsd_m: Floats
    children: tuple[Ints, ...]

    def ancestors(self, node: int) -> list[int]:
        """Indexes from the root down to the node, both included."""
        path = [node]
        while self.parent[path[-1]] != NOTHING:
            path.append(int(self.parent[path[-1]]))
        return path[::-1]


def tree(taxonomy: Taxonomy) -> Tree:
    """The arrays of a taxonomy; a node without a known limit of resolution has an infinite one."""
    names = taxonomy.names
    depth = np.array([taxonomy.depth(name) for name in names])
    limits = [taxonomy.max_gsd_m(name) for name in names]
    return Tree(
        names=names,
        parent=np.array([NOTHING if (p := taxonomy.parent(n)) is None else taxonomy.index(p) for n in names]),
        depth=depth,
        level=np.minimum(depth, IDENTIFICATION),
        max_gsd_m=np.array([np.inf if limit is None else limit for limit in limits]),
        children=tuple(np.array([taxonomy.index(c) for c in taxonomy.children(n)], dtype=np.int64) for n in names),
    )


def best_branch(node_scores: Floats, nodes: Tree) -> Ints:
    """The most probable branch of each detection [N, deepest + 1]: a node at each depth, -1 below a leaf.

    `node_scores` is [N, K].
    """
    check_scores(node_scores, nodes)
    branch = np.full((len(node_scores), int(nodes.depth.max()) + 1), NOTHING, dtype=np.int64)
    branch[:, 0] = 0
    for parent, children in enumerate(nodes.children):
        if not len(children):
            continue
        depth = int(nodes.depth[parent])
        here = np.flatnonzero(branch[:, depth] == parent)
        branch[here, depth + 1] = children[np.argmax(node_scores[np.ix_(here, children)], axis=1)]
    return branch


def check_scores(node_scores: Floats, nodes: Tree) -> None:
    """Refuse scores that have not one column per node of the taxonomy."""
    if node_scores.ndim != 2 or node_scores.shape[1] != len(nodes.names):
        expected = f"one score for each of {len(nodes.names)} nodes"
        raise BadInput("scores of detections", expected=expected, found=f"shape {node_scores.shape}")
