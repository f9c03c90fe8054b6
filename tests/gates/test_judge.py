from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, GateClosed
from casemate.gates.judge import Facts, Verdict, judge, read_verdict, verdict_statement
from casemate.gates.policy import GatePolicy
from casemate.gates.scores import Scores
from casemate.signing.statement import Statement
from casemate.store.digest import Digest
from tests.gates.conftest import HELD_OUT, MODEL, POLICY, SCORES, scores_with

TEST_POLICY = GatePolicy.from_toml(POLICY)
TEST_FACTS = Facts(MODEL.digest, HELD_OUT, (), 0)


def verdict_on(**changes: Any) -> Verdict:
    return judge(scores_with(**changes), TEST_POLICY, facts=TEST_FACTS)


def failures(verdict: Verdict, language: str = "en") -> list[str]:
    assert verdict.passed == (not verdict.failed)
    return [reason.text(language) for reason in verdict.failed]


def metrics(**changes: Any) -> dict[str, Any]:
    return {**SCORES["metrics"], **changes}


def test_good_scores_pass_and_every_rule_says_why(policy: GatePolicy, facts: Facts) -> None:
    verdict = judge(scores_with(), policy, facts=facts)
    assert verdict.passed
    assert [reason.text() for reason in verdict.reasons][3:] == [
        "held-out images: expected >= 10, found 12",
        "held-out boxes: expected >= 100, found 340",
        "near-duplicates: expected <= 0, found 0",
        "recall: expected >= 0.70, found 0.81",
        "ap50 (low end of its interval): expected >= 0.50, found 0.70",
        "ap50 drop under blur: expected <= 0.30, found 0.14",
        "ece: expected <= 0.10, found 0.04",
    ]


def test_a_low_metric_closes_the_gate_in_both_languages() -> None:
    verdict = verdict_on(metrics=metrics(recall={"value": 0.61, "low": 0.5, "high": 0.7}))
    assert failures(verdict) == ["recall: expected >= 0.70, found 0.61"]
    assert failures(verdict, "fr") == ["rappel : attendu ≥ 0,70, trouvé 0,61"]
    with pytest.raises(GateClosed) as refusal:
        verdict.open_or_raise()
    assert str(refusal.value) == "recall: expected >= 0.70, found 0.61"


def test_a_figure_just_below_is_told_apart_from_its_threshold() -> None:
    assert failures(verdict_on(metrics=metrics(recall=0.69999))) == ["recall: expected >= 0.70, found 0.69999"]
    assert failures(verdict_on(metrics=metrics(recall=math.nextafter(0.7, 0)))) == [
        f"recall: expected >= 0.70, found {math.nextafter(0.7, 0)!r}"
    ]
    assert verdict_on(metrics=metrics(recall=0.7)).passed


@pytest.mark.parametrize("value", [None, math.nan, math.inf, -math.inf, "0.9", True, [], {"low": 0.9}, {"value": None}])
def test_what_is_not_a_finite_number_never_passes(value: Any) -> None:
    verdict = verdict_on(metrics=metrics(recall=value))
    assert failures(verdict) == ["recall: expected >= 0.70, found not evaluated"]
    assert failures(verdict, "fr") == ["rappel : attendu ≥ 0,70, trouvé non évalué"]


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, None])
def test_nan_and_infinity_pass_no_rule_of_any_kind(bad: float | None) -> None:
    text = POLICY.replace('metric = "recall"\nat_least = 0.70', 'metric = "recall"\nat_most = 0.70')
    scores = scores_with(
        metrics={"recall": bad, "ap50": {"value": 0.7, "low": bad}, "ece": bad}, robustness={"blur": {"ap50": bad}}
    )
    verdict = judge(scores, GatePolicy.from_toml(text), facts=TEST_FACTS)
    assert [reason.found.en for reason in verdict.failed] == ["not evaluated"] * 4


def test_what_was_not_evaluated_does_not_pass() -> None:
    assert failures(verdict_on(metrics={}, robustness={}, overlap=None)) == [
        "recall: expected >= 0.70, found not evaluated",
        "ap50 (low end of its interval): expected >= 0.50, found not evaluated",
        "ap50 drop under blur: expected <= 0.30, found not evaluated",
        "ece: expected <= 0.10, found not evaluated",
    ]
    unknown = judge(scores_with(overlap=None), TEST_POLICY, facts=replace(TEST_FACTS, near_duplicates=None))
    assert failures(unknown) == ["near-duplicates: expected <= 0, found not evaluated"]


def test_the_low_end_of_the_interval_is_what_counts_where_the_policy_says_so() -> None:
    wide = {"value": 0.74, "low": 0.44, "high": 0.95}
    assert failures(verdict_on(metrics=metrics(ap50=wide))) == [
        "ap50 (low end of its interval): expected >= 0.50, found 0.44"
    ]


def test_a_drop_under_a_perturbation_closes_the_gate_the_worse_of_two_figures_counting() -> None:
    for row in ({"ap50": 0.40}, {"ap50": 0.60, "drop": 0.34}):
        verdict = verdict_on(robustness={"blur": row})
        assert failures(verdict) == ["ap50 drop under blur: expected <= 0.30, found 0.34"]
        assert failures(verdict, "fr") == ["perte de ap50 sous flou : attendu ≤ 0,30, trouvé 0,34"]


