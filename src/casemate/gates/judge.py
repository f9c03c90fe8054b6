"""The judgement: scores held against a policy, as a value with its reasons.

Rules. Pure: no clock, no file, no chance, so anyone who has the scores, the policy and the facts finds the same verdict
and the same digest. A figure that was not evaluated, or is not a number, does not pass. Scores of another model or of
another held-out set do not pass, and neither does a held-out set on which the model was trained. A model whose task
no rule of the policy is for does not pass. What a model from elsewhere learned from is not known here: near-duplicates
are then not evaluated, which a policy may accept in so many words for such a model, and for no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from casemate.errors import BadInput, GateClosed
from casemate.gates.policy import GatePolicy, MetricRule, RobustnessRule
from casemate.gates.scores import Scores
from casemate.gates.wording import NOT_EVALUATED, Text, bound, metric_name, named, number
from casemate.signing.canonical import Door
from casemate.signing.statement import Statement, Subject
from casemate.store.digest import Digest

VERDICT_TYPE = "urn:casemate:verdict:1"
_SHOWN_HEX = 12
_UNCHANGED = "unchanged"
NONE = Text("none", "aucun")
ASSISTANT = "assistant"  # the task of no model: retrieval, embedder, engine, prompts and thresholds together
PLANTED = frozenset({"canaries"})  # what was planted in the training data on purpose, to see whether it comes out


@dataclass(frozen=True)
class Facts:
    """What the catalog knows and the scores only claim; of an assistant, `model` is the digest of all its parts."""

    model: Digest
    held_out: Digest
    trained_on: tuple[Digest, ...] = ()
    near_duplicates: int | None = None
    task: str = ""
    others: Mapping[str, Digest] = field(default_factory=dict)


@dataclass(frozen=True)
class Reason:
    """One rule of the policy, what it expects, what was found, and whether that is enough."""

    rule: Text
    expected: Text
    found: Text
    passed: bool

    def text(self, language: str = "en") -> str:
        """The reason as one sentence in `language`, `en` or `fr`."""
        rule, expected, found = (part.language(language) for part in (self.rule, self.expected, self.found))
        if language == "fr":
            return f"{rule} : attendu {expected}, trouvé {found}"
        return f"{rule}: expected {expected}, found {found}"


@dataclass(frozen=True)
class Verdict:
    """Pass or not, with the reasons, bound to the model, the scores and the policy."""

    passed: bool
    reasons: tuple[Reason, ...]
    policy_digest: Digest
    scores_digest: Digest
    model: Digest

    @property
    def failed(self) -> tuple[Reason, ...]:
        """The reasons that did not pass."""
        return tuple(reason for reason in self.reasons if not reason.passed)

    @property
    def digest(self) -> Digest:
        """The digest of the verdict's statement, which approvals and releases name."""
        return Digest(verdict_statement(self).hex)

    def open_or_raise(self) -> None:
        """GateClosed with the first reason that did not pass."""
        for reason in self.failed:
            raise GateClosed(reason.rule.en, expected=reason.expected.en, found=reason.found.en)


def judge(scores: Scores, policy: GatePolicy, *, facts: Facts) -> Verdict:
    """The verdict on `scores` under `policy`; a refusal is a value and raises nothing."""
    reasons = (
        *_identity(scores, facts),
        *_task(scores, policy, facts),
        *_held_out(scores, policy, facts),
        _overlap(scores, policy, facts),
        *(_metric(rule, scores) for rule in policy.rules_for(facts.task)),
        *(_robustness(rule, scores) for rule in policy.robustness),
        *_calibration(scores, policy),
    )
    passed = all(reason.passed for reason in reasons)
    return Verdict(passed, reasons, policy.digest, scores.digest, facts.model)


def verdict_statement(verdict: Verdict) -> Statement:
    """The verdict as an in-toto statement about the model."""
    reasons = [
        {
            "rule": _both(reason.rule),
            "expected": _both(reason.expected),
            "found": _both(reason.found),
            "passed": reason.passed,
        }
        for reason in verdict.reasons
    ]
    predicate = {
        "passed": verdict.passed,
        "policy": str(verdict.policy_digest),
        "scores": str(verdict.scores_digest),
        "reasons": reasons,
    }
    return Statement(VERDICT_TYPE, (Subject("model", verdict.model.hex),), predicate)


def read_verdict(statement: Statement) -> Verdict:
    """The verdict in a statement; BadInput naming the field if it is not one."""
    if statement.predicate_type != VERDICT_TYPE or len(statement.subjects) != 1:
        raise BadInput("verdict", expected=f"{VERDICT_TYPE} on one model", found=statement.predicate_type)
    raw = _VerdictJson.enter(dict(statement.predicate), "verdict")
    reasons = tuple(Reason(r.rule.text(), r.expected.text(), r.found.text(), r.passed) for r in raw.reasons)
    if raw.passed != all(reason.passed for reason in reasons):
        raise BadInput("verdict", expected="to pass when every reason does", found=f"passed = {raw.passed}")
    model = Digest(statement.subjects[0].digest)
    return Verdict(raw.passed, reasons, Digest.parse(raw.policy), Digest.parse(raw.scores), model)


def reasons_json(verdict: Verdict) -> list[dict[str, Any]]:
    """The reasons as JSON-ready facts in English, for tables and `--json`."""
    return [
        {"rule": r.rule.en, "expected": r.expected.en, "found": r.found.en, "passed": r.passed} for r in verdict.reasons
    ]


