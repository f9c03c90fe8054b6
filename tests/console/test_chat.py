"""Chat with a released model as it is: whole and in events, with tools, refusals, engines that die."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from casemate.factory.desk import utc_now
from casemate.serving.engines import Piece, Usage
from tests.console.conftest import CHANCE_AND_CLOCKS, Place, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.factory.town import found

pytestmark = pytest.mark.anyio
HELLO = [{"role": "user", "content": "Dites bonjour."}]


@pytest.fixture(scope="module")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A town with a chat model at DR and one at S."""
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    for name, marking in (("small", "DR"), ("secret", "S")):
        (root / name).mkdir()
        (root / name / "model.gguf").write_bytes(name.encode())
        released(town, root / name, name, marking=marking, task="chat")
    with opened(town) as made:
        yield made


@pytest.fixture
def engine(talkative: Place) -> Scripted:
    scripted = Scripted()
    talkative.console.pool = ScriptedPool(scripted)
    return scripted


async def asked(place: Place, who: str = "ines", **body: Any) -> Any:
    async with place.client(who) as client:
        return await client.post("/v1/chat/completions", json={"model": "small", "messages": HELLO} | body)


def events(text: str) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in text.split("\n\n") if line]
    return [json.loads(line) if line != "[DONE]" else line for line in lines]


async def test_an_answer_says_its_marking_and_its_release(talkative: Place, engine: Scripted) -> None:
    answer = await asked(talkative, casemate={"marking": "NP"})
    said = answer.json()
    assert (answer.status_code, said["choices"][0]["message"]["content"]) == (200, "Bonjour, monde.")
    assert said["choices"][0]["finish_reason"] == "stop"
    assert said["usage"] | {"prompt_tokens_details": 0} == {
        "prompt_tokens": 2, "completion_tokens": 4, "total_tokens": 6, "prompt_tokens_details": 0,
    }  # fmt: skip
    assert answer.headers["x-casemate-marking"] == said["casemate"]["marking"] == "DR"
    assert answer.headers["x-casemate-release"] == said["casemate"]["release"] != ""


async def test_what_is_not_marked_counts_as_the_highest_that_its_sender_may_have_read(
    talkative: Place, engine: Scripted
) -> None:
    assert (await asked(talkative, "lea")).headers["x-casemate-marking"] == "S"
    assert (await asked(talkative, "lea", casemate={"ceiling": "DR"})).headers["x-casemate-marking"] == "DR"
    async with talkative.client("lea") as client:
        body = {"model": "small", "messages": HELLO}
        answer = await client.post("/v1/chat/completions", json=body, headers={"X-Casemate-Marking": "NP"})
    assert answer.headers["x-casemate-marking"] == "DR"


async def test_a_body_does_not_unsay_the_marking_that_a_header_declares(talkative: Place, engine: Scripted) -> None:
    for header, body, expected in (("DR", "NP", "DR"), ("NP", "DR", "DR"), ("S", "NP", "S")):
        async with talkative.client("lea") as client:
            sent = {"model": "small", "messages": HELLO, "casemate": {"marking": body}}
            answer = await client.post("/v1/chat/completions", json=sent, headers={"X-Casemate-Marking": header})
        assert answer.headers["x-casemate-marking"] == expected


async def test_events_carry_the_answer_its_marking_and_its_usage(talkative: Place, engine: Scripted) -> None:
    answer = await asked(talkative, stream=True, stream_options={"include_usage": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = events(answer.text)
    assert told[-1] == "[DONE]"
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in told[:-2]) == "Bonjour, monde."
    assert told[-2]["usage"]["total_tokens"] == 6
    assert told[0]["choices"][0]["delta"]["role"] == "assistant"
    assert told[0]["casemate"]["marking"] == told[-3]["casemate"]["marking"] == answer.headers["x-casemate-marking"]
    assert len({e["id"] for e in told[:-1]}) == 1


async def test_tools_go_to_the_model_and_its_calls_come_back_and_nothing_runs_them(
    talkative: Place, engine: Scripted
) -> None:
    parts = [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"ci'}},
        {"index": 0, "function": {"arguments": 'ty":"Brest"}'}},
    ]
    engine.words = [Piece("", extra={"tool_calls": [part]}) for part in parts]
    engine.words = [*engine.words, Piece("", "tool_calls", Usage(3, 2))]
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}]
    said = (await asked(talkative, tools=tools, tool_choice="auto")).json()["choices"][0]
    call = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Brest"}'}}
    assert (said["message"]["tool_calls"], said["message"]["content"]) == ([call], None)
    assert engine.asked[-1][1].tools == tuple(tools)
    back = [*HELLO, {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "pluie"}]  # fmt: skip
    told = events((await asked(talkative, messages=back, tools=tools, stream=True)).text)
    assert [e["choices"][0]["delta"]["tool_calls"] for e in told[1:3]] == [[part] for part in parts]
    assert engine.asked[-1][0][2].extra == {"tool_call_id": "call_1"}


async def test_an_engine_that_dies_before_its_first_word_is_503(talkative: Place, engine: Scripted) -> None:
    engine.dies_after = 0
    for stream in (False, True):
        answer = await asked(talkative, stream=stream)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


