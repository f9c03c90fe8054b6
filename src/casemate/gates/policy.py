"""The gate's policy: what scores must show, who must approve, and for how long a release is good.

Rules. TOML, strict: an unknown key, a threshold that is not finite, the same rule twice or a policy that asks for
nothing is an error, so a slip of the pen never opens the gate. A rule may be for one task (chat, embeddings, ocr), and
then takes no part in judging a model of another. At least two people approve, whatever a policy says. The policy's
digest is that of its text; verdicts and releases name it, so changing a threshold leaves a trace. It is signed by the
officer like the trust file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature
from casemate.signing.canonical import Door
from casemate.signing.decision import LEAST_PEOPLE
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.trust import Trust
from casemate.store.digest import Digest

GATE_POLICY_TYPE = "application/vnd.casemate.gate-policy+toml"
LEAST_APPROVERS = LEAST_PEOPLE
APPROVING_ROLES = ("approver", "officer")
_MAX_CHARACTERS = 1_000_000

End = Literal["value", "low", "high"]


@dataclass(frozen=True)
class MetricRule:
    """A metric, which may name a class (`ap50.vessel`), and the least or most that it may be."""

    metric: str
    threshold: float
    at_least: bool
    on: End = "value"
    dataset: Digest | None = None
    task: str = ""

    @property
    def name(self) -> str:
        """What the verdict calls this rule."""
        return self.metric if self.on == "value" else f"{self.metric} ({self.on} end of its interval)"


@dataclass(frozen=True)
class RobustnessRule:
    """How much of a metric may be lost under a perturbation."""

    perturbation: str
    metric: str
    max_drop: float

    @property
    def name(self) -> str:
        """What the verdict calls this rule."""
        return f"{self.metric} under {self.perturbation}"


@dataclass(frozen=True)
class GatePolicy:
    """Everything that a verdict and a release are held against."""

    name: str
    rules: tuple[MetricRule, ...]
    robustness: tuple[RobustnessRule, ...]
    max_near_duplicates: int
    max_ece: float | None
    min_images: int
    min_boxes: int
    min_items: int
    accepts_unknown_training: bool
    approvals: tuple[tuple[str, int], ...]
    validity_days: int
    digest: Digest
    text: str

    @classmethod
    def from_toml(cls, text: str, *, source: str = "gate policy") -> GatePolicy:
        """Read a policy; BadInput naming `source` and the field for anything unknown, ill-formed or repeated."""
        if len(text) > _MAX_CHARACTERS:
            raise BadInput(source, expected=f"at most {_MAX_CHARACTERS} characters", found=len(text))
        try:
            raw = _PolicyToml.enter(tomllib.loads(text), source)
        except tomllib.TOMLDecodeError as why:
            raise BadInput(source, expected="TOML", found=why) from why
        rules = tuple(_metric_rule(rule, source) for rule in raw.rules)
        robustness = tuple(RobustnessRule(r.perturbation, r.metric, r.max_drop) for r in raw.robustness)
        _refuse_twice([(r.metric, r.on, r.at_least, r.dataset, r.task or None) for r in rules], source)
        _refuse_twice([(r.perturbation, r.metric) for r in robustness], source)
        return cls(
            name=raw.name,
            rules=rules,
            robustness=robustness,
            max_near_duplicates=raw.overlap.max_near_duplicates,
            max_ece=raw.calibration.max_ece if raw.calibration else None,
            min_images=raw.held_out.min_images,
            min_boxes=raw.held_out.min_boxes,
            min_items=raw.held_out.min_items,
            accepts_unknown_training=raw.overlap.unknown_training == "accept",
            approvals=_approvals(raw.approvals, source),
            validity_days=raw.release.validity_days,
            digest=Digest.of_bytes(text.encode()),
            text=text,
        )

    def rules_for(self, task: str) -> tuple[MetricRule, ...]:
        """The rules that a model of this task is held against."""
        return tuple(rule for rule in self.rules if rule.task in {"", task})

    @classmethod
    def shipped(cls, name: str = "default") -> GatePolicy:
        """One of the policies that come with Casemate, by name."""
        names = shipped_gate_policies()
        if name not in names:
            raise BadInput(f"gate policy {name}", expected=" or ".join(names), found=name)
        file = resources.files("casemate.gates").joinpath("policies", f"{name}.toml")
        return cls.from_toml(file.read_text(encoding="utf-8"), source=f"{name}.toml")


def shipped_gate_policies() -> list[str]:
    """Names of the gate policies that come with Casemate."""
    files = resources.files("casemate.gates").joinpath("policies").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def sign_policy(policy: GatePolicy, pen: Signer) -> bytes:
    """The envelope in which the officer vouches for the policy's text."""
    return pen.sign_bytes(GATE_POLICY_TYPE, policy.text.encode()).to_json()


