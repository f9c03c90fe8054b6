"""Figures of detection: COCO's, ours on arrays, and their intervals."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from casemate.modalities.imagery.matching import Case, Matches, match, overlaps
from casemate.modalities.imagery.metrics import (
    average_precision,
    average_recall,
    coco_figures,
    curve,
    draw,
    interval,
)

ONCE = np.ones((1, 1))

PUBLISHED = {
    "ap": 0.503647, "ap50": 0.696973, "ap75": 0.571667, "ap_small": 0.593252, "ap_medium": 0.557991,
    "ap_large": 0.489363, "ar1": 0.386813, "ar10": 0.593680, "ar100": 0.595353, "ar_small": 0.654764,
    "ar_medium": 0.603130, "ar_large": 0.553744,
}  # fmt: skip


def case(
    truth: list[tuple[float, ...]],
    found: list[tuple[float, ...]],
    *,
    unsure: tuple[int, ...] = (),
    uncounted: tuple[int, ...] = (),
) -> Case:
    """A case from boxes (x0, y0, x1, y1) and detections (score, x0, y0, x1, y1)."""
    boxes = np.array(truth, dtype=np.float64).reshape(-1, 4)
    rows = np.array(found, dtype=np.float64).reshape(-1, 5)
    return Case(
        truth_xyxy_px=boxes,
        truth_area_px2=(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        unsure=np.isin(np.arange(len(boxes)), unsure),
        boxes_xyxy_px=rows[:, 1:],
        scores=rows[:, 0],
        counted=~np.isin(np.arange(len(rows)), uncounted),
    )


def ap50(*cases: Case) -> float:
    matches = match(cases, most_per_image=100)
    return float(average_precision(matches, np.ones((1, len(cases))), most=100)[0])


@pytest.mark.real_data
def test_the_twelve_published_coco_figures_are_reproduced(real_data: Callable[[str], Path]) -> None:
    root = real_data("reference_coco_eval") / "tests" / "test_coco_eval"
    truth = json.loads((root / "gts" / "sampled_gts_bbox_area.json").read_text())
    found = json.loads((root / "dets" / "sampled_bbox_results.json").read_text())["annotations"]
    images = sorted(image["id"] for image in truth["images"])
    classes = [
        match(_published_cases(truth["annotations"], found, category["id"], images), most_per_image=100)
        for category in truth["categories"]
    ]
    figures = coco_figures(classes, np.ones((1, len(images))), most=100)
    assert {name: float(figures[name][0]) for name in PUBLISHED} == pytest.approx(PUBLISHED, abs=1e-6)


def _published_cases(truth: list[dict[str, Any]], found: list[dict[str, Any]], category: int, images: list[int]) -> Any:
    own = [t for t in truth if t["category_id"] == category]
    theirs = [f for f in found if f["category_id"] == category]
    for image in images:
        boxes = [t for t in own if t["image_id"] == image]
        detections = [f for f in theirs if f["image_id"] == image]
        yield Case(
            truth_xyxy_px=_xyxy(boxes),
            truth_area_px2=np.array([t["area"] for t in boxes], dtype=np.float64),
            unsure=np.array([bool(t["iscrowd"]) for t in boxes], dtype=bool),
            boxes_xyxy_px=_xyxy(detections),
            scores=np.array([f["score"] for f in detections], dtype=np.float64),
            counted=np.ones(len(detections), dtype=bool),
        )


def _xyxy(rows: list[dict[str, Any]]) -> Any:
    boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def test_average_precision_is_that_computed_by_hand() -> None:
    # Right, wrong, right: precision 1 up to recall 0.5 (51 points of 101), then 2/3 (50 points).
    truth = [(0.0, 0.0, 10.0, 10.0), (20.0, 20.0, 30.0, 30.0)]
    found = [(0.9, 0, 0, 10, 10), (0.8, 50, 50, 60, 60), (0.7, 20, 20, 30, 30)]
    assert ap50(case(truth, found)) == pytest.approx((51 + 50 * 2 / 3) / 101)


def test_a_box_found_twice_is_right_once_and_wrong_once() -> None:
    matches = match([case([(0, 0, 10, 10)], [(0.9, 0, 0, 10, 10), (0.8, 0, 0, 10, 9)])], most_per_image=100)
    assert matches.right[0, 0].tolist() == [True, False]
    assert matches.wrong[0, 0].tolist() == [False, True]


def test_what_falls_in_an_unsure_region_is_neither_right_nor_wrong() -> None:
    region = case([(0, 0, 100, 100)], [(0.9, 0, 0, 10, 10), (0.8, 50, 50, 60, 60)], unsure=(0,))
    matches = match([region], most_per_image=100)
    assert not matches.right.any()
    assert not matches.wrong.any()
    assert matches.positives[0].tolist() == [0]


def test_a_detection_that_is_not_counted_may_be_right_and_is_never_wrong() -> None:
    truth = [(0.0, 0.0, 10.0, 10.0)]
    found = [(0.9, 50, 50, 60, 60), (0.8, 0, 0, 10, 10)]
    assert ap50(case(truth, found)) == pytest.approx(0.5)
    assert ap50(case(truth, found, uncounted=(0, 1))) == pytest.approx(1.0)


def test_only_the_best_detections_of_an_image_count() -> None:
    found = [(0.9, 50, 50, 60, 60), (0.8, 0, 0, 10, 10)]
    matches = match([case([(0, 0, 10, 10)], found)], most_per_image=1)
    assert matches.scores.tolist() == [0.9]


def test_a_class_without_a_true_box_has_no_figure_and_takes_no_part_in_the_mean() -> None:
    nothing = match([case([], [(0.9, 0, 0, 10, 10)])], most_per_image=100)
    perfect = match([case([(0, 0, 10, 10)], [(0.9, 0, 0, 10, 10)])], most_per_image=100)
    assert np.isnan(average_precision(nothing, ONCE, most=100)[0])
    assert coco_figures([nothing, perfect], ONCE, most=100)["ap50"][0] == pytest.approx(1.0)


def test_true_boxes_without_any_detection_give_zero() -> None:
    assert ap50(case([(0, 0, 10, 10)], [])) == 0.0


def test_no_image_at_all_gives_no_figure() -> None:
    assert match([], most_per_image=10).images == 0


def test_overlap_with_a_region_is_over_the_detections_own_area() -> None:
    boxes = np.array([[0.0, 0.0, 10.0, 10.0]])
    truth = np.array([[0.0, 0.0, 100.0, 10.0]])
    assert overlaps(boxes, truth, np.array([True]))[0, 0] == 1.0
    assert overlaps(boxes, truth, np.array([False]))[0, 0] == pytest.approx(0.1)


def test_a_curve_ends_at_the_recall_that_is_reached() -> None:
    matches = match([case([(0, 0, 10, 10), (20, 20, 30, 30)], [(0.9, 0, 0, 10, 10)])], most_per_image=100)
    line = curve(matches, most=100)
    assert line.recall.tolist() == [0.5]
    assert line.precision.tolist() == [1.0]


# ── laws ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@st.composite
def random_images(draw_: st.DrawFn, *, ties: bool = True) -> list[Case]:
    """Up to five images of a few boxes, some of them unsure, with detections near and far, some of like score."""
    chance = np.random.default_rng(draw_(st.integers(0, 2**32 - 1)))
    cases = []
    for _ in range(draw_(st.integers(1, 5))):
        corners = chance.integers(0, 120, (int(chance.integers(0, 7)), 2))
        truth = np.concatenate([corners, corners + chance.integers(4, 110, corners.shape)], axis=1).astype(float)
        near = np.repeat(truth, 2, axis=0) + chance.integers(-6, 7, (2 * len(truth), 4))
        near[:, 2:] = np.maximum(near[:, 2:], near[:, :2] + 1)
        far = chance.integers(0, 150, (3, 2)).astype(float)
        boxes = np.concatenate([near, np.concatenate([far, far + 20], axis=1)])
        scores = chance.integers(1, 30, len(boxes)) / 30 if ties else chance.random(len(boxes))
        cases.append(
            Case(
                truth_xyxy_px=truth,
                truth_area_px2=(truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1]),
                unsure=chance.random(len(truth)) < 0.2,
                boxes_xyxy_px=boxes,
                scores=scores,
                counted=np.ones(len(boxes), dtype=bool),
            )
        )
    return cases


@settings(deadline=None, max_examples=60)
@given(random_images())
def test_figures_equal_those_of_pycocotools(cases: list[Case]) -> None:
    ours = coco_figures([match(cases, most_per_image=100)], np.ones((1, len(cases))), most=100)
    names = ("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large", "ar1", "ar10", "ar100", "ar_small",
             "ar_medium", "ar_large")  # fmt: skip
    for name, theirs in zip(names, _pycocotools(cases), strict=True):
        expected = np.nan if theirs == -1 else theirs
        assert ours[name][0] == pytest.approx(expected, abs=1e-9, nan_ok=True), name


def _pycocotools(cases: list[Case]) -> Any:
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for image, some in enumerate(cases):
        for box, area, crowd in zip(some.truth_xyxy_px, some.truth_area_px2, some.unsure, strict=True):
            fact = {"image_id": image, "category_id": 1, "area": area, "iscrowd": int(crowd), "id": len(truth) + 1}
            truth.append(fact | {"bbox": _xywh(box)})
        for box, score in zip(some.boxes_xyxy_px, some.scores, strict=True):
            found.append({"image_id": image, "category_id": 1, "bbox": _xywh(box), "score": float(score)})
    with contextlib.redirect_stdout(io.StringIO()):
        reference = COCO()
        reference.dataset = {
            "images": [{"id": i} for i in range(len(cases))],
            "annotations": truth,
            "categories": [{"id": 1}],
        }
        reference.createIndex()
        evaluation = COCOeval(reference, reference.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation.stats.tolist()


def _xywh(box: Any) -> list[float]:
    return [float(box[0]), float(box[1]), float(box[2] - box[0]), float(box[3] - box[1])]


@settings(deadline=None, max_examples=60)
@given(random_images(ties=False), st.integers(0, 1000))
def test_a_resample_equals_the_figure_of_the_images_it_repeats(cases: list[Case], seed: int) -> None:
    counts = np.random.default_rng(seed).integers(0, 4, len(cases))
    whole = match(cases, most_per_image=100)
    repeated = match([some for some, n in zip(cases, counts, strict=True) for _ in range(n)], most_per_image=100)
    once = np.ones((1, int(counts.sum())))
    for area in range(4):
        weighted = average_precision(whole, counts[None].astype(float), area=area, most=100)[0]
        assert weighted == pytest.approx(_or_nan(average_precision, repeated, once, area), abs=1e-9, nan_ok=True)
        recall = average_recall(whole, counts[None].astype(float), area=area, most=10)[0]
        wanted = average_recall(repeated, once, area=area, most=10)[0] if repeated.images else np.nan
        assert recall == pytest.approx(wanted, abs=1e-9, nan_ok=True)


def _or_nan(figure: Callable[..., Any], matches: Matches, once: Any, area: int) -> float:
    return float(figure(matches, once, area=area, most=100)[0]) if matches.images else float("nan")


@settings(deadline=None, max_examples=30)
@given(random_images(), st.integers(0, 1000))
def test_an_interval_contains_its_figure_and_is_the_same_for_the_same_seed(cases: list[Case], seed: int) -> None:
    matches = match(cases, most_per_image=100)
    some, again = (
        interval(average_precision(matches, draw(len(cases), resamples=50, seed=seed), most=100)) for _ in range(2)
    )
    if not np.isnan(some.low):
        assert some.low <= some.value <= some.high
        assert some == again


def test_a_figure_without_resamples_has_no_bounds() -> None:
    assert interval(np.array([0.5])).to_json() == {"value": 0.5, "low": None, "high": None}
    assert interval(np.array([np.nan])).to_json() == {"value": None, "low": None, "high": None}


def test_thousands_of_detections_are_matched_without_a_table_of_all_pairs() -> None:
    chance = np.random.default_rng(0)
    corners = chance.uniform(0, 20_000, (3000, 2))
    truth = np.concatenate([corners, corners + 20], axis=1)
    boxes = np.concatenate([truth + chance.normal(0, 1, truth.shape), truth + 5000])
    crowded = Case(truth, np.full(3000, 400.0), np.zeros(3000, bool), boxes, chance.random(6000), np.ones(6000, bool))
    matches = match([crowded], most_per_image=10_000)
    assert matches.right[0, 0].sum() == 3000