async def test_an_engine_that_dies_in_mid_stream_is_the_last_event(talkative: Place, engine: Scripted) -> None:
    engine.dies_after = 2
    told = events((await asked(talkative, stream=True)).text)
    assert "".join(e["choices"][0]["delta"].get("content", "") for e in told[:-1]) == "Bonjour, "
    assert told[-1]["error"]["message"] == "engine scripted: expected an answer to its end, found 2 pieces"
    assert (await asked(talkative)).status_code == 503


async def test_a_conversation_beyond_the_context_is_refused_with_both_numbers(
    talkative: Place, engine: Scripted
) -> None:
    answer = await asked(talkative, messages=[{"role": "user", "content": "mot " * 2000}])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, "context_length_exceeded", "messages")
    assert error["message"] == "messages: expected fewer than 1000 tokens, found 2000 tokens"


async def test_a_model_that_is_not_there_or_is_above_the_reader_is_the_model_that_was_not_found(
    talkative: Place, engine: Scripted
) -> None:
    for path, body in (
        ("/v1/chat/completions", {"messages": HELLO}), ("/v1/completions", {"prompt": "x"}),
        ("/v1/embeddings", {"input": "x"}), ("/v1/rerank", {"query": "x", "documents": ["y"]}),
    ):  # fmt: skip
        async with talkative.client("ines") as client:
            told = [await client.post(path, json={"model": name, **body}) for name in ("never", "secret")]
        errors = [answer.json()["error"] for answer in told]
        for answer, error in zip(told, errors, strict=True):
            assert (answer.status_code, error["code"], error["param"]) == (404, "model_not_found", "model"), path
        assert errors[1]["message"] == errors[0]["message"].replace("never", "secret")


async def test_a_prompt_of_ten_megabytes_is_refused_before_it_is_parsed(talkative: Place, engine: Scripted) -> None:
    answer = await asked(talkative, messages=[{"role": "user", "content": "x" * 10_000_000}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large")
    assert engine.asked == []


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"store": True}, "store"),
        ({"frequency_penalty": 1}, "frequency_penalty"),
        ({"logit_bias": {"1": 2}}, "logit_bias"),
        ({"audio": {"voice": "alloy"}}, "audio"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "file:///"}}]}]}, None),
        ({"temperature": 9}, "temperature"),
        ({"casemate": {"secret": 1}}, "casemate.secret"),
    ],
)
async def test_what_no_engine_obeys_is_refused_by_name(
    talkative: Place, engine: Scripted, body: dict[str, Any], param: str | None
) -> None:
    answer = await asked(talkative, **body)
    assert answer.status_code == 400
    assert param is None or answer.json()["error"]["param"] == param
    assert engine.asked == []


async def test_an_unknown_marking_and_one_above_the_reader_are_refused(talkative: Place, engine: Scripted) -> None:
    assert (await asked(talkative, casemate={"marking": "ULTRA"})).json()["error"]["code"] == "bad_marking"
    answer = await asked(talkative, casemate={"marking": "S"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "not_allowed")


async def test_a_model_above_the_reader_is_told_as_one_that_does_not_exist(talkative: Place, engine: Scripted) -> None:
    told = []
    for name in ("secret", "nothing"):
        answer = await asked(talkative, model=name)
        headers = {k: v for k, v in answer.headers.items() if k not in {"content-length", *CHANCE_AND_CLOCKS}}
        told.append((answer.status_code, answer.text.replace(name, "NAME"), headers))
    assert told[0] == told[1]
    assert told[0][0] == 404


async def test_the_journal_tells_of_a_talk_without_a_word_of_it(talkative: Place, engine: Scripted) -> None:
    await asked(talkative, casemate={"marking": "NP"})
    line = talkative.claire.view.journal(limit=1).lines[0]
    assert (line.act.actor, line.act.verb, line.act.marking) == ("ines", "chat", "DR")
    assert {"release", "prompt_tokens", "completion_tokens", "ended", "apikey"} <= line.act.facts.keys()
    everything = "".join(talkative.claire.catalog.journal.lines())
    assert "bonjour" not in everything.lower()


async def test_a_withdrawn_release_answers_no_more(talkative: Place, engine: Scripted, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(b"brief")
    released(talkative.town, tmp_path, "brief", task="chat")
    assert (await asked(talkative, model="brief")).status_code == 200
    talkative.town.acting("claire").revoke("brief", reason="test")
    answer = await asked(talkative, model="brief")
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "revoked")
    async with talkative.client("ines") as client:
        assert "brief" not in {model["id"] for model in (await client.get("/v1/models")).json()["data"]}


async def test_models_are_those_that_the_reader_may_use(talkative: Place) -> None:
    for who, expected in (("ines", {"small", "assistant"}), ("lea", {"small", "secret", "assistant"})):
        async with talkative.client(who) as client:
            listed = (await client.get("/v1/models")).json()["data"]
            assert {model["id"] for model in listed} == expected
            for model in listed:
                assert (await client.get(f"/v1/models/{model['id']}")).json() == model
