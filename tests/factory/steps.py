"""Verbs in processes of their own, each of which stops at one of its steps: killed there, or told to go on later.

Rules. A step is what changes a disk: a file opened to be written, made durable, renamed, linked or removed, a folder
made or removed, and every statement with which SQLite writes. The process stops before that step, so that stopping at
every one of them is stopping between all of them. Steps are counted from the moment at which the site is open.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, event

from casemate.errors import CasemateError
from tests.factory.town import Town

_PROCESSES = get_context("forkserver")
_PROCESSES.set_forkserver_preload(["tests.factory.steps", "casemate.airlock.inspect", "PIL.Image", "numpy"])
_CHANGES = frozenset({
    "os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink", "os.truncate",
})  # fmt: skip
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_STATEMENTS = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE", "COMMIT", "CREATE", "DROP")


@dataclass(frozen=True)
class Call:
    """One verb of a factory, for a person of a town."""

    town: Town
    person: str
    verb: str
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """How a call ended: what it gave, the refusal that it raised, or neither where it was killed; and its steps."""

    value: Any = None
    refusal: dict[str, str] | None = None
    killed: bool = False
    steps: tuple[str, ...] = ()


class Running:
    """A call at work in a process of its own."""

    def __init__(self, process: BaseProcess, answer: Connection) -> None:
        self._process, self._answer = process, answer
        self._answer.recv()  # the site is open

    def stopped(self) -> bool:
        """Wait until it stands still at its step; False where it ended before."""
        while self._process.is_alive():
            if Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()[0] in "Tt":
                return True
            if self._answer.poll(0.005):
                return False
        return False

    def go_on(self) -> None:
        """Let a call that stands still go on."""
        os.kill(int(self._process.pid or 0), signal.SIGCONT)

    def end(self) -> Ended:
        """Wait for its end."""
        told = None
        with suppress(EOFError):  # killed
            told = self._answer.recv()
        self._process.join()
        self._answer.close()
        if told is None:
            assert self._process.exitcode == -signal.SIGKILL
            return Ended(killed=True)
        assert isinstance(told, Ended), told
        return told


def start(call: Call, *, at: int = 0, how: signal.Signals = signal.SIGKILL) -> Running:
    """Begin a call, to be stopped before its step number `at` (from 1; 0 is never)."""
    here, there = _PROCESSES.Pipe(duplex=False)
    process = _PROCESSES.Process(target=_act, args=(call, at, how, there))
    process.start()
    there.close()
    return Running(process, here)


def ended(call: Call, *, at: int = 0) -> Ended:
    """A call that is killed before its step number `at`, or comes to its end."""
    return start(call, at=at).end()


def spread(steps: Sequence[str], most: int) -> list[int]:
    """Numbers of steps to stop at: around the last that is committed, and evenly among the others, the end too."""
    count = len(steps)
    writes = [n for n, step in enumerate(steps, 1) if step.startswith("sql INSERT")]
    firm = {writes[-1], writes[-1] + 1, writes[-1] + 2} if writes else set()
    even = {1 + round(n * (count - 1) / max(1, most - 1)) for n in range(most)}
    return sorted(n for n in firm | even if n <= count)


def _act(call: Call, at: int, how: signal.Signals, answer: Connection) -> None:
    steps = _Steps(at, how)
    sys.addaudithook(steps.heard)
    event.listen(Engine, "connect", steps.connected)
    fsync = os.fsync

    def counted(fd: int) -> None:
        steps.take("fsync")
        fsync(fd)

    os.fsync = counted  # type: ignore[assignment]
    factory = call.town.acting(call.person)
    answer.send("open")
    told: Ended | str
    try:
        steps.counting = True
        value = getattr(factory, call.verb)(*call.args, **call.options)
        steps.counting = False
        told = Ended(value, steps=tuple(steps.taken))
    except CasemateError as no:
        steps.counting = False
        told = Ended(refusal={**no.facts(), "exit": str(no.exit_code)}, steps=tuple(steps.taken))
    except BaseException:  # our own mistake: the test that waits for us shall say so
        told = f"{call.verb}, stopped before {at}: {traceback.format_exc()}"
        answer.send(told)
        raise
    answer.send(told)


class _Steps:
    """Counts the steps of this process, and stops it before one."""

    def __init__(self, at: int, how: signal.Signals) -> None:
        self.counting, self.taken = False, list[str]()
        self._at, self._how, self._lock = at, how, threading.Lock()

    def take(self, step: str) -> None:
        if self.counting:
            with self._lock:
                self.taken.append(step)
                if len(self.taken) == self._at:
                    os.kill(os.getpid(), self._how)

    def heard(self, what: str, args: tuple[Any, ...]) -> None:
        if what in _CHANGES:
            self.take(f"{what} {Path(os.fsdecode(args[0])).name}")
        elif what == "open" and isinstance(args[2], int) and args[2] & _WRITES and args[0] != "/dev/null":
            self.take(f"write {args[0]}")

    def connected(self, connection: sqlite3.Connection, _: object) -> None:
        connection.set_trace_callback(self._said)

    def _said(self, statement: str) -> None:
        if statement.startswith(_STATEMENTS):
            self.take(f"sql {' '.join(statement.split()[:3])}")