def load_policy(text: bytes, envelope_bytes: bytes, trust: Trust, *, now: datetime) -> GatePolicy:
    """The policy that an officer signed; BadSignature if these are not the bytes."""
    envelope = Envelope.from_json(envelope_bytes, thing="gate policy's signature")
    trust.verify(envelope, role="officer", now=now, payload_type=GATE_POLICY_TYPE, thing="gate policy")
    if envelope.payload != text:
        raise BadSignature("gate policy", expected="the bytes that the officer signed", found="other bytes")
    return GatePolicy.from_toml(text.decode())


def _metric_rule(raw: _RuleToml, source: str) -> MetricRule:
    thing = f"{source} rule {raw.metric}"
    if (raw.at_least is None) == (raw.at_most is None):
        found = "neither" if raw.at_least is None else "both"
        raise BadInput(thing, expected="at_least or at_most", found=found)
    dataset = Digest.parse(raw.dataset) if raw.dataset is not None else None
    threshold = raw.at_least if raw.at_least is not None else raw.at_most
    if threshold is None:
        raise RuntimeError("unreachable: one of the two was just found")
    return MetricRule(raw.metric, threshold, raw.at_least is not None, raw.on, dataset, raw.task)


def _approvals(raw: Mapping[str, int], source: str) -> tuple[tuple[str, int], ...]:
    unknown = sorted(set(raw) - set(APPROVING_ROLES))
    if unknown:
        raise BadInput(f"{source} approvals", expected=f"roles among {', '.join(APPROVING_ROLES)}", found=unknown[0])
    total = sum(raw.values())
    if total < LEAST_APPROVERS or min(raw.values(), default=0) < 1:
        found = ", ".join(f"{role} = {count}" for role, count in sorted(raw.items())) or "nobody"
        raise BadInput(f"{source} approvals", expected=f"at least {LEAST_APPROVERS} people", found=found)
    return tuple(sorted(raw.items()))


def _refuse_twice(rules: Iterable[tuple[object, ...]], source: str) -> None:
    seen: set[tuple[object, ...]] = set()
    for rule in rules:
        if rule in seen:
            found = " ".join(str(part) for part in rule if part is not None)
            raise BadInput(f"{source} rules", expected="each rule once", found=f"{found} twice")
        seen.add(rule)


class _RuleToml(Door):
    metric: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    at_least: float | None = None
    at_most: float | None = None
    on: End = "value"
    dataset: str | None = None
    task: str = Field(default="", pattern=r"^[a-z][a-z-]{0,63}\z")


class _RobustnessToml(Door):
    perturbation: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    metric: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    max_drop: float = Field(ge=0)


class _OverlapToml(Door):
    max_near_duplicates: int = Field(default=0, ge=0)
    unknown_training: Literal["refuse", "accept"] = "refuse"


class _CalibrationToml(Door):
    max_ece: float = Field(ge=0, le=1)


class _HeldOutToml(Door):
    min_images: int = Field(default=1, ge=1)
    min_boxes: int = Field(default=1, ge=1)
    min_items: int = Field(default=1, ge=1)


class _ReleaseToml(Door):
    validity_days: int = Field(default=365, ge=1, le=3660)


class _PolicyToml(Door):
    format: Literal["casemate-gate-policy/1"]
    name: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    rules: list[_RuleToml] = Field(min_length=1)
    robustness: list[_RobustnessToml] = Field(default=[])
    overlap: _OverlapToml = _OverlapToml()
    calibration: _CalibrationToml | None = None
    held_out: _HeldOutToml = _HeldOutToml()
    approvals: dict[str, int] = Field(default={"approver": LEAST_APPROVERS})
    release: _ReleaseToml = _ReleaseToml()
