from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from casemate.errors import BadInput, BadSignature, NameTaken, NotAllowed, NotFound
from casemate.signing.agent import AgentPen, serve
from casemate.signing.envelope import Envelope
from casemate.signing.sign import Pen
from casemate.signing.signer import Signer
from casemate.signing.statement import PAYLOAD_TYPE, Statement, Subject
from casemate.signing.verify import verify

Pens = Callable[[str], Pen]
STATEMENT = Statement("urn:x", (Subject("a", "0" * 64),), {"k": 1})


class _Liar:
    """A pen that signs something else than it was given."""

    def __init__(self, pen: Pen) -> None:
        self._pen, self.public = pen, pen.public

    def sign(self, statement: Statement) -> Envelope:
        return self._pen.sign(statement)

    def sign_bytes(self, payload_type: str, payload: bytes) -> Envelope:
        return self._pen.sign_bytes(payload_type, payload + b" and more")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o700)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[[Signer], tuple[Path, list[str]]]]:
    stop, threads = threading.Event(), []

    def run(pen: Signer) -> tuple[Path, list[str]]:
        path, heard = folder / "agent.sock", []
        how = {"lifetime_s": 60.0, "stopped": stop.is_set, "on_signed": heard.append}
        thread = threading.Thread(target=serve, args=(pen, path), kwargs=how)
        thread.start()
        threads.append(thread)
        while not (path.exists() and path.stat().st_mode & 0o777 == 0o600):
            assert thread.is_alive()
            stop.wait(0.01)
        return path, heard

    yield run
    stop.set()
    for thread in threads:
        thread.join()
    assert not (folder / "agent.sock").exists()


def connected(path: Path) -> AgentPen:
    for _ in range(100):
        try:
            return AgentPen(path)
        except NotFound:  # bound and not yet listening
            threading.Event().wait(0.01)
    return AgentPen(path)


def test_an_agent_signs_like_the_pen_it_holds(start: Callable[[Signer], tuple[Path, list[str]]], pens: Pens) -> None:
    path, heard = start(pens("anne"))
    pen: Signer = connected(path)
    assert pen.public == pens("anne").public
    envelope = pen.sign(STATEMENT)
    assert envelope.payload == STATEMENT.to_json()
    assert verify(envelope, [pens("anne").public], payload_type=PAYLOAD_TYPE) == pen.public
    assert heard == [PAYLOAD_TYPE]


def test_an_agent_that_signs_something_else_is_found_out(
    start: Callable[[Signer], tuple[Path, list[str]]], pens: Pens
) -> None:
    path, _ = start(_Liar(pens("anne")))
    with pytest.raises(BadSignature, match="expected the payload that was sent, found another"):
        connected(path).sign(STATEMENT)


def test_nonsense_is_refused_and_the_agent_lives_on(
    start: Callable[[Signer], tuple[Path, list[str]]], pens: Pens
) -> None:
    path, _ = start(pens("anne"))
    pen = connected(path)
    for data in (struct.pack(">I", 2**31), struct.pack(">I", 2) + b"{}", b"\0"):
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(path))
            line.sendall(data)
            line.shutdown(socket.SHUT_WR)
            assert b'"answer": null' in line.recv(4096)[4:]
    with pytest.raises(NotAllowed, match="found question payload: expected base64"):
        pen._ask({"verb": "sign", "payloadType": "t", "payload": "!"})
    assert pen.sign(STATEMENT)


def test_no_agent_is_said_so(folder: Path) -> None:
    with pytest.raises(NotFound, match="expected an agent that answers, found No such file or directory"):
        AgentPen(folder / "agent.sock")


def test_an_agent_wants_a_folder_of_its_own_and_a_free_name(folder: Path, pens: Pens) -> None:
    (folder / "agent.sock").touch()
    with pytest.raises(NameTaken, match="expected no socket yet, found"):
        serve(pens("anne"), folder / "agent.sock", lifetime_s=0)
    assert (folder / "agent.sock").exists()
    (folder / "agent.sock").unlink()
    folder.chmod(0o755)
    with pytest.raises(BadInput, match=r"expected mode 0700 of user \d+, found mode 0755 of user \d+"):
        serve(pens("anne"), folder / "agent.sock", lifetime_s=0)
    with pytest.raises(NotFound, match="expected a folder, found No such file or directory"):
        serve(pens("anne"), folder / "none" / "agent.sock", lifetime_s=0)


def test_an_agent_ends_after_its_lifetime_and_leaves_no_socket(folder: Path, pens: Pens) -> None:
    ticks = iter([0.0, 9.0, 11.0])
    serve(pens("anne"), folder / "agent.sock", lifetime_s=10.0, clock=lambda: next(ticks))
    assert list(folder.iterdir()) == []
