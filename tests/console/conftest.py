"""A small site behind its console: people with keys, and clients that ask without a socket."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from casemate.console import Console, Listening, make_app
from casemate.console.listening import config
from casemate.factory import Factory
from casemate.factory.desk import utc_now
from casemate.factory.site import ApiToml
from tests.factory.town import Town, found

# Headers that are random, or count one's own requests by the clock: no two answers have the same.
CHANCE_AND_CLOCKS = frozenset({"x-request-id", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"})
EVERYTHING = frozenset({"models", "documents", "all-documents", "upload", "detect", "metrics"})


@dataclass
class Place:
    """A town with its console open; `secrets` are of keys with every scope, by their owners."""

    town: Town
    console: Console
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def claire(self) -> Factory:
        """The officer, who opened it."""
        return self.console.entrance.opened_by

    def secret(self, who: str, *, ceiling: str | None = None, **others: Any) -> str:
        """A key's secret, made when it is first asked for."""
        named = repr((who, ceiling, others))
        if named not in self.secrets:
            given = {"project": "harbour", "scopes": EVERYTHING} | others
            self.secrets[named] = self.town.acting(who, ceiling=ceiling).new_api_key("key", **given)["secret"]
        return self.secrets[named]

    def client(self, who: str = "", *, address: str = "127.0.0.1", **key: Any) -> httpx.AsyncClient:
        """A client of somebody (of nobody known, where no name is given)."""
        headers = {"Authorization": f"Bearer {self.secret(who, **key)}"} if who else {}
        carrier = httpx.ASGITransport(make_app(self.console), client=(address, 1))
        return httpx.AsyncClient(transport=carrier, base_url="http://127.0.0.1", headers=headers)


@contextmanager
def opened(town: Town, bounds: ApiToml | None = None) -> Iterator[Place]:
    """The console of a town."""
    claire = town.acting("claire")
    with claire.entrance(address="test") as entrance:
        yield Place(town, Console(entrance, frozenset({"127.0.0.1"}), bounds or ApiToml()))
    claire.catalog.close()


@contextmanager
def listening(place: Place, **where: Any) -> Iterator[str]:
    """The place behind a real server on loopback, at the address that is given."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        server = uvicorn.Server(config(place.console, Listening(**where)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        scheme = "https" if where else "http"
        yield f"{scheme}://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A town with nothing in it, for a module's tests."""
    with opened(found(tmp_path_factory.mktemp("town"), clock=utc_now)) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """Consoles with bounds of the test's own, over one new town."""
    town = found(tmp_path, clock=utc_now)
    open_ones = []

    def make(**bounds: int) -> Place:
        context = opened(town, ApiToml(**bounds))
        open_ones.append(context)
        return context.__enter__()

    yield make
    for context in open_ones:
        context.__exit__(None, None, None)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
