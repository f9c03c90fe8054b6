"""Watching a run from outside its process, through its work folder alone: state, log, metrics, outcome, cancel.

Rules. Anybody who may read the work folder may watch; a run needs no watcher. A run that failed comes back as RunFailed
with its own facts and the end of its log.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from casemate.compute import metrics
from casemate.compute.job import JobState
from casemate.compute.keeper import CANCEL, GRACE_S, LOG
from casemate.compute.processes import end_run
from casemate.compute.state import FILE, parse_state, read_state, write_state
from casemate.errors import RunFailed
from casemate.store.digest import Digest

_POLL_S = 0.05
_TAIL_BYTES = 65536


def wait(workdir: Path, *, on_line: Callable[[str], None] | None = None) -> JobState:
    """Return when the run is over; `on_line` hears the lines of its log since it was last submitted."""
    position, torn = read_state(workdir).log_start, b""
    while True:
        state = read_state(workdir)  # before the log: what was written before the end is then read, too
        if on_line:
            lines, torn, position = _new_lines(workdir / LOG, position, torn)
            for line in lines:
                on_line(line)
        if state.over:
            if on_line and torn:
                on_line(torn.decode("utf-8", "replace"))
            return state.state
        time.sleep(_POLL_S)


class ByFolder:
    """What executors of this machine share: a run is known by its work folder, and seen and stopped through it."""

    def state(self, handle: str) -> JobState:
        """How the job is now."""
        return read_state(Path(handle)).state

    def cancel(self, handle: str) -> None:
        """Stop the job and all that it started; from any process, or another thread of the one that waits."""
        cancel(Path(handle))

    def wait(self, handle: str, *, on_line: Callable[[str], None] | None = None) -> JobState:
        """Return when the job is over; `on_line` hears its log as it comes."""
        return wait(Path(handle), on_line=on_line)


def follow(workdir: Path, *, poll_s: float = 0.2) -> Iterator[metrics.Metric]:
    """The reports of a run as they come, the earlier ones first, until it is over: what a progress bar needs."""
    position, torn = 0, b""
    while True:
        over = read_state(workdir).over
        chunk, position = _from(workdir / metrics.FILE, position)
        whole, _, torn = (torn + chunk).rpartition(b"\n")
        yield from metrics.parse_lines(whole + b"\n" if whole else b"")
        if over:
            return
        time.sleep(poll_s)


def cancel(workdir: Path, *, grace_s: float = GRACE_S) -> None:
    """End a run and all that it started: asked first, made to after `grace_s` seconds."""
    state = read_state(workdir)
    if state.over:
        return
    (workdir / CANCEL).touch(mode=0o600)
    while not state.over:
        end_run(state.run, grace_s=grace_s)
        time.sleep(_POLL_S)  # its keeper writes down how it ended
        state = read_state(workdir)
    if not parse_state((workdir / FILE).read_bytes()).over:  # a keeper that is gone wrote nothing
        write_state(workdir, replace(state, state="cancelled", error=None))


def outputs(workdir: Path) -> Digest | None:
    """The digest of the outputs' manifest of a run that is done (None: it has none); RunFailed where it is not done."""
    state = read_state(workdir)
    if state.state == "done":
        return Digest.parse(state.outputs) if state.outputs else None
    facts = state.error or {}
    thing, expected = facts.get("thing", f"run {workdir}"), facts.get("expected", "a run that is done")
    failure = RunFailed(thing, expected=expected, found=facts.get("found", state.state))
    for line in last_lines(workdir):
        failure.add_note(line)
    raise failure


def last_lines(workdir: Path, count: int = 20) -> list[str]:
    """The end of a run's log."""
    log = workdir / LOG
    if not log.is_file():
        return []
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return stream.read().decode("utf-8", "replace").splitlines()[-count:]


def _new_lines(file: Path, position: int, torn: bytes) -> tuple[list[str], bytes, int]:
    chunk, position = _from(file, position)
    *lines, torn = (torn + chunk).split(b"\n")
    return [line.decode("utf-8", "replace") for line in lines], torn, position


def _from(file: Path, position: int) -> tuple[bytes, int]:
    if not file.is_file():
        return b"", position
    with file.open("rb") as stream:
        # A torn line that was cut off makes the file shorter than what was read of it.
        stream.seek(min(position, file.stat().st_size))
        chunk = stream.read()
        return chunk, stream.tell()
