"""Which processes are alive, told from /proc so that a number given again to another process deceives nobody.

Rules. A process is its number, its start time and the boot of the machine. A zombie is gone. All processes of a run
carry its mark in their environment, and are found by it even when they made groups of their own.
"""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from casemate.compute.launch import RUN_VARIABLE

_POLL_S = 0.02


@dataclass(frozen=True)
class Process:
    """A process, not to be taken for a later one of the same number."""

    pid: int
    started: str

    def alive(self) -> bool:
        """Whether this very process still runs."""
        return process(self.pid) == self


def process(pid: int) -> Process | None:
    """The process that has the number `pid` now; None where there is none, or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (FileNotFoundError, ProcessLookupError):
        return None
    facts = stat.rpartition(")")[2].split()  # the name before it may hold spaces and brackets
    return None if facts[0] in {"Z", "X"} else Process(pid, f"{boot}/{facts[19]}")


def this_process() -> Process:
    """The process that asks."""
    found = process(os.getpid())
    if found is None:
        raise RuntimeError("a running process is not in /proc")
    return found


def of_run(run: str) -> list[Process]:
    """The processes that carry the mark of a run, but for the one that asks."""
    mark = f"{RUN_VARIABLE}={run}".encode()
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal())
    marked = (pid for pid in pids if pid != os.getpid() and mark in _environment(pid))
    return [found for found in map(process, marked) if found is not None]


def end_run(run: str, *, grace_s: float) -> None:
    """Ask every process of a run to end (SIGTERM), then make it (SIGKILL); none is left when this returns."""
    _signal_all(of_run(run), signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while (left := of_run(run)) and time.monotonic() < deadline:
        time.sleep(_POLL_S)
    while left:
        _signal_all(left, signal.SIGKILL)
        time.sleep(_POLL_S)
        left = of_run(run)


def _signal_all(processes: list[Process], number: signal.Signals) -> None:
    for found in processes:
        if found.alive():
            try:
                os.kill(found.pid, number)
            except ProcessLookupError:
                continue  # it ended by itself meanwhile


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []  # it ended, or is somebody else's: not of this run
