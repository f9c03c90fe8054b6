"""Whatever is sent, the answer is an answer: never a mistake of ours, always in OpenAI's shape."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from casemate.console import bodies
from casemate.console.bodies import MOST_NESTED, Body, json_of
from casemate.console.buckets import MOST_KEPT, Buckets, Taken
from casemate.console.faults import Fault
from casemate.factory.desk import utc_now
from tests.console.conftest import Place, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.factory.town import found

PATHS = ["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/vector_stores/vs_x/search"]
leaves = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["user", "system", "assistant", "tool"]), "content": values | st.text()}
    ),
    max_size=3,
)
likely = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["small", "assistant", "nothing"]) | values, "messages": messages | values,
        "prompt": st.text() | values, "input": st.text() | values, "query": st.text() | values, "documents": values,
        "stream": st.booleans() | values, "max_tokens": st.integers() | values, "stop": values, "tools": values,
        "casemate": st.fixed_dictionaries({}, optional={
            "marking": st.sampled_from(["NP", "DR", "S", "?"]) | values,
            "ceiling": st.sampled_from(["NP", "DR"]) | values,
            "since": values, "documents": values, "engine": st.sampled_from(["quote", "small"]) | values,
        }),
        "filters": values, "temperature": st.floats() | values, "seed": st.integers() | values,
    },
)  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    (root / "small").mkdir()
    (root / "small" / "model.gguf").write_bytes(b"small")
    released(town, root / "small", "small", task="chat")
    with opened(town) as made:
        made.console.pool = ScriptedPool(Scripted())
        made.console.requests.size = 1_000_000
        yield made


def sent(place: Place, path: str, content: bytes) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with place.client("ines") as client:
            return await client.post(path, content=content)

    return anyio.run(ask)


def shaped(answer: httpx.Response) -> None:
    assert answer.status_code < 500 or answer.status_code == 503, answer.text
    if answer.status_code >= 400:
        error = answer.json()["error"]
        assert error.keys() >= {"message", "type", "param", "code"}
        assert isinstance(error["message"], str)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(PATHS),
    st.binary(max_size=60)
    | likely.map(lambda v: json.dumps(v).encode())
    | values.map(lambda v: json.dumps(v).encode()),
)
@example(PATHS[0], b'{"model": "small", "messages": [{"role": "user", "content": "\\ud800"}]}')
@example(PATHS[0], b'{"model": "\\u0000", "messages": [{"role": "user", "content": "x"}]}')
@example(PATHS[0], b"[" * 100_000)
@example(PATHS[0], b'{"a":' * 100_000)
@example(PATHS[0], b'"' + b'\\"' * 1_000_000)
@example(PATHS[0], b'{"max_tokens": ' + b"9" * 10_000 + b"}")
@example(PATHS[0], b'{"temperature": 1e999}')
@example(PATHS[0], b"\xff\xfe{\x00}\x00")
@example(PATHS[0], b'{"model": "small", "messages": [{"role": "user", "content": "x"}], "seed": 99999999999999999999}')
def test_whatever_is_sent_the_answer_has_its_shape(place: Place, path: str, content: bytes) -> None:
    shaped(sent(place, path, content))


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["/v1/models/", "/v1/files/", "/v1/vector_stores/", "/v1/files?after=", "/v1/files?limit="]),
    st.text(max_size=30),
)
def test_whatever_is_named_the_answer_has_its_shape(place: Place, path: str, text: str) -> None:
    import urllib.parse

    async def ask() -> httpx.Response:
        async with place.client("ines") as client:
            return await client.get(path + urllib.parse.quote(text, safe="", errors="replace"))

    shaped(anyio.run(ask))


_FIELD = b'--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n\r\n'


@pytest.mark.parametrize("path", ["/v1/files", "/v1/detections"])
@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("multipart/form-data", b"x"),
        ("multipart/form-data; boundary=b", b'--b\r\nContent-Disposition: form-data; name="file"\r\n'),
        ("multipart/form-data; boundary=b", _FIELD.replace(b'"a"', b'"file"') + b"--b--\r\n"),
        ("multipart/form-data; boundary=", b"----"),
        ("multipart/form-data; boundary=b", 40 * _FIELD + b"--b--"),
        ("application/json", b"{}"),
        ("application/x-www-form-urlencoded", b"file=%ff&purpose=assistants"),
        ("", b""),
    ],
)  # fmt: skip
def test_whatever_form_is_sent_the_answer_has_its_shape(place: Place, path: str, kind: str, content: bytes) -> None:
    async def ask() -> httpx.Response:
        async with place.client("ines") as client:
            return await client.post(path, content=content, headers={"Content-Type": kind})

    answer = anyio.run(ask)
    shaped(answer)
    assert answer.status_code >= 400


def test_json_is_nested_so_deep_and_no_deeper() -> None:
    assert json_of(b"[" * MOST_NESTED + b"]" * MOST_NESTED)
    for deep in (b"[" * (MOST_NESTED + 1), b'{"a":' * (MOST_NESTED + 1)):
        with pytest.raises(Fault, match=f"The body is nested more than {MOST_NESTED} deep."):
            json_of(deep)
    assert json_of(b'"' + b"[" * 1000 + b'"') == "[" * 1000


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "The body is not JSON at character 0."),
        (b'{"a": NaN}', "The body is not JSON."),
        (b'{"a": "\\udc00"}', "The body has half a character (a lone surrogate)."),
        (b"\xff", "The body is not JSON."),
        ('{"a": 1}'.encode("utf-16-le"), "The body is not JSON at character 1."),
        ('{"a": 1}'.encode("utf-32"), "The body is not JSON."),
    ],
)
def test_what_is_not_json_is_told_so_and_not_repeated(data: bytes, message: str) -> None:
    with pytest.raises(Fault) as no:
        json_of(data)
    assert (no.value.status, no.value.message) == (400, message)


def test_a_wrong_field_is_named_and_what_it_held_is_not_repeated() -> None:
    class Few(Body):
        number: int

    with pytest.raises(Fault) as no:
        bodies.parsed(b'{"number": "secret word"}', Few)
    assert no.value.param == "number"
    assert "secret" not in no.value.message
    with pytest.raises(Fault, match="must be a JSON object"):
        bodies.parsed(b"[]", Few)


def test_a_bucket_fills_with_time_and_is_ones_own() -> None:
    now = [0.0]
    buckets = Buckets(2, lambda: now[0])
    assert [buckets.take("a").wait_s for _ in range(3)] == [0, 0, 30]
    assert buckets.take("b") == Taken(0, 1, 30.0)
    now[0] += 29
    assert buckets.take("a").wait_s == 1
    now[0] += 1
    assert [buckets.take("a").wait_s for _ in range(2)] == [0, 30]


def test_only_so_many_buckets_are_kept() -> None:
    buckets = Buckets(1, lambda: 0.0)
    for number in range(MOST_KEPT + 10):
        buckets.take(str(number))
    assert len(buckets._levels) == MOST_KEPT


def test_any_answer_may_be_told(place: Place) -> None:
    answer: Any = sent(
        place, "/v1/chat/completions", json.dumps({"model": "x\x1b\n", "messages": [{"role": "user"}]}).encode()
    )
    assert "\\x1b\\n" in answer.json()["error"]["message"]
