"""Jobs in processes of their own on this machine: they go on when whoever submitted them leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from casemate.compute.job import Job
from casemate.compute.keeper import job_text
from casemate.compute.launch import clean_environment
from casemate.compute.watch import ByFolder
from casemate.errors import BadInput, CasemateError, DiskFull, Unavailable


class Local(ByFolder):
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
