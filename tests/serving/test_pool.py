"""The pool: engines opened once, calls with their turn, their quota and their own memory."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from casemate.errors import Busy, QuotaSpent, Unavailable
from casemate.serving.engines import Engine, Message, Piece, Sampling, Usage
from casemate.serving.fair import Party
from casemate.serving.pool import Caller, EnginePool
from casemate.serving.quotas import Grants, Quotas
from casemate.serving.turns import Limits

ASKED = [Message("user", "what?")]
ANA, BEN = Caller(Party("ana", "harbour"), "key of ana"), Caller(Party("ben", "radar"), "key of ben")


class Fake:
    """An engine that answers three words, and notes whose prompts could meet."""

    name, context_tokens = "fake", 100

    def __init__(self, *, fails: bool = False) -> None:
        self.fails, self.reuses, self.closed = fails, list[str](), 0

    def count(self, messages: Sequence[Message]) -> int:
        return 7 * len(messages)

    async def stream(self, messages: Sequence[Message], sampling: Sampling) -> AsyncGenerator[Piece]:
        assert messages
        self.reuses.append(sampling.reuse)
        for word in ("one ", "two ", "three "):
            yield Piece(word)
            await asyncio.sleep(0)
            if self.fails:
                raise Unavailable("engine fake", expected="an answer to its end", found="an end after 1 pieces")
        yield Piece("", "stop", Usage(7, 3))

    async def close(self) -> None:
        self.closed += 1


def run(story: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(story)


async def text(engine: Engine, sampling: Sampling | None = None) -> str:
    return "".join([piece.text async for piece in engine.stream(ASKED, sampling or Sampling(max_tokens=10))])


def counted(folder: Path, tokens: int) -> Quotas:
    return Quotas(folder, Grants({"harbour": tokens}), now=lambda: datetime(2026, 11, 25, tzinfo=UTC))


def test_an_engine_is_opened_once_and_each_caller_brings_their_own_key() -> None:
    opened: list[Fake] = []

    def opener() -> Fake:
        opened.append(Fake())
        return opened[-1]

    pool = EnginePool()
    for caller in (ANA, BEN, ANA):
        engine = pool.engine("release 1", opener, Limits(), caller)
        # A key that a request carries is not believed.
        assert run(text(engine, Sampling(reuse="key of ben"))) == "one two three "
    assert len(opened) == 1
    assert opened[0].reuses == ["key of ana", "key of ben", "key of ana"]
    assert (engine.name, engine.context_tokens, engine.count(ASKED)) == ("fake", 100, 7)


def test_many_threads_that_want_one_engine_open_it_once() -> None:
    pool, opened, gate = EnginePool(), list[Fake](), threading.Barrier(8)

    def want() -> None:
        gate.wait()
        pool.engine("release 1", lambda: opened.append(Fake()) or opened[-1], Limits(), ANA)  # type: ignore[func-returns-value]

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 1


def test_an_engine_that_cannot_be_opened_is_tried_again() -> None:
    def broken() -> Fake:
        raise Unavailable("engine", expected="x", found="y")

    pool = EnginePool()
    with pytest.raises(Unavailable):
        pool.engine("release 1", broken, Limits(), ANA)
    assert run(text(pool.engine("release 1", Fake, Limits(), ANA))) == "one two three "


def test_what_is_used_is_counted_and_what_was_set_aside_is_given_back(tmp_path: Path) -> None:
    quotas = counted(tmp_path, 1000)
    pool = EnginePool(quotas=quotas)
    run(text(pool.engine("release 1", Fake, Limits(), ANA)))
    assert quotas.used("project harbour") == 10


def test_a_quota_that_is_spent_refuses_before_the_engine_is_asked(tmp_path: Path) -> None:
    fake, pool = Fake(), EnginePool(quotas=counted(tmp_path, 20))
    engine = pool.engine("release 1", lambda: fake, Limits(), ANA)
    with pytest.raises(QuotaSpent, match="project harbour: expected at most 20 tokens a day"):
        run(text(engine, Sampling(max_tokens=20)))
    assert fake.reuses == []
    assert run(text(pool.engine("release 1", Fake, Limits(), BEN))) == "one two three "


def test_tools_and_formats_are_set_aside_too(tmp_path: Path) -> None:
    fake, pool = Fake(), EnginePool(quotas=counted(tmp_path, 100))
    engine = pool.engine("release 1", lambda: fake, Limits(), ANA)
    long = {"type": "function", "function": {"name": "f", "description": "a word " * 100}}
    for more in ({"tools": (long,)}, {"response_format": long}):
        with pytest.raises(QuotaSpent):
            run(text(engine, Sampling(max_tokens=20, **more)))
    assert fake.reuses == []


def test_a_call_that_fails_or_is_left_pays_for_what_it_got(tmp_path: Path) -> None:
    quotas = counted(tmp_path, 1000)
    pool = EnginePool(quotas=quotas)
    with pytest.raises(Unavailable):
        run(text(pool.engine("release 1", lambda: Fake(fails=True), Limits(), ANA)))
    failed = quotas.used("project harbour")

    async def leave() -> None:
        async with aclosing(pool.engine("release 2", Fake, Limits(), ANA).stream(ASKED, Sampling())) as pieces:
            await anext(pieces)

    run(leave())
    assert 0 < failed < 60
    assert quotas.used("project harbour") == 2 * failed


def test_a_call_that_got_no_turn_pays_nothing_and_takes_no_place(tmp_path: Path) -> None:
    quotas = counted(tmp_path, 1000)
    pool = EnginePool(quotas=quotas)

    async def story() -> None:
        limits = Limits(at_once=1, waiting=0)
        engine = pool.engine("release 1", Fake, limits, ANA)
        async with aclosing(engine.stream(ASKED, Sampling(max_tokens=10))) as pieces:
            await anext(pieces)
            with pytest.raises(Busy):
                await text(engine)
        assert await text(engine) == "one two three "

    run(story())
    assert quotas.used("project harbour") < 40


def test_engines_beyond_those_that_are_kept_are_closed_and_none_that_is_at_work() -> None:
    fakes = {key: Fake() for key in "abcd"}
    pool = EnginePool(kept=2)

    async def story() -> None:
        engines = {key: pool.engine(key, lambda fake=fake: fake, Limits(), ANA) for key, fake in fakes.items()}  # type: ignore[misc]
        async with aclosing(engines["a"].stream(ASKED, Sampling())) as pieces:
            await anext(pieces)
        assert {key: fake.closed for key, fake in fakes.items()} == {"a": 0, "b": 1, "c": 0, "d": 0} | {
            "a": fakes["a"].closed, "c": fakes["c"].closed,
        }  # fmt: skip
        assert sum(fake.closed for fake in fakes.values()) == 2
        assert fakes["d"].closed == 0
        await pool.close()
        await pool.close()

    run(story())
    assert {fake.closed for fake in fakes.values()} == {1}
