"""Child processes that scan many files each, and are killed and replaced when one file breaks them.

Rules. A child is never trusted: it is given a time for each file, its answers are read as data, and whatever goes wrong
with it is a finding about the file that it was reading. A few files are sent ahead so that it never waits; the first
that is unanswered is the one it was reading. After `max_failures` broken children the rest is refused unread.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from casemate.airlock.copying import AdmittedFile
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.compute.messages import Unpacker, pack
from casemate.errors import BadInput

_AHEAD = 8
_START_S = 60.0
_GONE_S = 5.0
_READ_BYTES = 1 << 16
_KEPT_BYTES = 4096


class BrokenScannerError(RuntimeError):
    """A child that ended, went silent, or spoke nonsense: the reason, as a finding's `found`."""


@dataclass(frozen=True)
class Order:
    """What a child is told before all else: types that are allowed, limits, rules of the site, types to load for."""

    allowed: frozenset[str]
    limits: ScanLimits
    rules: str = ""
    types: frozenset[str] = frozenset()

    def to_json(self) -> dict[str, Any]:
        """The order as a message."""
        return {
            "allowed": sorted(self.allowed),
            "limits": asdict(self.limits),
            "rules": self.rules,
            "types": sorted(self.types),
        }


@dataclass(frozen=True)
class Answer:
    """What the scanners said of one file."""

    type: str
    scanners: tuple[str, ...]
    findings: tuple[Finding, ...]

    @classmethod
    def of(cls, message: dict[str, Any], path: str) -> Answer:
        """The answer about `path` in a message from a child; a message that is none is a broken scanner."""
        try:
            findings = tuple(
                Finding(f["rule"], f["expected"], f["found"], f["note"] is True) for f in message["findings"]
            )
            answer = cls(message["type"], tuple(message["scanners"]), findings)
            facts = [answer.type, *answer.scanners, *(fact for f in findings for fact in (f.rule, f.expected, f.found))]
        except (KeyError, TypeError) as why:
            raise BrokenScannerError(f"an answer that cannot be read: {why!r}") from why
        if message.get("path") != path or not all(isinstance(fact, str) for fact in facts):
            raise BrokenScannerError("an answer that is not about this file")
        return answer


class Child:
    """One scanning process: files go in, answers come out in the same order."""

    def __init__(self, folder: Path, order: Order) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-W", "ignore", "-m", "casemate.airlock.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
            bufsize=0,
        )
        self._pipes = selectors.DefaultSelector()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._pipes.register(pipe, selectors.EVENT_READ)
        self._hello: dict[str, Any] | None = None
        self._unpacker, self._ready, self._said = Unpacker(), deque[dict[str, Any]](), b""
        self.send({"folder": str(folder.absolute()), **order.to_json()})

    def send(self, message: dict[str, Any]) -> None:
        """Send one message; a child that is gone is noticed when its answer is awaited."""
        try:
            if self._process.stdin is not None:
                self._process.stdin.write(pack(message))
        except BrokenPipeError:
            pass

    def hello(self, within_s: float) -> dict[str, Any]:
        """Its first message, which says what it is: awaited once, told as often as asked for."""
        if self._hello is None:
            self._hello = self.receive(within_s)
        return self._hello

    def receive(self, within_s: float) -> dict[str, Any]:
        """The next message, or BrokenScannerError."""
        deadline = time.monotonic() + within_s
        while not self._ready:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise BrokenScannerError(f"no answer in {within_s:.3g} s")
            for key, _ in self._pipes.select(left_s):
                self._read(key.fileobj)
        return self._ready.popleft()

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        self._pipes.close()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _read(self, pipe: Any) -> None:
        data = os.read(pipe.fileno(), _READ_BYTES)
        if pipe is self._process.stderr and pipe is not None:
            self._said = (self._said + data)[-_KEPT_BYTES:]
            if not data:
                self._pipes.unregister(pipe)
        elif data:
            try:
                self._ready.extend(self._unpacker.feed(data))
            except ValueError as why:
                raise BrokenScannerError(f"an answer that cannot be read: {why}") from why
        elif not self._ready:
            raise BrokenScannerError(epitaph(self._process, self._said))


