"""Decisions: the deepest level that is supported, or the reason why not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.modalities.imagery.calibrate import UNCALIBRATED, Calibration, Thresholds
from casemate.modalities.imagery.curves import AS_IT_IS, Temperature
from casemate.modalities.imagery.decide import Decisions, decide, supported
from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.taxonomy import Node, Taxonomy

TAXONOMY = Taxonomy(
    "test",
    (
        Node("object"),
        Node("aircraft", "object", max_gsd_m=5.0),
        Node("airplane", "aircraft", max_gsd_m=2.0),
        Node("helicopter", "aircraft"),
        Node("vegetation", "object"),
        Node("tree", "vegetation"),
        Node("dead tree", "tree"),
        Node("building", "object"),
    ),
)
HALVES: Thresholds = dict.fromkeys(LEVELS, 0.5)
AS_THEY_ARE = UNCALIBRATED.calibration


def scores(**given_: float) -> np.ndarray:
    """One detection's scores; nodes that are not named are unlikely."""
    row = np.full(len(TAXONOMY.names), 0.01)
    for name, score in given_.items():
        row[TAXONOMY.index(name.replace("_", " "))] = score
    return row[None]


def decided(row: np.ndarray, *, gsd_m: float | None = None, thresholds: Thresholds = HALVES) -> Decisions:
    return decide(row, TAXONOMY, AS_THEY_ARE, thresholds, gsd_m)


def test_the_answer_is_the_deepest_level_that_is_supported() -> None:
    answer = decided(scores(object=0.9, aircraft=0.8, airplane=0.7))[0]
    assert (answer.level, answer.label, answer.score) == ("identification", "airplane", pytest.approx(0.7))
    assert answer.abstained == ()


def test_a_level_below_its_threshold_is_not_answered_and_says_both_figures() -> None:
    answer = decided(scores(object=0.9, aircraft=0.8, airplane=0.4))[0]
    assert (answer.level, answer.label) == ("recognition", "aircraft")
    assert answer.abstained == ("identification: 0.40 for airplane is below 0.50",)


def test_too_coarse_pixels_end_the_answer_and_the_reason_has_both_figures() -> None:
    answer = decided(scores(object=0.9, aircraft=0.8, airplane=0.7), gsd_m=3.0)[0]
    assert (answer.level, answer.label) == ("recognition", "aircraft")
    assert answer.abstained == ("identification: 3 m a pixel is too coarse for airplane, which needs 2 m or finer",)
    coarser = decided(scores(object=0.9, aircraft=0.8, airplane=0.7), gsd_m=10.0)[0]
    assert (coarser.level, coarser.label) == ("detection", "object")
    assert coarser.abstained == ("recognition: 10 m a pixel is too coarse for aircraft, which needs 5 m or finer",)


def test_a_limit_is_inherited_by_nodes_without_their_own() -> None:
    answer = decided(scores(object=0.9, aircraft=0.8, helicopter=0.7), gsd_m=4.0)[0]
    assert answer.label == "helicopter"


def test_pixels_just_fine_enough_are_fine_enough() -> None:
    assert decided(scores(object=0.9, aircraft=0.8, airplane=0.7), gsd_m=2.0)[0].label == "airplane"


def test_each_detection_may_have_its_own_resolution() -> None:
    rows = np.repeat(scores(object=0.9, aircraft=0.8, airplane=0.7), 3, axis=0)
    answers = decide(rows, TAXONOMY, AS_THEY_ARE, HALVES, np.array([1.0, np.nan, 3.0]))
    assert [answer.label for answer in answers] == ["airplane", "airplane", "aircraft"]


def test_what_is_not_even_detected_is_no_answer() -> None:
    decisions = decided(scores(object=0.3))
    answer = decisions[0]
    assert (answer.level, answer.label, answer.score) == ("", "", 0.0)
    assert answer.abstained == ("detection: 0.30 for object is below 0.50",)
    assert supported(decisions).tolist() == [False]


def test_a_leaf_of_the_first_depth_is_recognised_and_nothing_is_abstained() -> None:
    answer = decided(scores(object=0.9, building=0.8))[0]
    assert (answer.level, answer.label, answer.abstained) == ("recognition", "building", ())
    assert answer.scores["identification"] is None


