from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from casemate.errors import BadInput
from casemate.modalities.imagery.decode import decode, node_scores, suppress
from casemate.modalities.imagery.taxonomy import Taxonomy

CONFIG = {"taxonomy": Taxonomy.shipped().restricted(["airplane", "vessel"]).to_json(), "strides": [4]}
NODES = 4  # object, aircraft, airplane, vessel


def raw(rows: int = 8, columns: int = 8, batch: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Answers that see nothing."""
    return np.full((batch, NODES, rows, columns), -9.0, np.float32), np.zeros((batch, 4, rows, columns), np.float32)


def greedy(boxes: np.ndarray, overlap_max: float) -> list[int]:
    """Plain greedy suppression, one pair at a time."""
    kept: list[int] = []
    for i, (x0, y0, x1, y1) in enumerate(boxes.astype(np.float32)):
        for j in kept:
            u0, v0, u1, v1 = boxes[j]
            shared = max(0.0, min(x1, u1) - max(x0, u0)) * max(0.0, min(y1, v1) - max(y0, v0))
            union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - shared
            if shared > 0 and np.float32(shared) / np.float32(union) > overlap_max:
                break
        else:
            kept.append(i)
    return kept


def test_a_position_becomes_the_box_that_it_states() -> None:
    logits, logs = raw()
    logits[0, :, 2, 5] = [2.0, 3.0, 4.0, -4.0]
    logs[0, :, 2, 5] = np.log([1.0, 2.0, 3.0, 0.5])
    (found,) = decode((logits, logs), CONFIG, score_min=0.5)
    centre_x, centre_y = (5 + 0.5) * 4, (2 + 0.5) * 4
    np.testing.assert_allclose(
        found.boxes_xyxy_px, [[centre_x - 4, centre_y - 8, centre_x + 12, centre_y + 2]], rtol=1e-5
    )
    p = 1 / (1 + np.exp(-np.array([2.0, 3.0, 4.0, -4.0])))
    np.testing.assert_allclose(found.scores, [[p[0], p[0] * p[1], p[0] * p[1] * p[2], p[0] * p[3]]], rtol=1e-5)


def test_each_image_of_a_batch_has_its_own_detections_best_first() -> None:
    logits, logs = raw(batch=3)
    for image, row, column, logit in ((0, 1, 1, 1.0), (0, 6, 6, 3.0), (2, 4, 4, 0.5)):
        logits[image, :, row, column] = logit
    batch = decode((logits, logs), CONFIG, score_min=0.3)
    assert [len(found) for found in batch] == [2, 0, 1]
    assert batch[0].scores[0, 0] > batch[0].scores[1, 0]
    assert batch[1].scores.shape == (0, NODES)
    assert batch[1].boxes_xyxy_px.shape == (0, 4)


def test_one_object_seen_from_neighbouring_positions_is_one_box() -> None:
    logits, logs = raw()
    logits[0, 0, 3, 3], logits[0, 0, 3, 4], logits[0, 0, 4, 3] = 3.0, 2.0, 2.5
    logs += np.log(4.0)
    assert len(decode((logits, logs), CONFIG, score_min=0.3)[0]) == 1


def test_outputs_that_are_not_those_of_the_taxonomy_are_refused() -> None:
    logits, logs = raw()
    with pytest.raises(BadInput, match=r"model outputs: expected 4 nodes and 4 distances .*found 3 and 4"):
        decode((logits[:, :3], logs), CONFIG)


@settings(deadline=None, max_examples=100)
@given(hnp.arrays(np.float32, (7, NODES), elements=st.floats(-80, 80, width=32)))
def test_a_node_is_never_more_probable_than_its_parent(logits: np.ndarray) -> None:
    parents = [-1, 0, 1, 0]
    scores = node_scores(logits, parents)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert all((scores[:, node] <= scores[:, parent]).all() for node, parent in enumerate(parents) if parent >= 0)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([0.3, 0.5, 0.7]))
def test_suppression_in_turns_equals_suppression_one_by_one(seed: int, count: int, overlap_max: float) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, 40, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 30, (count, 2))], 1).astype(np.float32)
    assert suppress(boxes, overlap_max=overlap_max).tolist() == greedy(boxes, overlap_max)


def test_a_long_chain_of_overlaps_keeps_every_second_box() -> None:
    left = np.arange(50, dtype=np.float32) * 4
    boxes = np.stack([left, np.zeros(50), left + 10, np.full(50, 10.0)], 1).astype(np.float32)
    assert suppress(boxes, overlap_max=0.4).tolist() == list(range(0, 50, 2))
