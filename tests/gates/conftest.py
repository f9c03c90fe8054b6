"""A case that passes: a model of two files, its scores, a policy, and people with pens."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from casemate.gates.judge import Facts
from casemate.gates.pen import Pen
from casemate.gates.policy import GatePolicy
from casemate.gates.release import Case
from casemate.gates.scores import Scores
from casemate.signing.trust import Trust, TrustedKey
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest, ManifestFile

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
MODEL = Manifest(
    (
        ManifestFile("model.json", 2, Digest.of_bytes(b"{}")),
        ManifestFile("model.safetensors", 7, Digest.of_bytes(b"weights")),
    )
)
HELD_OUT, TRAINED_ON = Digest.of_bytes(b"held out"), Digest.of_bytes(b"trained on")
POLICY = """
format = "casemate-gate-policy/1"
name = "test"
[[rules]]
metric = "recall"
at_least = 0.70
[[rules]]
metric = "ap50"
at_least = 0.50
on = "low"
[[robustness]]
perturbation = "blur"
metric = "ap50"
max_drop = 0.30
[calibration]
max_ece = 0.10
[held_out]
min_images = 10
min_boxes = 100
"""
SCORES: dict[str, Any] = {
    "format": "casemate-scores/1",
    "dataset": {"digest": str(HELD_OUT), "images": 12, "boxes": 340},
    "model": {"digest": str(MODEL.digest)},
    "code_version": "0.1.0",
    "metrics": {
        "recall": {"value": 0.81, "low": 0.78, "high": 0.84},
        "ap50": {"value": 0.74, "low": 0.70, "high": 0.78},
        "ece": {"value": 0.04, "low": None, "high": None},
    },
    "robustness": {"blur": {"ap50": 0.60, "drop": 0.14}},
    "overlap": {"near_duplicates": 0, "pairs": []},
}


@cache
def pen_of(name: str) -> Pen:
    seed = hashlib.sha256(name.encode()).digest()
    classic = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP384R1())
    return Pen(classic, mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))


def scores_with(**changes: Any) -> Scores:
    return Scores.from_json(json.dumps({**SCORES, **changes}).encode())


@pytest.fixture(scope="session")
def pens() -> Callable[[str], Pen]:
    return pen_of


@pytest.fixture(scope="session")
def now() -> datetime:
    return NOW


@pytest.fixture(scope="session")
def trust() -> Trust:
    start, end = datetime(2030, 1, 1, tzinfo=UTC), datetime(2032, 1, 1, tzinfo=UTC)
    roles = {
        "anne": {"author", "approver"},
        "bob": {"approver"},
        "carol": {"approver"},
        "olivia": {"officer"},
        "harbour": {"site"},
        "dave": {"author"},
    }
    return Trust(tuple(TrustedKey(n, pen_of(n).public, frozenset(r), start, end) for n, r in roles.items()))


@pytest.fixture(scope="session")
def policy() -> GatePolicy:
    return GatePolicy.from_toml(POLICY)


@pytest.fixture(scope="session")
def facts() -> Facts:
    return Facts(MODEL.digest, HELD_OUT, (TRAINED_ON,), 0)


@pytest.fixture(scope="session")
def case(policy: GatePolicy, facts: Facts) -> Case:
    return Case("plane finder", MODEL, "DR", "anne", scores_with(), facts, policy, Digest.of_bytes(b"dossier"))


def rescored(case: Case, **changes: Any) -> Case:
    return replace(case, scores=scores_with(**changes))
