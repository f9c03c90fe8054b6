"""Calibration: curves, thresholds, folds, and the file that carries them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, DigestMismatch
from casemate.modalities.imagery.calibrate import (
    START_THRESHOLDS,
    UNCALIBRATED,
    Calibrated,
    Calibration,
    Examples,
    apply_to,
    choose_threshold,
    deal,
    fit,
    from_json,
    load,
)
from casemate.modalities.imagery.curves import (
    Isotonic,
    Temperature,
    curve_from_json,
    fit_curve,
    fit_isotonic,
    fit_temperature,
    reliability,
)

LEVELS = ("detection", "recognition", "identification")


def overconfident(count: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Scores that claim more than they keep: the truth has half the logit, less one."""
    chance = np.random.default_rng(seed)
    scores = chance.uniform(0.05, 0.99, count)
    truth = 1 / (1 + np.exp(-(0.5 * np.log(scores / (1 - scores)) - 1)))
    return scores, chance.random(count) < truth


def some_examples(count: int = 1500, groups: int = 60, *, seed: int = 0) -> Examples:
    scores, right = overconfident(count, seed=seed)
    deeper = right & (np.random.default_rng(seed + 1).random(count) < 0.8)
    return Examples(
        raw=np.stack([scores, scores * 0.9, scores * 0.8], axis=1),
        right=np.stack([right, deeper, deeper], axis=1),
        known=np.ones((count, 3), dtype=bool),
        group=np.random.default_rng(seed + 2).integers(0, groups, count),
        positives=(int(right.sum()) + 50,) * 3,
        nodes=frozenset({"object", "aircraft", "airplane"}),
    )


def test_a_temperature_finds_the_miscalibration_that_was_put_in() -> None:
    scores, right = overconfident(20_000)
    found = fit_temperature(scores, right)
    assert found.temperature == pytest.approx(2.0, abs=0.15)
    assert found.bias == pytest.approx(-1.0, abs=0.1)


@pytest.mark.parametrize("fitting", [fit_temperature, fit_isotonic])
def test_calibration_lowers_the_error_on_data_it_was_not_fitted_on(fitting: object) -> None:
    scores, right = overconfident(4000, seed=1)
    others, truth = overconfident(4000, seed=2)
    curve = fitting(scores, right)  # type: ignore[operator]
    assert reliability(others, truth).error > 0.15
    assert reliability(curve.apply(others), truth).error < 0.04


def test_isotonic_is_chosen_where_no_temperature_fits() -> None:
    chance = np.random.default_rng(0)
    scores = chance.random(4000)
    right = chance.random(4000) < np.where(scores < 0.5, 0.1, 0.9)
    assert isinstance(fit_curve(scores, right, chance.integers(0, 2, 4000)), Isotonic)


def test_a_temperature_is_chosen_where_examples_are_few() -> None:
    scores, right = overconfident(100)
    assert isinstance(fit_curve(scores, right, np.arange(100) % 2), Temperature)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10_000), st.integers(2, 400))
def test_a_curve_never_reverses_an_order_and_stays_a_probability(seed: int, count: int) -> None:
    chance = np.random.default_rng(seed)
    scores, right = chance.random(count), chance.random(count) < 0.5
    line = np.linspace(0, 1, 200)
    for curve in (fit_temperature(scores, right), fit_isotonic(scores, right)):
        stated = curve.apply(line)
        assert (np.diff(stated) >= 0).all()
        assert ((stated >= 0) & (stated <= 1)).all()
        assert curve_from_json(json.loads(json.dumps(curve.to_json())), source="test") == curve


def test_a_temperature_of_one_leaves_scores_as_they_are() -> None:
    assert Temperature().apply(np.array([0.1, 0.5, 0.9])) == pytest.approx([0.1, 0.5, 0.9])


@pytest.mark.parametrize(
    "facts",
    [
        {"method": "temperature", "temperature": 0, "bias": 0},
        {"method": "temperature", "temperature": 1},
        {"method": "temperature", "temperature": True, "bias": 0},
        {"method": "isotonic", "scores": [0, 1], "probabilities": [0.9, 0.1]},
        {"method": "isotonic", "scores": [0, 1], "probabilities": [0.5]},
        {"method": "isotonic", "scores": [], "probabilities": []},
        "temperature",
    ],
)
def test_a_curve_that_is_none_is_refused(facts: object) -> None:
    with pytest.raises(BadInput, match=r"a\.json: expected a temperature above 0 with a bias, or an isotonic"):
        curve_from_json(facts, source="a.json")


# ── thresholds ───────────────────────────────────────────────────────────────────────────────────────────────────────
@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40), st.integers(0, 10))
def test_the_threshold_has_the_best_f1_of_all(rows: list[tuple[int, bool]], missed: int) -> None:
    stated, right = np.array([r[0] / 20 for r in rows]), np.array([r[1] for r in rows])
    positives = max(1, int(right.sum()) + missed)

    def f1(threshold: float) -> float:
        answered = stated >= threshold
        return 2 * float((right & answered).sum()) / (answered.sum() + positives)

    chosen = choose_threshold(stated, right, positives)
    assert chosen is not None
    assert f1(chosen) == pytest.approx(max(f1(s) for s in stated))


def test_a_target_of_precision_is_met_with_the_most_found() -> None:
    stated, right = np.array([0.9, 0.8, 0.7, 0.6, 0.5]), np.array([True, False, True, True, False])
    assert choose_threshold(stated, right, 3, target_precision=0.75) == pytest.approx(0.6, abs=1e-6)
    assert choose_threshold(stated, right, 3, target_precision=1.0) == pytest.approx(0.9, abs=1e-6)


