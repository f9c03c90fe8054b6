"""One model and the process that runs it: started when it is needed, told calls, listened to by a thread.

Rules. Calls come from any thread; what is said of a call is given to its listener from the thread that reads. A process
that dies tells every call so, and the next call starts another. The thread that reads is the one that started the
process, because the process dies with it. Standard error is kept for its first words, which say why a model was not
loaded; what comes later may speak of what was asked, and is thrown away.
"""

from __future__ import annotations

import itertools
import os
import queue
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.compute.messages import MAX_MESSAGE_BYTES, Unpacker, pack
from casemate.errors import BadInput, Unavailable
from casemate.modalities.language.llama import header

Listener = Callable[[dict[str, Any]], None]
DIED = "died"
_READ_BYTES = 1 << 16
_COUNT_S = 120.0
_KEPT_BYTES = 4096
_PREFIX = re.compile(r"^[\d.]+ [A-Z] +(?:[a-z]{3} +)?\w+: ")
_ROOM_BYTES = 4096  # of a message for what is not the conversation


@dataclass(frozen=True)
class Options:
    """How a model is run: tokens of context for each call, calls at once, threads, and how long loading may take."""

    context_tokens: int
    slots: int
    threads: int
    load_s: float


class ChatModel:
    """A chat model in GGUF; `load` starts its process, and a call starts it again where it died."""

    def __init__(self, file: Path, options: Options) -> None:
        self._file, self.options = file, options
        self._starting = threading.Lock()
        self._process: _Process | None = None
        self._numbers = itertools.count(1)
        self._closed = False

    @property
    def context_tokens(self) -> int:
        """How many tokens the messages and the answer of one call may have together."""
        return self.options.context_tokens

    @property
    def confinement(self) -> Mapping[str, Any]:
        """What the process gave up; empty while there is none."""
        return self._process.confinement if self._process else {}

    def load(self) -> None:
        """Start the process if it does not run: BadInput for a file that llama.cpp does not load."""
        self._running()

    def count(self, messages: Sequence[Mapping[str, Any]], tools: Sequence[Mapping[str, Any]] = ()) -> int:
        """How many tokens the messages are, in the model's own template; BadInput for what it does not take."""
        body = {"messages": list(messages), **({"tools": list(tools)} if tools else {})}
        said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        number = self.new_call()
        self._running().call(number, {"id": number, "act": "count", "body": body}, said.put)
        try:
            answer = said.get(timeout=_COUNT_S)
        except queue.Empty:
            answer = {"error": DIED}
        if answer.get("error") == DIED:
            raise Unavailable("engine", expected="a count of tokens", found="none: the engine ended")
        if not isinstance(answer.get("tokens"), int):
            raise refused()
        return int(answer["tokens"])

    def new_call(self) -> int:
        """A number for a call, by which it can be cancelled from the moment it is asked for."""
        return next(self._numbers)

    def start(self, number: int, body: Mapping[str, Any], listener: Listener, *, reuse: str = "") -> None:
        """Begin an answer; `listener` is given its pieces, then `{"end": True}`, or `{"error": …}`.

        `body` is a chat completion's request without what streams; BadInput where it is too long to be sent.
        """
        self._running().call(number, {"id": number, "act": "chat", "body": dict(body), "reuse": reuse}, listener)

    def cancel(self, number: int) -> None:
        """Stop an answer, if it is still being given."""
        if self._process is not None:
            self._process.cancel(number)

    def kill(self) -> None:
        """End the process, whatever it is doing: every call is told that it died."""
        if self._process is not None:
            self._process.kill()

    def close(self) -> None:
        """End the process for good."""
        with self._starting:
            self._closed = True
            if self._process is not None:
                self._process.kill()

    def _running(self) -> _Process:
        with self._starting:
            if self._closed:
                raise Unavailable("engine", expected="one that is open", found="one that was closed")
            if self._process is None or not self._process.alive:
                header.check(self._file)
                self._process = _Process(self._file, self.options)
            return self._process


