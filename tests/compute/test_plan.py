from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.compute import Plan, Resources
from casemate.errors import BadInput
from casemate.store import Digest

PLAN = Plan(
    verb="train",
    modality="imagery",
    recipe="fine_tune",
    inputs={"dataset": Digest.of_bytes(b"dataset"), "base-model": Digest.of_bytes(b"model")},
    parameters={"steps": 400, "learning_rate": 0.001, "augment": {"rotate": True}, "name": "é\n", "nothing": None},
    code_version="0.1.0",
    seed=7,
    resources=Resources(processes=2, threads=1, gpus=0, time_limit_s=3600),
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None, max_examples=100)
@given(
    parameters=st.dictionaries(st.text(), _JSON, max_size=4),
    seed=st.integers(0, 2**63 - 1),
    inputs=st.dictionaries(st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True), st.binary(), max_size=3),
)
def test_printing_and_reading_are_inverse(parameters: Any, seed: int, inputs: dict[str, bytes]) -> None:
    digests = {name: Digest.of_bytes(data) for name, data in inputs.items()}
    plan = replace(PLAN, parameters=parameters, seed=seed, inputs=digests)
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json(plan.to_json()).to_json() == plan.to_json()
    assert plan.digest == Digest.of_bytes(plan.to_json())


def test_the_text_is_as_it_has_always_been(golden: Callable[[str, str], None]) -> None:
    golden("plan.json", PLAN.to_json().decode())


def test_a_plan_does_not_change_with_what_it_was_made_from() -> None:
    parameters: dict[str, Any] = {"steps": [1]}
    plan = replace(PLAN, parameters=parameters)
    parameters["steps"].append(2)
    assert plan.parameters == {"steps": [1]}


def _raw(**changes: Any) -> bytes:
    return json.dumps(json.loads(PLAN.to_json()) | changes).encode()


_THE_KEYS = (
    "plan.json: expected the keys (code_version, format, inputs, modality, parameters, recipe, resources, seed, verb), "
    "found (code_version, extra, format, "
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"{", "plan.json: expected a plan in JSON, found Expecting property name"),
        (b"[]", "plan.json: expected an object for the plan, found list"),
        (b"\xff", "plan.json: expected a plan in JSON, found 'utf-8' codec can't decode"),
        (_raw(format="casemate-plan/9"), "plan.json: expected format casemate-plan/1, found 'casemate-plan/9'"),
        (_raw(extra=1), _THE_KEYS),
        (_raw(verb="deploy"), "plan verb: expected evaluate or train, found 'deploy'"),
        (_raw(verb=1), "plan.json: expected verb of type str, found 1"),
        (_raw(modality="../os"), "plan modality: expected a modality's folder name, found '../os'"),
        (_raw(modality="imagery.data"), "plan modality: expected a modality's folder name, found 'imagery.data'"),
        (_raw(inputs={"../x": str(Digest.of_bytes(b""))}),
         "plan inputs: expected names of a-z, 0-9, _ and -, found '../x'"),
        (_raw(inputs={"x": "md5:0"}), "digest: expected sha256: and 64 lower-case hexadecimal digits, found 'md5:0'"),
        (_raw(inputs={"x": 1}), "plan.json: expected inputs.x of type str, found 1"),
        (_raw(seed=True), "plan.json: expected seed of type int, found True"),
        (_raw(seed=-1), "plan seed: expected from 0 to 2**63 - 1, found -1"),
        (_raw(parameters={"x": math.nan}), "plan parameters: expected finite numbers, text, lists and objects, found "),
        (_raw(resources={"processes": 1}),
         "plan.json: expected the keys resources.(gpus, processes, threads, time_limit_s), found (processes)"),
        (_raw(resources={"processes": 0, "threads": 1, "gpus": 0, "time_limit_s": 0}),
         "plan resources.processes: expected at least 1, found 0"),
        (PLAN.to_json().replace(b'"seed": 7', b'"seed": 7, "seed": 8'),
         "plan.json: expected a plan in JSON, found 'seed' twice"),
    ],
)  # fmt: skip
def test_a_plan_that_is_not_exactly_one_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(BadInput) as why:
        Plan.from_json(text)
    assert str(why.value).startswith(said)


@pytest.mark.parametrize("parameters", [{1: 2}, {"x": {1, 2}}, {"x": math.inf}, {"x": Path("y")}])
def test_parameters_that_json_cannot_hold_are_refused(parameters: Any) -> None:
    with pytest.raises(BadInput, match="plan parameters: expected "):
        replace(PLAN, parameters=parameters)


def test_a_work_folder_without_a_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as why:
        Plan.read(tmp_path)
    assert str(why.value) == f"{tmp_path / 'plan.json'}: expected a plan, found no such file"
