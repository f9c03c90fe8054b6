"""Jobs in processes of their own on this machine: they go on when whoever submitted them leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from casemate.compute import watch
from casemate.compute.job import Job, JobState
from casemate.compute.keeper import job_text
from casemate.compute.launch import clean_environment
from casemate.compute.state import read_state
from casemate.errors import BadInput, CasemateError, DiskFull, Unavailable


class Local:
    """Gives each job a keeper that is nobody's child; several processes of a job meet through torchrun."""

    def submit(self, job: Job) -> str:
        """Start a job's keeper; the job is known by its work folder."""
        said = subprocess.run(
            (sys.executable, "-P", "-m", "casemate.compute.detach"),
            input=job_text(job), env=clean_environment(os.environ), capture_output=True, text=True, check=False,
        )  # fmt: skip
        if said.returncode != 0:
            raise _refusal(job, said)
        return str(job.workdir)

    def state(self, handle: str) -> JobState:
        """How the job is now."""
        return read_state(Path(handle)).state

    def cancel(self, handle: str) -> None:
        """Stop the job and all that it started."""
        watch.cancel(Path(handle))

    def wait(self, handle: str, *, on_line: Callable[[str], None] | None = None) -> JobState:
        """Return when the job is over; `on_line` hears its log as it comes."""
        return watch.wait(Path(handle), on_line=on_line)


def open_executor() -> Local:
    """The executor."""
    return Local()


_REFUSALS: dict[str, type[CasemateError]] = {kind.__name__: kind for kind in (BadInput, DiskFull, Unavailable)}


def _refusal(job: Job, said: subprocess.CompletedProcess[str]) -> CasemateError:
    try:
        facts = json.loads(said.stdout)
        return _REFUSALS[facts["error"]](facts["thing"], expected=facts["expected"], found=facts["found"])
    except (ValueError, KeyError, TypeError):
        last = (said.stderr.strip().splitlines() or ["no word"])[-1]
        return Unavailable(f"run {job.workdir}", expected="a keeper for it", found=last)
