"""How a run is: `state.json`, written by its keeper and by nobody else while the keeper lives.

Rules. The file is replaced whole, by rename, so that kill -9 leaves the last word said. "Running" is believed only as
long as the keeper's process lives: after that the run has failed, its process gone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

from casemate.compute.job import JobState
from casemate.compute.processes import Process
from casemate.errors import BadInput, NotFound, RunFailed

FILE = "state.json"
FORMAT = "casemate-state/1"
OVER = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class RunState:
    """The state of a run, who keeps it, and how it ended."""

    state: JobState
    run: str
    keeper: Process
    log_start: int = 0
    outputs: str | None = None
    error: Mapping[str, str] | None = None

    @property
    def over(self) -> bool:
        """Whether nothing more will happen."""
        return self.state in OVER


def write_state(workdir: Path, state: RunState) -> None:
    """Replace state.json; whoever reads sees the old one or the new one."""
    facts = {"format": FORMAT, **vars(state), "keeper": vars(state.keeper)}
    write_whole(workdir / FILE, json.dumps(facts, indent=1, sort_keys=True) + "\n")


def read_state(workdir: Path) -> RunState:
    """The state as it is now; NotFound where nothing was ever submitted."""
    file = workdir / FILE
    if not file.is_file():
        raise NotFound(f"run {workdir}", expected="a work folder of a submitted run", found="no state.json")
    state = parse_state(file.read_bytes(), source=str(file))
    if state.over or state.keeper.alive():
        return state
    again = parse_state(file.read_bytes(), source=str(file))  # it may have ended well between the two looks
    return again if again.over else replace(again, state="failed", error=_gone(workdir, again))


def parse_state(data: bytes, *, source: str = FILE) -> RunState:
    """A state from its text."""
    try:
        facts: dict[str, Any] = json.loads(data)
        if facts.pop("format") != FORMAT or facts["state"] not in get_args(JobState):
            raise BadInput(source, expected=f"format {FORMAT} and a state", found=repr(facts.get("state")))
        return RunState(**(facts | {"keeper": Process(**facts["keeper"])}))
    except (ValueError, TypeError, KeyError, AttributeError) as why:
        raise BadInput(source, expected="the state of a run in JSON", found=why) from why


def write_whole(file: Path, text: str) -> None:
    """Write a small file so that it is there whole or as it was before."""
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode("utf-8"))
        os.fsync(fd)
    finally:
        os.close(fd)
    beside.replace(file)


def _gone(workdir: Path, state: RunState) -> dict[str, str]:
    expected = f"process {state.keeper.pid} to keep it until its end"
    return RunFailed(f"run {workdir}", expected=expected, found="process gone").facts()
