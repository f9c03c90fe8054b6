"""The embedded engine: a real model of a few kilobytes, and a model that misbehaves as it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from casemate.errors import BadInput, Unavailable
from casemate.serving.engines import Message, Sampling
from casemate.serving.engines.llamacpp import LlamaCpp, open_engine
from tests.tiny_gguf import write_tiny_gguf

ASKED = [Message("user", "w01 w02 and then?")]


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    folder = write_tiny_gguf(tmp_path_factory.mktemp("tiny")).parent
    opened = open_engine("tiny", folder, context_tokens=16384, slots=2, threads=1)
    yield opened
    asyncio.run(opened.close())


def run(story: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(story)


async def whole(engine: LlamaCpp, sampling: Sampling, asked: list[Message] | None = None) -> tuple[str, Any]:
    pieces = [piece async for piece in engine.stream(asked or ASKED, sampling)]
    return "".join(piece.text for piece in pieces), pieces[-1]


def test_an_answer_is_the_same_again_and_says_its_usage(engine: LlamaCpp) -> None:
    first, again = (run(whole(engine, Sampling(max_tokens=6))) for _ in range(2))
    assert first == again
    text, last = first
    assert text.count(" w") == 6
    assert (last.finish, last.usage.prompt_tokens, last.usage.completion_tokens) == ("length", engine.count(ASKED), 6)


def test_an_answer_stops_where_it_is_told(engine: LlamaCpp) -> None:
    text, _ = run(whole(engine, Sampling(max_tokens=8)))
    third = text.split()[2]
    cut, last = run(whole(engine, Sampling(max_tokens=8, stop=(third,))))
    assert (cut.split(), last.finish) == (text.split()[:2], "stop")


def test_two_answers_at_once_do_not_mix(engine: LlamaCpp) -> None:
    async def both() -> list[tuple[str, Any]]:
        return await asyncio.gather(*(whole(engine, Sampling(max_tokens=40)) for _ in range(4)))

    alone, _ = run(whole(engine, Sampling(max_tokens=40)))
    assert {text for text, _ in run(both())} == {alone}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LlamaCpp]:
    folder = write_tiny_gguf(tmp_path_factory.mktemp("small")).parent
    opened = open_engine("small", folder, context_tokens=256, threads=1)
    yield opened
    asyncio.run(opened.close())


def test_messages_beyond_the_context_are_refused_with_both_numbers(small: LlamaCpp) -> None:
    asked = [Message("user", "x" * 300)]
    tokens = small.count(asked)
    with pytest.raises(BadInput) as no:
        run(whole(small, Sampling(), asked))
    assert str(no.value) == (
        "messages: expected messages of fewer than 256 tokens, which is all that the model's context holds, "
        f"found {tokens} tokens, so {tokens - 255} too many; nothing was cut and nothing was answered"
    )


def test_the_longest_messages_that_fit_are_answered_with_what_room_is_left(small: LlamaCpp) -> None:
    most = 300 - (small.count([Message("user", "x" * 300)]) - 255)
    for length, room in ((most, 1), (most - 3, 4)):
        asked = [Message("user", "x" * length)]
        assert small.context_tokens - small.count(asked) == room
        _, last = run(whole(small, Sampling(max_tokens=10_000), asked))
        assert (last.finish, last.usage.completion_tokens) == ("length", room)
    with pytest.raises(BadInput, match="found 256 tokens, so 1 too many"):
        run(whole(small, Sampling(), [Message("user", "x" * (most + 1))]))


def test_who_goes_away_stops_the_engine(engine: LlamaCpp) -> None:
    async def leave() -> None:
        async with aclosing(engine.stream(ASKED, Sampling(max_tokens=16_000))) as pieces:
            await anext(pieces)

    async def story() -> str:
        for _ in range(6):  # more than there are slots: each must be free again
            await leave()
        return (await whole(engine, Sampling(max_tokens=3)))[0]

    assert run(story()).count(" w") == 3


def test_a_task_that_is_cancelled_stops_the_engine(engine: LlamaCpp) -> None:
    async def story() -> str:
        tasks = [asyncio.create_task(whole(engine, Sampling(max_tokens=16_000))) for _ in range(6)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return (await whole(engine, Sampling(max_tokens=3)))[0]

    assert run(story()).count(" w") == 3


def test_an_engine_that_dies_in_mid_stream_says_how_far_it_got_and_starts_again(engine: LlamaCpp) -> None:
    async def story() -> None:
        async with aclosing(engine.stream(ASKED, Sampling(max_tokens=16_000))) as pieces:
            await anext(pieces)
            engine._model.kill()
            async for _ in pieces:
                pass

    with pytest.raises(Unavailable) as no:
        run(story())
    assert str(no.value).startswith("engine tiny: expected an answer to its end, found an engine that ended after ")
    assert str(no.value).endswith(" pieces of an answer; it starts again at the next call")
    assert run(whole(engine, Sampling(max_tokens=3)))[0].count(" w") == 3


def test_a_conversation_that_the_template_does_not_take_is_refused(engine: LlamaCpp) -> None:
    with pytest.raises(BadInput, match="a conversation that the model's template takes") as no:
        run(whole(engine, Sampling(), [Message("user", "secret", {"content": 5})]))
    assert "secret" not in str(no.value)


# ── A model that misbehaves ──────────────────────────────────────────────────────────────────────────────────────────
class Told:
    """A model that says what it was told to, and notes what is done to it."""

    context_tokens = 100

    def __init__(self, *events: dict[str, Any]) -> None:
        self._events, self.done = events, list[str]()

    def count(self, *_: object) -> int:
        return 10

    def new_call(self) -> int:
        return 7

    def start(
        self, number: int, body: dict[str, Any], listener: Callable[[dict[str, Any]], None], *, reuse: str
    ) -> None:
        self.done.append(f"start {number} {body['max_tokens']} {reuse}")
        for event in self._events:
            listener(event)

    def cancel(self, number: int) -> None:
        self.done.append(f"cancel {number}")

    def kill(self) -> None:
        self.done.append("kill")

    def close(self) -> None:
        self.done.append("close")


def test_an_engine_that_falls_silent_is_ended() -> None:
    model = Told({"content": "one "}, {})
    with pytest.raises(Unavailable) as no:
        run(whole(LlamaCpp("told", model, silence_s=0.05), Sampling()))
    assert str(no.value) == "engine told: expected an answer to its end, found silence for 0.05 s after 1 pieces"
    assert model.done == ["start 7 512 ", "kill", "cancel 7"]


def test_a_context_that_the_engine_finds_too_small_is_bad_input() -> None:
    model = Told({"error": {"prompt_tokens": 120, "context_tokens": 100}})
    with pytest.raises(
        BadInput, match=r"expected messages of fewer than 100 tokens, .* found 120 tokens, so 21 too many"
    ):
        run(whole(LlamaCpp("told", model), Sampling()))


def test_an_error_that_the_engine_does_not_explain_is_bad_input_without_words() -> None:
    with pytest.raises(
        BadInput, match="expected a conversation that the model's template takes, found 1 messages that"
    ):
        run(whole(LlamaCpp("told", Told({"error": "refused"})), Sampling()))


def test_tool_calls_are_passed_through_and_the_key_of_reuse_reaches_the_model() -> None:
    call = [{"index": 0, "function": {"name": "look"}}]
    model = Told({"tool_calls": call}, {"finish": "tool_calls"}, {"usage": [10, 2, 3]}, {"end": True})

    async def story() -> list[Any]:
        return [piece async for piece in LlamaCpp("told", model).stream(ASKED, Sampling(max_tokens=5, reuse="ana"))]

    first, last = run(story())
    assert (first.text, first.extra) == ("", {"tool_calls": call})
    assert (last.finish, last.usage.cached) == ("tool_calls", 3)
    assert model.done == ["start 7 5 ana", "cancel 7"]