class _Process:
    """One run of the child; `alive` until its output ends."""

    def __init__(self, file: Path, options: Options) -> None:
        self._start = {
            "file": str(file.absolute()), "context_tokens": options.context_tokens, "slots": options.slots,
            "threads": options.threads,
        }  # fmt: skip
        self._calls: dict[int, Listener] = {}
        self._lock, self._writing = threading.Lock(), threading.Lock()
        self._ready, self.alive = threading.Event(), True
        self._refusal = self._lacking = ""
        self.confinement: Mapping[str, Any] = {}
        self._process: subprocess.Popen[bytes] | None = None
        threading.Thread(target=self._run, name="llama", daemon=True).start()
        if not self._ready.wait(options.load_s):
            self.kill()
            raise Unavailable(file.name, expected=f"a model loaded in {options.load_s:g} s", found="none yet")
        if self._lacking:
            expected = "a system on which it can be confined (docs/engines.md)"
            raise Unavailable("engine", expected=expected, found=self._lacking)
        if self._refusal:
            raise BadInput(file.name, expected="a chat model that llama.cpp loads", found=self._refusal)

    def call(self, number: int, message: dict[str, Any], listener: Listener) -> None:
        data = _fitting(message)
        with self._lock:
            if not self.alive:
                raise Unavailable("engine", expected="one that runs", found="one that ended")
            self._calls[number] = listener
        self._write(data)

    def cancel(self, number: int) -> None:
        with self._lock:
            known = self.alive and number in self._calls
        if known:
            self._write(pack({"id": number, "act": "cancel"}))

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()

    def _write(self, data: bytes) -> None:
        stdin = self._process.stdin if self._process else None
        try:
            with self._writing:
                if stdin is not None:
                    stdin.write(data)
                    stdin.flush()
        except (BrokenPipeError, ValueError):
            pass  # it died: the thread that reads tells whoever waits

    def _run(self) -> None:
        """The life of the process, in one thread: start it, read what it says, tell of its end."""
        # -W ignore: a deprecation of somebody else's is no reason to end an engine.
        argv = [sys.executable, "-I", "-W", "ignore", "-m", "casemate.modalities.language.llama.child"]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_ENVIRONMENT, cwd="/"
        ) as process:
            self._process = process
            first_words = _FirstWords(process)
            self._write(pack(self._start))
            try:
                self._listen(process)
            except ValueError:  # nonsense where a message should be: never trusted further
                process.kill()
            process.kill()
            code = process.wait()
            said = first_words.text()  # before its pipes are closed on the thread that reads them
        if not self._ready.is_set():
            self._refusal = said or f"the engine ended while it loaded it ({_ended(code)})"
        self._end()

    def _listen(self, process: subprocess.Popen[bytes]) -> None:
        unpacker = Unpacker()
        while process.stdout is not None and (data := os.read(process.stdout.fileno(), _READ_BYTES)):
            for message in unpacker.feed(data):
                self._hear(message)

    def _hear(self, message: dict[str, Any]) -> None:
        if "confinement" in message:
            self.confinement = message["confinement"]
        elif message.get("ready"):
            self._ready.set()
        elif "refused" in message:
            self._lacking = str(message["refused"])
        elif "id" in message:
            with self._lock:
                take = self._calls.pop if message.get("end") else self._calls.get
                listener = take(message["id"], None)
            if listener is not None:
                listener(message)

    def _end(self) -> None:
        with self._lock:
            self.alive = False
            waiting, self._calls = list(self._calls.values()), {}
        for listener in waiting:
            listener({"error": DIED})
        self._ready.set()


class _FirstWords:
    """The beginning of what a process writes on its standard error, which is read until it ends."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._kept = b""
        self._thread = threading.Thread(target=self._read, args=(process,), daemon=True)
        self._thread.start()

    def _read(self, process: subprocess.Popen[bytes]) -> None:
        while process.stderr is not None and (data := os.read(process.stderr.fileno(), _READ_BYTES)):
            self._kept += data[: _KEPT_BYTES - len(self._kept)]

    def text(self) -> str:
        """Its first line that says something, without the engine's clock and the names of its functions."""
        self._thread.join(5)
        lines = (_PREFIX.sub("", line).strip() for line in self._kept.decode("utf-8", "replace").splitlines())
        return next((line[:300] for line in lines if line), "")


# The whole environment of the process: nothing of ours.
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "4"}


def refused() -> BadInput:
    """What is said of a conversation that the engine did not take; never with its words."""
    return BadInput("messages", expected="a conversation that the model's template takes", found="one that it refuses")


def _fitting(message: dict[str, Any]) -> bytes:
    data = pack(message)
    if len(data) > MAX_MESSAGE_BYTES - _ROOM_BYTES:
        expected = f"a conversation of at most {MAX_MESSAGE_BYTES - _ROOM_BYTES} bytes"
        raise BadInput("messages", expected=expected, found=f"{len(data)} bytes")
    return data


def _ended(code: int) -> str:
    return f"signal {-code}" if code < 0 else f"code {code}"
