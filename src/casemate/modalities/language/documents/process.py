"""A reading process as its parent sees it: questions go in, answers come out, within a time for each.

Rules. It is never trusted: its answers are read as data, in bounded messages; one that crashes, hangs or says what is
no answer is ended, and the document that it was reading is refused.
"""

from __future__ import annotations

import base64
import binascii
import os
import select
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from casemate.compute.messages import Unpacker, pack
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.source import UnreadableError

_COMMAND = [sys.executable, "-I", "-W", "ignore", "-m", "casemate.modalities.language.documents.child"]
_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C.UTF-8",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "2",
}
_READ_BYTES = 1 << 18
_GONE_S = 5.0
_KEPT_BYTES = 4096
_MOST_PICTURE_BYTES = 64 << 20


class BrokenReaderError(RuntimeError):
    """A reader that ended, went silent, or spoke nonsense: what was found."""


class ReadingProcess:
    """One process that reads documents below a folder."""

    def __init__(self, folder: Path, limits: Limits, model: Path | None) -> None:
        """Start it; `model` is the folder of the models that recognise print."""
        self._limits = limits
        self._process = subprocess.Popen(
            _COMMAND, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_ENVIRONMENT, cwd="/",
            bufsize=0,
        )  # fmt: skip
        self._unpacker, self._ready, self._said = Unpacker(), deque[dict[str, Any]](), b""
        ocr = str(model.absolute()) if model else ""
        self._ask({"folder": str(folder.absolute()), "ocr": ocr, "limits": asdict(limits)})
        self.confinement: Mapping[str, Any] = {}
        self.owes = False  # whether an answer was not heard to its end: the next would be taken for it

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, why: BaseException | None, at: TracebackType | None) -> None:
        self.end()

    def answers(self, question: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """The messages that answer a question; UnreadableError for its no, BrokenReaderError for none."""
        if not self.confinement:
            self.confinement = self._receive(self._limits.patience * self._limits.start_s).get("confinement", {})
        self._ask(question)
        self.owes = True
        while True:
            message = self._receive(self._limits.patience * self._limits.page_s + 5)
            self.owes = not ({"unreadable", "end"} & message.keys())
            if "unreadable" in message:
                expected, found = _two_texts(message["unreadable"])
                raise UnreadableError(expected, found)
            yield message
            if "end" in message:
                return

    def picture(self, question: Mapping[str, Any]) -> bytes:
        """The PNG that answers a question."""
        pieces: list[bytes] = []
        for message in self.answers(question):
            try:
                pieces.append(base64.b64decode(message.get("png", ""), validate=True))
            except (TypeError, binascii.Error) as why:
                raise BrokenReaderError("an answer that is no picture") from why
            if sum(map(len, pieces)) > _MOST_PICTURE_BYTES:
                raise BrokenReaderError("a picture without end")
        data = b"".join(pieces)
        if not data.startswith(b"\x89PNG\r\n\x1a\n"):
            raise BrokenReaderError("an answer that is no picture")
        return data

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _ask(self, message: Mapping[str, Any]) -> None:
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(pack(dict(message)))
        except BrokenPipeError:
            pass  # one that is gone is noticed when its answer is awaited

    def _receive(self, within_s: float) -> dict[str, Any]:
        if self._process.stdout is None or self._process.stderr is None:
            raise RuntimeError("a child without pipes")
        out, said, deadline = self._process.stdout.fileno(), self._process.stderr.fileno(), time.monotonic() + within_s
        while not self._ready:
            left_s = deadline - time.monotonic()
            heard = select.select([out, said], [], [], left_s)[0] if left_s > 0 else []
            if not heard:
                raise BrokenReaderError(f"no answer in {within_s:.3g} s")
            if said in heard and (words := os.read(said, _READ_BYTES)):
                self._said = (self._said + words)[-_KEPT_BYTES:]
            elif out in heard or said in heard:  # the end of both where the process is gone
                self._take(os.read(out, _READ_BYTES))
        return self._ready.popleft()

    def _take(self, data: bytes) -> None:
        if not data:
            raise BrokenReaderError(self._epitaph())
        try:
            self._ready.extend(self._unpacker.feed(data))
        except ValueError as why:
            raise BrokenReaderError("an answer that cannot be read") from why

    def _epitaph(self) -> str:
        """How it ended; of what it wrote last only the name of the error, since the rest may be a document's words."""
        try:
            status = self._process.wait(_GONE_S)
        except subprocess.TimeoutExpired:
            return "the reader closed its output and went on"
        if status == -signal.SIGXCPU:
            return "out of processor time"
        if status < 0:
            return f"the reader crashed: killed by {signal.Signals(-status).name}"
        if self._process.stderr is not None:
            os.set_blocking(self._process.stderr.fileno(), False)
            self._said = (self._said + (self._process.stderr.read() or b""))[-_KEPT_BYTES:]
        last = self._said.decode("utf-8", "replace").strip().rpartition("\n")[2]
        name = last.partition(":")[0]
        return f"the reader crashed: exit {status}{f', {name}' if name.replace('.', '').isidentifier() else ''}"


def _two_texts(said: object) -> tuple[str, str]:
    if not isinstance(said, list) or len(said) != 2 or not all(isinstance(text, str) for text in said):
        raise BrokenReaderError("an answer that cannot be read")
    return said[0], said[1]
