"""A job, and the seam that every executor fills, found by listing this folder.

Rules. A job is an argv in a work folder: executors know nothing of models. The handle of a job outlives the process
that submitted it. An executor is one file of this folder with a function `open_executor()`; it passes the conformance
suite. Submitting again on the same work folder resumes: checkpoints are left alone.

A work folder holds plan.json, inputs/, checkpoints/, outputs/, metrics.jsonl, log.txt, job.json and state.json.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol, cast

from casemate.compute.plan import Plan
from casemate.errors import BadInput

JobState = Literal["pending", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """An argv to run in `workdir`, as one process or as several that work together (RANK, WORLD_SIZE are set)."""

    workdir: Path
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    processes: int = 1
    time_limit_s: int = 0

    def __post_init__(self) -> None:
        """Refuse what no system can start; the work folder becomes absolute, since processes have their own."""
        object.__setattr__(self, "workdir", self.workdir.absolute())
        if not self.argv or any("\0" in word for word in self.argv):
            raise BadInput("job argv", expected="a program and its words, without NUL", found=repr(self.argv))
        if self.processes < 1 or self.time_limit_s < 0:
            found = f"{self.processes} processes, {self.time_limit_s} s"
            raise BadInput("job", expected="at least 1 process and a time limit of 0 (none) or more", found=found)


class Executor(Protocol):
    """A place where jobs run."""

    def submit(self, job: Job) -> str:
        """Start a job, or resume one that ended without its result; the handle by which it is known from then on."""
        ...

    def state(self, handle: str) -> JobState:
        """How the job is now; a job whose process is gone without a word has failed."""
        ...

    def cancel(self, handle: str) -> None:
        """Stop the job and all that it started; it is over when this returns. Nothing happens to one that ended."""
        ...

    def wait(self, handle: str, *, on_line: Callable[[str], None] | None = None) -> JobState:
        """Return when the job is over; `on_line` hears each line of its log as it comes."""
        ...


def worker_job(workdir: Path, plan: Plan) -> Job:
    """The job that runs `plan` in `workdir`, which holds its plan.json and inputs."""
    resources = plan.resources
    argv = (sys.executable, "-P", "-m", "casemate.compute.worker", str(workdir.absolute()))
    return Job(workdir, argv, plan_environment(plan), resources.processes, resources.time_limit_s)


def plan_environment(plan: Plan) -> dict[str, str]:
    """What a plan puts into the environment of its processes: seeds and threads, for the same bits every time."""
    threads = str(plan.resources.threads)
    return {
        "CASEMATE_SEED": str(plan.seed),
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # without it cuBLAS may add up in another order from run to run
        "MKL_NUM_THREADS": threads,
        "OMP_NUM_THREADS": threads,
        "OPENBLAS_NUM_THREADS": threads,
        "PYTHONHASHSEED": str(plan.seed % 2**32),
    }


def executor_names() -> list[str]:
    """The executors there are: the modules of this folder that have `open_executor`."""
    found = (file.stem for file in Path(__file__).parent.glob("*.py") if file.stem not in _NOT_IMPORTED)
    return sorted(n for n in found if hasattr(importlib.import_module(f"casemate.compute.{n}"), "open_executor"))


def find(name: str) -> Executor:
    """The executor `name`."""
    known = executor_names()
    if name not in known:
        raise BadInput("executor", expected=" or ".join(known), found=repr(name))
    return cast("Executor", importlib.import_module(f"casemate.compute.{name}").open_executor())


_NOT_IMPORTED = {"__init__", "confine"}  # confine runs by its path, before anything of Casemate is imported
