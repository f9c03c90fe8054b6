"""The engine on the site's network: what it is sent, what comes back, and every way in which it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import BadInput, Busy, Refused, Unavailable
from casemate.serving.engines import Message, Piece, Sampling, Usage
from casemate.serving.engines.openai import OpenAI, Remote, open_engine
from tests.serving.engines import stand_in as server

ASKED = [Message("system", "Be brief."), Message("user", "secret words")]
GZIPPED = server.HEAD.replace(b"\r\n\r\n", b"\r\nContent-Encoding: gzip\r\n\r\n")


def run(story: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(story)


async def told(act: server.Act, sampling: Sampling | None = None, **options: Any) -> tuple[list[Piece], server.StandIn]:
    """The pieces of an answer, and the server that gave them."""
    async with server.stand_in(act) as it:
        engine = open_engine(Remote("gpu", it.url, "big", **options))
        try:
            return [piece async for piece in engine.stream(ASKED, sampling or Sampling(max_tokens=9))], it
        finally:
            await engine.close()


def refused(act: server.Act, **options: Any) -> Exception:
    with pytest.raises((BadInput, Unavailable)) as no:
        run(told(act, **options))
    assert "secret" not in str(no.value), "what was asked is never repeated"
    return no.value


def test_an_answer_comes_piece_by_piece_with_its_usage() -> None:
    pieces, _ = run(told(server.answers))
    assert "".join(piece.text for piece in pieces) == "mot0 mot1 mot2 mot3 mot4 "
    assert pieces[-1] == Piece("", "stop", Usage(11, 5, 0)), "whose prompts were known there is not for every caller"


def test_what_is_sent_is_a_chat_completion_to_the_model_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("k3y\n")
    wanted = Sampling(max_tokens=9, stop=("END",), tools=({"type": "function"},), tool_choice="auto", reuse="ana")
    _, it = run(told(server.answers, wanted, key_file=tmp_path / "key"))
    assert it.asked == [
        {
            "model": "big", "messages": [m.to_json() for m in ASKED], "max_tokens": 9, "temperature": 0.0, "top_p": 1.0,
            "seed": 0, "stop": ["END"], "tools": [{"type": "function"}], "tool_choice": "auto", "stream": True,
            "stream_options": {"include_usage": True}, "cache_salt": "ana",
        }
    ]  # fmt: skip
    (head,) = it.heads
    assert head["request"] == "POST /v1/chat/completions HTTP/1.1"
    assert (head["authorization"], head["host"]) == ("Bearer k3y", f"127.0.0.1:{it.port}")
    assert head["accept-encoding"] == "identity"


def test_calls_without_a_key_of_reuse_get_a_salt_of_their_own() -> None:
    salts = {run(told(server.answers))[1].asked[0]["cache_salt"] for _ in range(3)}
    assert len(salts) == 3
    assert "cache_salt" not in run(told(server.answers, salt=False))[1].asked[0]


def test_tool_calls_are_passed_through() -> None:
    pieces, _ = run(told(server.calls_a_tool))
    assert [piece.extra["tool_calls"][0].get("id") for piece in pieces if piece.extra] == ["c1", None]
    assert pieces[-1].finish == "tool_calls"


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert len(run(told(server.answers))[0]) == 6


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (server.dies, "engine gpu: expected an answer to its end, found the end of the connection after 2 pieces"),
        (server.ends_early, "expected an answer to its end, found the end of the connection after 1 pieces"),
        (server.says(b""), "engine gpu: expected an answer to its end, found the end of the connection after 0 pieces"),
        (server.says(b"SSH-2.0-x\r\n\r\n"), "found the end of the connection after 0 pieces"),
        (server.says(server.HEAD + server.event("[1, 2")), "the chunks of a chat completion, found something else"),
        (server.says(server.HEAD + server.event('"secret"')), "the chunks of a chat completion, found something else"),
        (server.says(server.HEAD + server.event('{"choices": [{"delta": {"content": 5}}]}')), "found something else"),
        (server.says(server.HEAD + server.event('{"choices": 5}')), "found something else after 0 pieces"),
        (server.says(server.HEAD + server.event("[" * 200_000)), "found something else after 0 pieces"),
        (server.says(server.HEAD + server.event('{"choices": [{"delta": {"tool_calls": "x"}}]}')), "something else"),
        (server.says(server.HEAD + server.event('{"usage": {"prompt_tokens": -9, "completion_tokens": 1}}')), "else"),
        (server.says(server.HEAD + server.event('{"error": "secret"}')), "found its error after 0 pieces"),
        (server.says(server.HEAD + b"data: " + b"x" * (3 << 20)), "expected lines of at most 1048576 bytes"),
        (server.never_ends, "engine gpu: expected an answer of at most 1085440 bytes, found more"),
        (server.status(302, "Location: http://127.0.0.1:9/"), "found HTTP 302, a redirect, which is not followed"),
        (server.status(500), "engine gpu: expected HTTP 200, found HTTP 500, an error"),
        (server.status(401), "engine gpu: expected HTTP 200, found HTTP 401, an error"),
        (server.status(200), "engine gpu: expected text/event-stream, found 'application/json'"),
        (server.says(GZIPPED), "expected text/event-stream"),
        (server.status(400), "that engine gpu takes, found HTTP 400; it may be longer than the"),
        (server.status(413), "found HTTP 413"),
    ],
)  # fmt: skip
def test_what_an_engine_does_wrong_is_said_and_never_with_what_was_asked(act: server.Act, message: str) -> None:
    assert message in str(refused(act))


def test_an_engine_that_falls_silent_is_not_waited_for() -> None:
    no = refused(server.falls_silent, timeout_s=0.2)
    assert str(no) == "engine gpu: expected an answer to its end, found silence after 1 pieces"


def test_an_engine_that_has_no_place_says_when_to_come_again() -> None:
    no = refused(server.status(429))
    assert isinstance(no, Busy)
    assert no.retry_after_s == 5


def test_nobody_there_is_unavailable() -> None:
    async def story() -> None:
        async with server.stand_in(server.answers) as it:
            url = it.url
        engine = open_engine(Remote("gpu", url, "big"))
        with pytest.raises(Unavailable, match="engine gpu: expected an engine that listens, found no connection"):
            await anext(engine.stream(ASKED, Sampling()))
        await engine.close()

    run(story())


def test_who_goes_away_ends_the_call_at_the_other_end() -> None:
    async def story() -> None:
        async with server.stand_in(server.never_ends) as it:
            engine = open_engine(Remote("gpu", it.url, "big"))
            async with aclosing(engine.stream(ASKED, Sampling(max_tokens=100_000))) as pieces:
                await anext(pieces)
                assert it.inside == 1
            await it.empty.wait()
            assert it.left == 1
            await engine.close()

    run(story())


def test_two_hundred_streams_at_once_lose_nothing() -> None:
    async def story() -> None:
        async with server.stand_in(server.answers, words=20) as it:
            engine = open_engine(Remote("gpu", it.url, "big"))

            async def one() -> str:
                return "".join([piece.text async for piece in engine.stream(ASKED, Sampling(max_tokens=20))])

            found = await asyncio.gather(*(one() for _ in range(200)))
            assert set(found) == {"".join(f"mot{number} " for number in range(20))}
            assert len(it.asked) == 200
            assert it.most > 100
            await engine.close()

    run(story())


def test_an_engine_serves_one_event_loop_after_another() -> None:
    engine: OpenAI | None = None

    async def story() -> int:
        nonlocal engine
        async with server.stand_in(server.answers) as it:
            engine = open_engine(Remote("gpu", it.url, "big"))
            return len([piece async for piece in engine.stream(ASKED, Sampling())])

    assert (run(story()), run(story())) == (6, 6)
    assert engine
    run(engine.close())


def test_an_address_outside_the_site_is_never_opened() -> None:
    with pytest.raises(Refused, match=r"engine gpu: expected an address of this machine or of a private network"):
        open_engine(Remote("gpu", "https://models.example/v1", "big"), resolver=lambda _host, _port: ["93.184.216.34"])


def test_another_machine_proves_who_it_is_by_the_sites_own_authority(tmp_path: Path) -> None:
    def opened(ca: Path | None) -> OpenAI:
        return open_engine(
            Remote("gpu", "https://gpu.site/v1", "big", ca=ca), resolver=lambda _host, _port: ["10.0.0.1"]
        )

    with pytest.raises(BadInput, match="expected ca, the file of the authority that signs its certificate, found none"):
        opened(None)
    (tmp_path / "ca.pem").write_text("no certificate")
    with pytest.raises(BadInput, match=r"expected certificates in .*ca.pem, found a file that cannot be read"):
        opened(tmp_path / "ca.pem")


def test_a_key_that_cannot_be_read_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r"engine gpu: expected its key in .*absent, found a file that cannot be read"
    ):
        open_engine(Remote("gpu", "http://127.0.0.1:9/v1", "big", key_file=tmp_path / "absent"))


def test_tokens_are_counted_rather_too_many() -> None:
    engine = open_engine(Remote("gpu", "http://127.0.0.1:9/v1", "big", context_tokens=99))
    assert engine.context_tokens == 99
    assert engine.count([Message("user", "mot " * 100)]) > 130
