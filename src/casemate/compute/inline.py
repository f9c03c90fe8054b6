"""Jobs run here and now: `submit` returns when the job is over. For tests, small sites and debugging."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from casemate.compute import watch
from casemate.compute.job import Job, JobState
from casemate.compute.keeper import keep, take
from casemate.compute.state import read_state


class Inline:
    """Keeps each job in the process that submits it; interrupting that process cancels the job."""

    def submit(self, job: Job) -> str:
        """Run a job to its end."""
        keep(take(job))
        return str(job.workdir)

    def state(self, handle: str) -> JobState:
        """How the job is now."""
        return read_state(Path(handle)).state

    def cancel(self, handle: str) -> None:
        """Stop the job; from another process or thread, since this one waits."""
        watch.cancel(Path(handle))

    def wait(self, handle: str, *, on_line: Callable[[str], None] | None = None) -> JobState:
        """The end of the job, which has come; `on_line` hears its log."""
        return watch.wait(Path(handle), on_line=on_line)


def open_executor() -> Inline:
    """The executor."""
    return Inline()