def test_identification_may_stop_half_way_and_keeps_the_score_of_what_it_answers() -> None:
    answer = decided(scores(object=0.9, vegetation=0.8, tree=0.7, dead_tree=0.2))[0]
    assert (answer.level, answer.label, answer.score) == ("identification", "tree", pytest.approx(0.7))
    assert answer.scores["identification"] == pytest.approx(0.7)
    assert answer.abstained == ("identification: 0.20 for dead tree is below 0.50",)


def test_a_node_that_was_never_measured_is_not_answered() -> None:
    measured = Calibration(dict.fromkeys(LEVELS, AS_IT_IS), frozenset({"object", "aircraft", "airplane"}))
    answer = decide(scores(object=0.9, aircraft=0.8, helicopter=0.7), TAXONOMY, measured, HALVES)[0]
    assert answer.label == "aircraft"
    assert answer.abstained == ("identification: helicopter was never measured on held-out data",)


def test_a_level_without_a_curve_or_a_threshold_is_not_answered() -> None:
    row = scores(object=0.9, aircraft=0.8, airplane=0.7)
    no_curve = Calibration({"detection": AS_IT_IS, "recognition": AS_IT_IS})
    for answer in (
        decide(row, TAXONOMY, no_curve, HALVES)[0],
        decided(row, thresholds={"detection": 0.5, "recognition": 0.5, "identification": None})[0],
    ):
        assert answer.label == "aircraft"
        assert answer.abstained == ("identification: no threshold holds for this level on held-out data",)


def test_scores_are_calibrated_and_never_rise_downwards() -> None:
    curves = {"detection": AS_IT_IS, "recognition": Temperature(1.0, 5.0), "identification": AS_IT_IS}
    answer = decide(scores(object=0.9, aircraft=0.8, airplane=0.7), TAXONOMY, Calibration(curves), HALVES)[0]
    assert answer.scores == {
        "detection": pytest.approx(0.9),
        "recognition": pytest.approx(0.9),
        "identification": pytest.approx(0.7),
    }


def test_scores_without_a_column_for_each_node_are_refused() -> None:
    with pytest.raises(
        BadInput, match=r"scores of detections: expected one score for each of 8 nodes, found shape \(1"
    ):
        decide(np.zeros((1, 3)), TAXONOMY, AS_THEY_ARE, HALVES)


def test_no_detections_give_no_decisions() -> None:
    assert list(decided(np.zeros((0, 8)))) == []


def random_scores(seed: int, count: int) -> np.ndarray:
    """Scores that never rise downwards, as a decoder gives them."""
    rows = np.random.default_rng(seed).random((count, len(TAXONOMY.names)))
    for i, name in enumerate(TAXONOMY.names):
        parent = TAXONOMY.parent(name)
        if parent is not None:
            rows[:, i] *= rows[:, TAXONOMY.index(parent)]
    return rows


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.1, 12.0) | st.none())
def test_many_are_decided_as_each_would_be_alone(seed: int, gsd_m: float | None) -> None:
    rows = random_scores(seed, 12)
    thresholds = {"detection": 0.2, "recognition": 0.3, "identification": 0.1}
    together = decided(rows, gsd_m=gsd_m, thresholds=thresholds)
    for i, answer in enumerate(together):
        assert answer == decided(rows[i : i + 1], gsd_m=gsd_m, thresholds=thresholds)[0]


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.floats(0.1, 12.0))
def test_an_answer_keeps_every_rule_on_its_way_down(seed: int, gsd_m: float) -> None:
    thresholds = {"detection": 0.2, "recognition": 0.3, "identification": 0.1}
    for answer in decided(random_scores(seed, 12), gsd_m=gsd_m, thresholds=thresholds):
        known = [answer.scores[level] for level in LEVELS if answer.scores[level] is not None]
        assert known == sorted(known, reverse=True)
        if answer.label:
            limit = TAXONOMY.max_gsd_m(answer.label)
            assert limit is None or gsd_m <= limit
            assert answer.score >= thresholds[answer.level]
            assert answer.scores[answer.level] == answer.score


def test_tens_of_thousands_are_decided_in_one_pass() -> None:
    decisions = decided(random_scores(0, 50_000))
    assert len(decisions) == 50_000
    assert supported(decisions).sum() == int((random_scores(0, 50_000)[:, 0] >= 0.5).sum())