def test_a_drop_is_counted_from_the_same_images_unchanged() -> None:
    hard = {"unchanged": {"ap50": 0.64, "drop": 0.0}, "blur": {"ap50": 0.40, "drop": 0.24}}
    assert verdict_on(robustness=hard).passed
    easy = {"unchanged": {"ap50": 0.90, "drop": 0.0}, "blur": {"ap50": 0.58}}
    assert failures(verdict_on(robustness=easy)) == ["ap50 drop under blur: expected <= 0.30, found 0.32"]
    unknown = {"unchanged": {"ap50": None}, "blur": {"ap50": 0.70}}
    assert failures(verdict_on(robustness=unknown)) == ["ap50 drop under blur: expected <= 0.30, found not evaluated"]


def test_overlap_and_small_sets_close_the_gate_whoever_noticed() -> None:
    verdict = verdict_on(
        overlap={"near_duplicates": 2, "pairs": []}, dataset={"digest": str(HELD_OUT), "images": 9, "boxes": 99}
    )
    assert failures(verdict) == [
        "held-out images: expected >= 10, found 9",
        "held-out boxes: expected >= 100, found 99",
        "near-duplicates: expected <= 0, found 2",
    ]
    catalog = judge(scores_with(), TEST_POLICY, facts=replace(TEST_FACTS, near_duplicates=3))
    assert failures(catalog, "fr") == ["quasi-doublons : attendu ≤ 0, trouvé 3"]


def test_scores_of_another_model_or_set_do_not_pass() -> None:
    other = Digest.of_bytes(b"other")
    verdict = judge(scores_with(), TEST_POLICY, facts=Facts(other, other, (HELD_OUT,), 0))
    assert failures(verdict) == [
        f"model: expected {other.hex[:12]}, found {MODEL.digest.hex[:12]}",
        f"held-out data set: expected {other.hex[:12]}, found {HELD_OUT.hex[:12]}",
        "training data sets: expected no held-out data set among them, found the held-out data set",
    ]


def test_a_rule_on_a_data_set_is_not_met_by_another() -> None:
    other = Digest.of_bytes(b"other")
    policy = GatePolicy.from_toml(POLICY.replace("at_least = 0.70", f'at_least = 0.70\ndataset = "{other}"'))
    assert failures(judge(scores_with(), policy, facts=TEST_FACTS)) == [
        f"recall: expected >= 0.70 on {other.hex[:12]}, found not evaluated"
    ]
    same = GatePolicy.from_toml(POLICY.replace("at_least = 0.70", f'at_least = 0.70\ndataset = "{HELD_OUT}"'))
    assert judge(scores_with(), same, facts=TEST_FACTS).passed


def test_a_rule_may_name_a_class() -> None:
    policy = GatePolicy.from_toml(POLICY.replace('metric = "recall"', 'metric = "recall.fishing vessel"'))
    verdict = judge(scores_with(), policy, facts=TEST_FACTS)
    assert failures(verdict, "fr") == ["rappel.fishing vessel : attendu ≥ 0,70, trouvé non évalué"]


@given(st.floats() | st.none(), st.floats() | st.none(), st.floats() | st.none())
@settings(deadline=None, max_examples=100)
def test_a_verdict_passes_only_when_every_figure_is_within_its_bounds(
    recall: float | None, low: float | None, ece: float | None
) -> None:
    verdict = verdict_on(metrics={"recall": recall, "ap50": {"value": 0.7, "low": low}, "ece": ece})
    within = [recall is not None and recall >= 0.7, low is not None and low >= 0.5, ece is not None and 0 <= ece <= 0.1]
    finite = all(figure is not None and math.isfinite(figure) for figure in (recall, low, ece))
    assert verdict.passed == (finite and all(within))
    assert read_verdict(verdict_statement(verdict)) == verdict


def test_the_same_scores_give_the_same_verdict_and_digest() -> None:
    assert verdict_on() == verdict_on()
    assert verdict_on().digest == verdict_on().digest
    assert verdict_on().digest != verdict_on(code_version="0.1.1").digest


def test_a_verdict_whose_answer_was_turned_is_refused() -> None:
    statement = verdict_statement(verdict_on(metrics={}))
    turned = Statement(statement.predicate_type, statement.subjects, {**statement.predicate, "passed": True})
    with pytest.raises(BadInput) as refusal:
        read_verdict(turned)
    assert str(refusal.value) == "verdict: expected to pass when every reason does, found passed = True"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "scores: expected JSON, found"),
        ('{"format": 1, "format": 1}', "scores: expected JSON, found a key twice among format, format"),
        (json.dumps({**SCORES, "format": "x"}), "scores format: expected"),
        (json.dumps({**SCORES, "model": {}}), "scores model.digest: expected a value, found none"),
        (json.dumps({**SCORES, "model": {"digest": "md5:0"}}), "digest: expected sha256:"),
        (json.dumps({**SCORES, "dataset": {"digest": str(HELD_OUT), "images": -1}}), "scores dataset.images: expected"),
        (json.dumps({**SCORES, "metrics": []}), "scores metrics: expected"),
    ],
)
def test_scores_that_are_not_scores_are_refused(text: str, message: str) -> None:
    with pytest.raises(BadInput) as refusal:
        Scores.from_json(text.encode())
    assert str(refusal.value).startswith(message)


def test_the_text_of_a_verdict_is_as_agreed(golden: Callable[[str, str], None]) -> None:
    verdict = verdict_on(metrics=metrics(recall=0.61))
    golden("gates/verdict.json", verdict_statement(verdict).to_json().decode())