def epitaph(process: subprocess.Popen[bytes], said: bytes = b"") -> str:
    """How a child ended that said no more, with the last line that it wrote as an error."""
    try:
        status = process.wait(_GONE_S)
    except subprocess.TimeoutExpired:
        return "the scanner closed its output and went on"
    if process.stderr is not None:
        os.set_blocking(process.stderr.fileno(), False)
        said = (said + (process.stderr.read() or b""))[-_KEPT_BYTES:]
    last = said.decode("utf-8", "replace").strip().rpartition("\n")[2]
    if status == -signal.SIGXCPU:
        return "out of processor time"
    how = f"killed by {signal.Signals(-status).name}" if status < 0 else f"exit {status}"
    return f"the scanner crashed: {how}{', ' if last else ''}{last}"


class Crew:
    """Threads with one child each, which share a queue of files and hand over answers as they come.

    A child dies with the thread that started it (`confine`): those that `prepare` starts wait for more files until they
    are dismissed, and those that threads start to replace broken ones end with their work.
    """

    def __init__(
        self, start: Callable[[], Child], files: list[AdmittedFile], limits: ScanLimits, on_answer: Callable[[], None]
    ) -> None:
        """`start` starts a child; `on_answer` is told of each file that is done."""
        self.answers: dict[str, Answer] = {}
        self.hello: Mapping[str, Any] = {}
        self._start, self._files, self._limits, self._on_answer = start, deque(files), limits, on_answer
        self._failures, self._lock = 0, threading.Lock()
        self._prepared: list[Child] = []
        self._idle: list[Child] = []

    def prepare(self, files: list[AdmittedFile], count: int) -> None:
        """More files to read, by `count` threads."""
        self._files.extend(files)
        for _ in range(count - len(self._idle)):
            child = self._start()
            self._prepared.append(child)
            self._idle.append(child)

    def dismiss(self) -> None:
        """End the children that wait."""
        for child in self._prepared:
            child.end()
        self._prepared.clear()
        self._idle.clear()

    def labour(self) -> None:
        """Scan files until there are none; a broken child is replaced until too many broke."""
        waiting: deque[AdmittedFile] = deque()
        while self._fill(waiting):
            if self._failures >= self._limits.max_failures:
                found = f"not read: scanners broke {self._failures} times before"
                self._note(waiting.popleft(), _broken(found, self._limits))
                continue
            try:
                self._work(waiting)
            except BrokenScannerError as why:
                with self._lock:
                    self._failures += 1
                self._note(waiting.popleft(), _broken(str(why), self._limits))

    def _work(self, waiting: deque[AdmittedFile]) -> None:
        try:
            child, lasting = self._idle.pop(), True
        except IndexError:
            child, lasting = self._start(), False
        with ExitStack() as undo:
            undo.callback(child.end)
            self.hello = _hello(child.hello(_START_S))
            for file in waiting:
                child.send(_request(file))
            while waiting:
                message = child.receive(self._limits.wait_for(waiting[0].size))
                self._note(waiting[0], Answer.of(message, waiting[0].path))
                waiting.popleft()
                before = len(waiting)
                self._fill(waiting)
                for file in list(waiting)[before:]:
                    child.send(_request(file))
            if lasting:
                undo.pop_all()
                self._idle.append(child)

    def _fill(self, waiting: deque[AdmittedFile]) -> bool:
        while len(waiting) < _AHEAD:
            try:
                waiting.append(self._files.popleft())
            except IndexError:
                break
        return bool(waiting)

    def _note(self, file: AdmittedFile, answer: Answer) -> None:
        self.answers[file.path] = answer
        self._on_answer()


def _hello(message: dict[str, Any]) -> dict[str, Any]:
    if "bad_input" in message:
        thing, expected, found = message["bad_input"]
        raise BadInput(thing, expected=expected, found=found)
    return message


def _broken(found: str, limits: ScanLimits) -> Answer:
    expected = f"a scanner that ends within {limits.memory_bytes >> 20} MiB and its time"
    return Answer("", (), (Finding("scanner", expected, found),))


def environment() -> dict[str, str]:
    """The whole environment of a child: nothing of ours, and readers of images told to open one file only."""
    return {
        "PATH": "/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "OPENBLAS_NUM_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "MALLOC_ARENA_MAX": "2",
        "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
        "GDAL_PAM_ENABLED": "NO",
        "GDAL_ERROR_ON_LIBJPEG_WARNING": "YES",
        "GDAL_DRIVER_PATH": "disable",
        "GDAL_NUM_THREADS": "1",
        "GDAL_CACHEMAX": "128",
        "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
        "PROJ_NETWORK": "OFF",
    }


def _request(file: AdmittedFile) -> dict[str, Any]:
    return {"path": file.path, "size": file.size}