def _identity(scores: Scores, facts: Facts) -> Iterator[Reason]:
    yield _same(ASSISTANT if facts.task == ASSISTANT else "model", facts.model, scores.model)
    yield _same("held-out data set", facts.held_out, scores.dataset)
    for name in sorted(facts.others.keys() | scores.others.keys()):
        yield _same(name, facts.others.get(name), scores.others.get(name))
    apart = {facts.held_out, scores.dataset, *(d for name, d in facts.others.items() if name not in PLANTED)}
    trained_on_it = not apart.isdisjoint(facts.trained_on)
    expected = Text("no held-out data set among them", "aucun jeu tenu à part parmi eux")
    found = Text("the held-out data set", "le jeu tenu à part") if trained_on_it else NONE
    yield Reason(named("training data sets"), expected, found, not trained_on_it)


def _same(what: str, expected: Digest | None, found: Digest | None) -> Reason:
    shown, other = (Text(d.hex[:_SHOWN_HEX], d.hex[:_SHOWN_HEX]) if d else NONE for d in (expected, found))
    return Reason(named(what), shown, other, expected is not None and expected == found)


def _task(scores: Scores, policy: GatePolicy, facts: Facts) -> Iterator[Reason]:
    if facts.task or scores.task:
        shown, other = (Text(task, task) if task else NONE for task in (facts.task, scores.task))
        yield Reason(named("task"), shown, other, facts.task == scores.task)
    if any(rule.task for rule in policy.rules):
        yield _count("rules for the task", ">=", 1, len(policy.rules_for(facts.task)))


def _held_out(scores: Scores, policy: GatePolicy, facts: Facts) -> Iterator[Reason]:
    if facts.task:
        yield _count("held-out items", ">=", policy.min_items, scores.items)
        return
    yield _count("held-out images", ">=", policy.min_images, scores.images)
    yield _count("held-out boxes", ">=", policy.min_boxes, scores.boxes)


def _overlap(scores: Scores, policy: GatePolicy, facts: Facts) -> Reason:
    known = [n for n in (facts.near_duplicates, scores.near_duplicates) if n is not None]
    if not known and not facts.trained_on and policy.accepts_unknown_training:
        limit = bound("<=", policy.max_near_duplicates)
        expected = Text(f"{limit.en}, or a model from elsewhere", f"{limit.fr}, ou un modèle venu d'ailleurs")
        return Reason(named("near-duplicates"), expected, NOT_EVALUATED, passed=True)
    return _count("near-duplicates", "<=", policy.max_near_duplicates, max(known) if known else None)


def _count(what: str, sign: str, limit: int, found: int | None) -> Reason:
    passed = found is not None and (found >= limit if sign == ">=" else found <= limit)
    return Reason(named(what), bound(sign, limit), number(found, apart_from=limit), passed)


def _metric(rule: MetricRule, scores: Scores) -> Reason:
    found = scores.figure(rule.metric).end(rule.on)
    whole = rule.threshold >= 2 and rule.threshold.is_integer()  # a count, and not a share
    expected = bound(">=" if rule.at_least else "<=", int(rule.threshold) if whole else rule.threshold)
    name = metric_name(rule.metric, on=rule.on)
    if rule.dataset is not None and rule.dataset != scores.dataset:
        on = f" on {rule.dataset.hex[:_SHOWN_HEX]}", f" sur {rule.dataset.hex[:_SHOWN_HEX]}"
        return Reason(name, Text(expected.en + on[0], expected.fr + on[1]), NOT_EVALUATED, passed=False)
    passed = found is not None and (found >= rule.threshold if rule.at_least else found <= rule.threshold)
    return Reason(name, expected, number(found, apart_from=rule.threshold), passed)


def _robustness(rule: RobustnessRule, scores: Scores) -> Reason:
    drop = _drop(rule, scores)
    passed = drop is not None and drop <= rule.max_drop
    name = metric_name(rule.metric, under=rule.perturbation)
    return Reason(name, bound("<=", rule.max_drop), number(drop, apart_from=rule.max_drop), passed)


def _drop(rule: RobustnessRule, scores: Scores) -> float | None:
    """What was lost: from the unchanged views of the same images where there are such, else from the metric itself."""
    row, figure = scores.robustness.get(rule.perturbation, {}), scores.metrics.get(rule.metric)
    whole = figure.value if figure else None
    clean, disturbed = scores.robustness.get(_UNCHANGED, {rule.metric: whole}).get(rule.metric), row.get(rule.metric)
    if clean is None or disturbed is None:
        return None
    stated = row.get("drop")
    alone = set(row) == {rule.metric, "drop"}  # then the stated drop is this metric's
    return max(clean - disturbed, stated) if alone and stated is not None else clean - disturbed


def _calibration(scores: Scores, policy: GatePolicy) -> Iterator[Reason]:
    if policy.max_ece is None:
        return
    figure = scores.metrics.get("ece")
    found = figure.value if figure else None
    passed = found is not None and 0 <= found <= policy.max_ece
    yield Reason(metric_name("ece"), bound("<=", policy.max_ece), number(found, apart_from=policy.max_ece), passed)


def _both(text: Text) -> dict[str, str]:
    return {"en": text.en, "fr": text.fr}


class _TextJson(Door):
    en: str
    fr: str

    def text(self) -> Text:
        return Text(self.en, self.fr)


class _ReasonJson(Door):
    rule: _TextJson
    expected: _TextJson
    found: _TextJson
    passed: bool


class _VerdictJson(Door):
    passed: bool
    policy: str
    scores: str
    reasons: list[_ReasonJson]
