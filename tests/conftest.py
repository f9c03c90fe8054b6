"""What every test shares: real data that may be absent, no socket beyond loopback, the same examples at every run.

`HYPOTHESIS_PROFILE=explore` tries new examples instead, others at every run (`make explore`).
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

CHECKOUT = Path(__file__).resolve().parents[1]
settings.register_profile("suite", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "suite"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="rewrite tests/goldens from what the code does now")


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A folder of real data beside the checkout, or a skip that says which is absent."""

    def folder(name: str) -> Path:
        found = (CHECKOUT / ".." / "shared" / "data" / name).resolve()
        if not found.is_dir():
            pytest.skip(f"real data set {name} is absent")
        return found

    return folder


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/goldens/<name>, whole; rewritten only with --update-goldens."""

    def compare(name: str, text: str) -> None:
        file = CHECKOUT / "tests" / "goldens" / name
        if request.config.getoption("--update-goldens"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        assert file.is_file(), f"{name}: expected a golden file, found none; run with --update-goldens and read it"
        assert text == file.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def only_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection that would leave the machine."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        host = address[0] if isinstance(address, tuple) else ""
        if self.family in {socket.AF_INET, socket.AF_INET6} and host not in {"127.0.0.1", "::1", "localhost"}:
            raise AssertionError(f"a test reached for {host}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
