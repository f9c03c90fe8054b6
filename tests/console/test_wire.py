"""Clients that are slow on purpose, or by accident: each is let go, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Iterator
from typing import Any

import anyio
import pytest
from uvicorn.server import ServerState

from casemate.console import Listening, bodies, wire
from casemate.console.listening import config
from casemate.console.porter import Porter
from casemate.factory.desk import utc_now
from tests.console.conftest import Place, listening, opened
from tests.console.released import released
from tests.console.scripted import Scripted, ScriptedPool
from tests.factory.town import found

HELLO = {"model": "small", "messages": [{"role": "user", "content": "Bonjour"}]}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    root = tmp_path_factory.mktemp("town")
    town = found(root, clock=utc_now)
    (root / "small").mkdir()
    (root / "small" / "model.gguf").write_bytes(b"small")
    released(town, root / "small", "small", task="chat")
    with opened(town) as made:
        yield made


@pytest.fixture
def engine(place: Place) -> Scripted:
    scripted = Scripted()
    place.console.pool = ScriptedPool(scripted)
    return scripted


def connected(address: str) -> socket.socket:
    host, _, port = address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=30)


def to_its_end(client: socket.socket) -> bytes:
    parts = []
    while part := client.recv(1 << 16):
        parts.append(part)
    return b"".join(parts)


def head(place: Place, length: int) -> bytes:
    lines = ("POST /v1/chat/completions HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {place.secret('ines')}",
             f"Content-Length: {length}", "", "")  # fmt: skip
    return "\r\n".join(lines).encode()


@pytest.mark.parametrize(
    "begun", [b"", b"GET /health HTTP/1.1\r\nHost: 127", b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n"]
)
def test_who_sends_no_whole_head_is_let_go(place: Place, monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(wire, "HEAD_S", 0.05)
    with listening(place) as address, connected(address) as client:
        client.sendall(begun)
        assert to_its_end(client) == b""


class Loop:
    """An event loop that only notes what is to be called later, and drops what is to be run."""

    def __init__(self) -> None:
        self.later: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return 0.0

    def call_later(self, delay: float, act: Any) -> asyncio.TimerHandle:
        self.later.append(asyncio.TimerHandle(delay, act, (), self))  # type: ignore[arg-type]
        return self.later[-1]

    def create_task(self, work: Any) -> Any:
        work.close()
        return Task()

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, _: object) -> None:
        pass

    @property
    def waits(self) -> list[tuple[float, str]]:
        return [(one.when(), one._callback.__name__) for one in self.later if not one.cancelled()]  # type: ignore[attr-defined]


class Task:
    def add_done_callback(self, _: object) -> None:
        pass


class Transport(asyncio.Transport):
    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def is_closing(self) -> bool:
        return False


def test_a_head_is_waited_for_before_a_request_and_after_its_answer_and_not_between(place: Place) -> None:
    loop, made = Loop(), config(place.console, Listening())
    one = wire.Wire(made, ServerState(), {}, loop)
    one.connection_made(Transport())
    assert loop.waits == [(wire.HEAD_S, "close")]
    one.data_received(b"GET /health HTTP/1.1\r\nHost: ")
    assert loop.waits == [(wire.HEAD_S, "close")]
    one.data_received(b"127.0.0.1\r\n\r\n")
    assert loop.waits == []
    one.cycle.response_complete = True
    one.on_response_complete()
    assert (wire.HEAD_S, "close") in loop.waits
    one.data_received(b"and what follows is no head")
    assert loop.waits == [(wire.HEAD_S, "close")]


def test_a_client_is_waited_for_while_it_takes_nothing_and_no_longer(place: Place) -> None:
    loop, made = Loop(), config(place.console, Listening())
    one = wire.Wire(made, ServerState(), {}, loop)
    one.connection_made(Transport())
    one.pause_writing()
    assert (wire.STALLED_S, "abort") in loop.waits
    one.resume_writing()
    assert (wire.STALLED_S, "abort") not in loop.waits
    one.pause_writing()
    one.connection_lost(ConnectionResetError())
    assert loop.waits == []


def test_who_takes_nothing_of_an_answer_lets_the_engine_go(
    place: Place, engine: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "STALLED_S", 0.05)
    engine.words = ["x" * 60_000] * 10_000
    body = json.dumps(HELLO | {"stream": True}).encode()
    with listening(place) as address, connected(address) as client:
        client.sendall(head(place, len(body)) + body)
        assert engine.let_go.wait(30)


def test_a_body_that_comes_slower_than_the_slowest_network_is_refused(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bodies, "_PATIENCE_S", 0.05)
    monkeypatch.setattr(bodies, "_SLOWEST_BYTES_S", 1 << 30)
    with listening(place) as address, connected(address) as client:
        client.sendall(head(place, 1000))
        answer = b""
        while b"request_timeout" not in answer:  # however often something comes
            client.sendall(b" ")
            client.settimeout(0.01)
            try:
                answer += client.recv(1 << 16)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408 ")


@pytest.mark.anyio
async def test_an_answer_that_the_end_of_the_server_cuts_is_no_mistake(place: Place) -> None:
    begun = anyio.Event()

    async def never(*_: Any) -> None:
        begun.set()
        await anyio.sleep_forever()

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": [(b"host", b"127.0.0.1")], "client": None}
    working = asyncio.ensure_future(Porter(never, place.console)(scope, never, never))
    await begun.wait()
    working.cancel()
    assert await working is None
