from __future__ import annotations

import torch

from casemate.modalities.imagery.loss import Tree, detection_loss, generalised_iou
from casemate.modalities.imagery.targets import IGNORED, NEGATIVE, Truth, assign, positions_xy_px

# The tree: an object is an aircraft (airplane or helicopter) or a vessel.
OBJECT, AIRCRAFT, AIRPLANE, HELICOPTER, VESSEL = range(5)
TREE = Tree.of([-1, 0, 1, 1, 0])


def truth(
    *boxes: tuple[float, ...], nodes: tuple[int, ...] = (), exhaustive: tuple[int, ...] = (), difficult: bool = False
) -> Truth:
    known = torch.zeros(5, dtype=torch.bool)
    known[list(exhaustive)] = True
    edges = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.tensor(nodes or [AIRPLANE] * len(boxes), dtype=torch.int64)
    return Truth(edges, labels, torch.full((len(boxes),), difficult), known)


def answers(rows: int = 8, columns: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    logits = torch.zeros(1, 5, rows, columns, requires_grad=True)
    return logits, torch.full((1, 4, rows, columns), 1.0, requires_grad=True)


def gradients(given: Truth) -> torch.Tensor:
    """How each node's logit is pushed, at every position [5, 8, 8]; positive: down."""
    logits, logs = answers()
    detection_loss(logits, logs, [given], TREE).total.backward()
    assert logits.grad is not None
    return logits.grad[0]


def test_absolute_probabilities_are_products_down_the_tree() -> None:
    p = TREE.log_absolute(torch.zeros(1, 5)).exp()[0]
    torch.testing.assert_close(p, torch.tensor([0.5, 0.25, 0.125, 0.125, 0.25]))


def test_only_the_topmost_of_nested_nodes_is_asked_for() -> None:
    nodes = torch.tensor([False, True, True, False, True])
    assert TREE.topmost(nodes).tolist() == [False, True, False, False, True]


def test_a_label_denies_its_siblings_and_those_of_its_ancestors_and_nothing_below() -> None:
    assert TREE.beside[AIRPLANE].tolist() == [False, False, False, True, True]
    assert TREE.beside[VESSEL].tolist() == [False, True, False, False, False]
    assert TREE.beside[OBJECT].tolist() == [False] * 5


def test_what_was_never_labelled_is_never_punished() -> None:
    pushed = gradients(truth((8, 8, 20, 20)))
    around = torch.ones(8, 8, dtype=torch.bool)
    around[2:5, 2:5] = False
    assert (pushed[:, around] == 0).all(), "no node is labelled exhaustively, so the empty ground says nothing"
    only_vessels = gradients(truth(exhaustive=(VESSEL,)))
    assert (only_vessels[[AIRCRAFT, AIRPLANE, HELICOPTER]] == 0).all()
    assert (only_vessels[[OBJECT, VESSEL]] > 0).all()


def test_empty_ground_denies_the_product_and_not_each_factor_alone() -> None:
    pushed = gradients(truth(exhaustive=(AIRPLANE,)))
    assert (pushed[[OBJECT, AIRCRAFT, AIRPLANE]] > 0).all()
    assert (pushed[[HELICOPTER, VESSEL]] == 0).all()


def test_a_label_high_in_the_tree_teaches_nothing_below_it() -> None:
    pushed = gradients(truth((8, 8, 20, 20), nodes=(AIRCRAFT,)))
    assert (pushed[[AIRPLANE, HELICOPTER]] == 0).all()
    assert pushed[AIRCRAFT].min() < 0
    assert pushed[VESSEL].max() > 0


def test_a_difficult_box_is_neither_taught_nor_punished() -> None:
    pushed = gradients(truth((8, 8, 24, 24), exhaustive=(AIRPLANE,), difficult=True))
    assert (pushed[:, 2:6, 2:6] == 0).all()
    assert (pushed[OBJECT, 0] > 0).all()


def test_every_box_gets_a_position_however_small() -> None:
    centres = positions_xy_px(8, 8)
    given = truth((10.0, 10.0, 11.5, 11.5), (20, 4, 30, 14))
    found = assign(torch.full((64, 5), 0.1), torch.cat([centres - 6, centres + 6], 1), centres, given)
    assert set(found.box.tolist()) == {NEGATIVE, 0, 1}
    assert ((found.quality > 0) == (found.box >= 0)).all()


def test_positions_in_a_difficult_box_are_ignored() -> None:
    centres = positions_xy_px(8, 8)
    found = assign(
        torch.full((64, 5), 0.1),
        torch.cat([centres - 6, centres + 6], 1),
        centres,
        truth((0, 0, 16, 16), difficult=True),
    )
    assert found.box.reshape(8, 8)[:4, :4].unique().tolist() == [IGNORED]
    assert found.box.reshape(8, 8)[4:].unique().tolist() == [NEGATIVE]


def test_a_perfect_answer_costs_almost_nothing_and_a_blank_one_more() -> None:
    given = truth((8, 8, 24, 24), exhaustive=(AIRPLANE, VESSEL))
    logits, logs = torch.full((1, 5, 8, 8), -12.0), torch.zeros(1, 4, 8, 8)
    centres = positions_xy_px(8, 8)
    exact = given.boxes_xyxy_px.expand(64, 4)
    taken = assign(torch.full((64, 5), 0.5), exact, centres, given).box.reshape(8, 8) >= 0
    logits[0, :3, taken] = 12.0
    centres = centres.reshape(8, 8, 2)
    edges = torch.cat([centres - torch.tensor([8.0, 8.0]), torch.tensor([24.0, 24.0]) - centres], -1) / 4
    logs[0] = edges.clamp(min=0.1).log().permute(2, 0, 1)
    blank = detection_loss(*answers(), [given], TREE).total.detach()
    perfect = detection_loss(logits, logs, [given], TREE)
    assert float(perfect.boxes) < 1e-3
    assert float(perfect.total) < 0.1 * float(blank)


def test_generalised_overlap_is_one_when_equal_and_negative_far_apart() -> None:
    a = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10]])
    b = torch.tensor([[0.0, 0, 10, 10], [90, 90, 100, 100]])
    equal, far = generalised_iou(a, b).tolist()
    assert equal == 1.0
    assert far < -0.9