def test_a_precision_that_is_never_reached_closes_the_level() -> None:
    assert choose_threshold(np.array([0.9, 0.8]), np.array([False, True]), 1, target_precision=0.9) is None


def test_deeper_levels_are_answered_only_if_more_likely_right_than_wrong() -> None:
    thresholds = fit(some_examples()).calibrated.thresholds
    assert thresholds["recognition"] is not None
    assert thresholds["recognition"] >= 0.5


# ── folds ────────────────────────────────────────────────────────────────────────────────────────────────────────────
@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 30), min_size=1, max_size=200))
def test_an_image_is_never_on_both_sides_of_a_fold(group: list[int]) -> None:
    dealt = deal(np.array(group), 4)
    for image in set(group):
        assert len({int(hand) for hand, g in zip(dealt, group, strict=True) if g == image}) == 1


def test_every_example_is_scored_with_what_was_fitted_on_the_other_fold() -> None:
    given_ = some_examples()
    found = fit(given_)
    for f in (0, 1):
        own = found.fold == f
        stated = found.folds[f].calibration.apply(given_.raw[own, 0], 0)
        assert found.probabilities[own, 0] == pytest.approx(stated)
        # Turning the answers of a fold round changes what scores the other fold, and nothing of what scores its own.
        turned = fit(Examples(given_.raw, given_.right ^ own[:, None], given_.known, given_.group, given_.positives))
        assert turned.probabilities[own, 0] == pytest.approx(stated)
        assert turned.probabilities[~own, 0] != pytest.approx(found.probabilities[~own, 0])


def test_the_reported_error_is_lower_than_that_of_raw_scores_and_no_lower_than_truth_allows() -> None:
    found = fit(some_examples(6000))
    fresh = some_examples(6000, seed=50)
    elsewhere = apply_to(fresh, found.calibrated)
    for level in LEVELS:
        assert found.after[level].error < found.before[level].error / 2
        assert elsewhere.after[level].error == pytest.approx(found.after[level].error, abs=0.03)


def test_a_level_that_is_never_right_has_no_curve_and_no_threshold() -> None:
    given_ = some_examples(400)
    known = given_.known.copy()
    known[:, 2] = False
    found = fit(Examples(given_.raw, given_.right, known, given_.group, (500, 500, 0)))
    assert set(found.calibrated.calibration.curves) == {"detection", "recognition"}
    assert found.calibrated.thresholds["identification"] is None
    assert np.isnan(found.probabilities[:, 2]).all()


def test_nothing_found_at_all_closes_every_level() -> None:
    none = np.zeros((0, 3))
    empty = Examples(none, none.astype(bool), none.astype(bool), np.zeros(0, dtype=np.int64), (5, 5, 5))
    found = fit(empty)
    assert found.calibrated.thresholds == dict.fromkeys(LEVELS)
    assert np.isnan(found.after["detection"].error)


# ── calibration.json ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_what_is_written_is_what_is_read() -> None:
    found = fit(some_examples()).calibrated
    assert from_json(found.to_json()) == found
    assert from_json(found.to_json()).to_json() == found.to_json()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "casemate-calibration/9"}, "c.json: expected casemate-calibration/1 with"),
        ({"extra": 1}, "c.json: expected casemate-calibration/1 with .*, found .*extra"),
        ({"thresholds": {"detection": 2}}, "c.json, thresholds: expected a number from 0 to 1 or null"),
        ({"calibration": {"size": {}}}, "c.json, calibration: expected curves for detection, recognition"),
        ({"measured": "airplane"}, "c.json, measured: expected names of nodes, or null, found airplane"),
    ],
)
def test_a_calibration_file_is_read_strictly(change: dict[str, object], message: str) -> None:
    document = json.loads(UNCALIBRATED.to_json()) | change
    with pytest.raises(BadInput, match=message):
        from_json(json.dumps(document).encode(), source="c.json")


def test_what_is_not_json_is_refused() -> None:
    with pytest.raises(BadInput, match=r"calibration.json: expected JSON, found "):
        from_json(b"{")


def test_the_file_beside_the_model_comes_before_what_training_left(tmp_path: Path) -> None:
    trained = {"calibration": {"detection": Temperature(3.0).to_json()}, "thresholds": START_THRESHOLDS}
    assert load(tmp_path, {}) == UNCALIBRATED
    assert load(tmp_path, trained).calibration.curves == {"detection": Temperature(3.0)}
    fitted = Calibrated(Calibration({"detection": Temperature(2.0)}), START_THRESHOLDS, model="sha256:aa")
    (tmp_path / "calibration.json").write_bytes(fitted.to_json())
    assert load(tmp_path, trained) == fitted


def test_a_calibration_of_another_model_is_not_used(tmp_path: Path) -> None:
    fitted = Calibrated(UNCALIBRATED.calibration, START_THRESHOLDS, model="sha256:aa")
    (tmp_path / "calibration.json").write_bytes(fitted.to_json())
    assert load(tmp_path, {}, model="sha256:aa") == fitted
    with pytest.raises(DigestMismatch, match="the model it was fitted for: expected sha256:bb, found sha256:aa"):
        load(tmp_path, {}, model="sha256:bb")


def test_a_calibration_that_is_asked_for_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"mine.json: expected a calibration file, found none"):
        load(tmp_path, {}, file=tmp_path / "mine.json")
