"""An agent: a process of one's own that holds an unlocked pen, so that a passphrase is typed once a session.

Rules. The agent signs for its own user and nobody else: its socket lies in a folder that only that user can write, with
mode 0600, and both ends ask the kernel who is on the other. The key never crosses the socket; payloads go in, envelopes
come out, and the client verifies what it gets. The agent ends by itself after its lifetime and removes its socket. Any
program of the same user can have it sign while it lives; whoever does not want that types the passphrase.
"""

from __future__ import annotations

import os
import socket
import stat
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature, CasemateError, NameTaken, NotAllowed, NotFound, Unavailable
from casemate.signing.canonical import MAX_BYTES, Door, decode_base64, dump, encode_base64, load
from casemate.signing.envelope import Envelope
from casemate.signing.keys import PublicKey
from casemate.signing.signer import Signer
from casemate.signing.statement import PAYLOAD_TYPE, Statement
from casemate.signing.verify import verify

_LENGTH = struct.Struct(">I")
_PEER = struct.Struct("3i")  # pid, uid, gid: SO_PEERCRED, unix(7)
_TIMEOUT_S = 30.0
_TICK_S = 0.2


class AgentPen:
    """A pen whose key lies in an agent: the same property and two methods."""

    def __init__(self, path: Path) -> None:
        """Ask the agent at `path` whose key it holds; NotFound if there is none."""
        self._path = path
        self.public = PublicKey.from_json(self._ask({"verb": "public"}), thing=f"key of agent {path}")

    def sign(self, statement: Statement) -> Envelope:
        """The statement in an envelope signed by both halves."""
        return self.sign_bytes(PAYLOAD_TYPE, statement.to_json())

    def sign_bytes(self, payload_type: str, payload: bytes) -> Envelope:
        """Any payload in an envelope signed by both halves, verified here."""
        thing = f"envelope of agent {self._path}"
        answer = self._ask({"verb": "sign", "payloadType": payload_type, "payload": encode_base64(payload)})
        envelope = Envelope.from_json(answer, thing=thing)
        verify(envelope, [self.public], payload_type=payload_type, thing=thing)
        if envelope.payload != payload:
            raise BadSignature(thing, expected="the payload that was sent", found="another")
        return envelope

    def _ask(self, question: dict[str, Any]) -> bytes:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(_TIMEOUT_S)
            try:
                line.connect(str(self._path))
                _refuse_other_user(line, f"agent {self._path}")
                _send(line, dump(question))
                answer = _AnswerJson.enter(load(_receive(line), "agent's answer"), "agent's answer")
            except TimeoutError as why:
                raise Unavailable(f"agent {self._path}", expected="an answer", found="none in time") from why
            except OSError as why:
                raise NotFound(f"agent {self._path}", expected="an agent that answers", found=why.strerror) from why
        if answer.error is not None:
            raise NotAllowed(f"agent {self._path}", expected="an answer", found=answer.error)
        return decode_base64(answer.answer or "", "agent's answer")


def serve(
    pen: Signer,
    path: Path,
    *,
    lifetime_s: float,
    clock: Callable[[], float] = time.monotonic,
    stopped: Callable[[], bool] = lambda: False,
    on_signed: Callable[[str], None] = lambda _: None,
) -> None:
    """Answer at `path` until `lifetime_s` seconds have passed or `stopped` says so; `on_signed` hears each type."""
    end = clock() + lifetime_s
    with _listening(path) as listener:
        listener.settimeout(_TICK_S)
        while clock() < end and not stopped():
            try:
                line, _ = listener.accept()
            except TimeoutError:
                continue
            with line:
                line.settimeout(_TIMEOUT_S)
                _serve_one(pen, line, on_signed)


def _serve_one(pen: Signer, line: socket.socket, on_signed: Callable[[str], None]) -> None:
    try:
        _refuse_other_user(line, "caller")
        _send(line, dump({"answer": encode_base64(_answer(pen, _receive(line), on_signed)), "error": None}))
    except CasemateError as no:
        _send_if_heard(line, dump({"answer": None, "error": str(no)}))
    except OSError:
        return  # the caller went away or never spoke: there is nobody to tell


def _answer(pen: Signer, question: bytes, on_signed: Callable[[str], None]) -> bytes:
    asked = _QuestionJson.enter(load(question, "question"), "question")
    if asked.verb == "public":
        return pen.public.to_json()
    envelope = pen.sign_bytes(asked.payload_type, decode_base64(asked.payload, "question payload"))
    on_signed(asked.payload_type)
    return envelope.to_json()


@contextmanager
def _listening(path: Path) -> Iterator[socket.socket]:
    _refuse_shared_folder(path.parent)
    with socket.socket(socket.AF_UNIX) as listener:
        try:
            listener.bind(str(path))
        except OSError as why:
            raise NameTaken(f"agent {path}", expected="no socket yet", found=why) from why
        try:
            path.chmod(0o600)  # nobody else can enter the folder meanwhile
            listener.listen(8)
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _refuse_shared_folder(folder: Path) -> None:
    try:
        facts = folder.stat()
    except OSError as why:
        raise NotFound(f"agent's folder {folder}", expected="a folder", found=why.strerror) from why
    if facts.st_uid != os.geteuid() or stat.S_IMODE(facts.st_mode) & 0o077:
        found = f"mode {stat.S_IMODE(facts.st_mode):04o} of user {facts.st_uid}"
        raise BadInput(f"agent's folder {folder}", expected=f"mode 0700 of user {os.geteuid()}", found=found)


def _refuse_other_user(line: socket.socket, thing: str) -> None:
    _, uid, _ = _PEER.unpack(line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
    if uid != os.geteuid():
        raise NotAllowed(thing, expected=f"user {os.geteuid()}", found=f"user {uid}")


def _send(line: socket.socket, data: bytes) -> None:
    line.sendall(_LENGTH.pack(len(data)) + data)


def _send_if_heard(line: socket.socket, data: bytes) -> None:
    try:
        _send(line, data)
    except OSError:
        return  # the caller went away before hearing the refusal


def _receive(line: socket.socket) -> bytes:
    (length,) = _LENGTH.unpack(_exactly(line, _LENGTH.size))
    if length > 2 * MAX_BYTES:
        raise BadInput("message", expected=f"at most {2 * MAX_BYTES} bytes", found=f"{length} bytes")
    return _exactly(line, length)


def _exactly(line: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = line.recv(min(count, 1 << 20))
        if not part:
            raise BadInput("message", expected=f"{count} more bytes", found="the end")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


class _QuestionJson(Door):
    verb: Literal["public", "sign"]
    payload_type: str = Field(default="", alias="payloadType")
    payload: str = ""


class _AnswerJson(Door):
    answer: str | None
    error: str | None
