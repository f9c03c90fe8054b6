"""Jobs run here and now: `submit` returns when the job is over. For tests, small sites and debugging."""

from __future__ import annotations

from casemate.compute.job import Job
from casemate.compute.keeper import keep, take
from casemate.compute.watch import ByFolder


class Inline(ByFolder):
    """Keeps each job in the process that submits it; interrupting that process cancels the job."""

    def submit(self, job: Job) -> str:
        """Run a job to its end."""
        keep(take(job))
        return str(job.workdir)


def open_executor() -> Inline:
    """The executor."""
    return Inline()
