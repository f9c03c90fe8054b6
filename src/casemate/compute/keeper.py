"""The keeper of a run: one process that starts it, waits for it and writes down how it ended.

Rules. One keeper a work folder, by a lock that the kernel lets go of when the keeper dies; the run dies with it.
Nothing that a run started outlives it. Only the keeper writes state.json; a run says what it has to say in result.json.
"""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import signal
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casemate.compute import launch
from casemate.compute.job import Job
from casemate.compute.processes import end_run, this_process
from casemate.compute.state import FILE, RunState, read_state, write_state, write_whole
from casemate.errors import BadInput, RunFailed, Unavailable

GRACE_S = 10.0
LOG = "log.txt"
RESULT = "result.json"
CANCEL = "cancel"


@dataclass(frozen=True)
class Kept:
    """A run that this process keeps: nobody else will, as long as `lock` is open."""

    job: Job
    state: RunState
    lock: int


def take(job: Job) -> Kept:
    """Become the keeper of a job: refuse a run that goes on or is done, clear what an earlier keeper left behind."""
    workdir = job.workdir
    workdir.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = _lock(workdir)
    run_before = None
    if (workdir / FILE).exists():
        before = read_state(workdir)
        if before.state == "done":
            os.close(lock)
            raise BadInput(f"run {workdir}", expected="a run without its result", found="one that is done")
        run_before = before.run
    if run_before:
        end_run(run_before, grace_s=0)
    for left in (RESULT, CANCEL):
        (workdir / left).unlink(missing_ok=True)
    write_whole(workdir / "job.json", job_text(job))
    log = workdir / LOG
    state = RunState("pending", secrets.token_hex(16), this_process(), log.stat().st_size if log.exists() else 0)
    write_state(workdir, state)
    return Kept(job, state, lock)


def keep(kept: Kept) -> None:
    """Run the job to its end and write down how that was."""
    job, workdir = kept.job, kept.job.workdir
    end = _failed(job, "an end that its keeper saw", "a keeper that broke off")
    try:
        child = _start(job, kept.state.run)
        write_state(workdir, replace(kept.state, state="running"))
        end = _end(job, _wait(child, job, kept.state.run))
    except KeyboardInterrupt:
        end = {"state": "cancelled"}
        raise
    finally:
        write_state(workdir, replace(kept.state, **end))
        os.close(kept.lock)


def _start(job: Job, run: str) -> subprocess.Popen[bytes]:
    with (job.workdir / LOG).open("ab") as log:
        return subprocess.Popen(
            launch.confined_argv(launch.job_argv(job), os.getpid()),
            cwd=job.workdir,
            env=launch.job_environment(os.environ, job, run),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def _wait(child: subprocess.Popen[bytes], job: Job, run: str) -> int | None:
    """The exit status of the job, or None: it ran out of time. Nothing of it is left."""
    try:
        return child.wait(job.time_limit_s or None)
    except subprocess.TimeoutExpired:
        return None
    finally:
        end_run(run, grace_s=GRACE_S if child.poll() is None else 0)
        child.wait()


def _end(job: Job, status: int | None) -> dict[str, Any]:
    """What to write down for an exit status."""
    if (job.workdir / CANCEL).exists():
        return {"state": "cancelled"}
    result = _result(job.workdir)
    if status == 0:
        return {"state": "done", "outputs": result.get("outputs")}
    if isinstance(result.get("error"), dict):
        return {"state": "failed", "error": result["error"]}
    if status is None:
        return _failed(job, f"an end within {job.time_limit_s} s", "still running then")
    return _failed(job, "exit status 0", f"{status}" if status > 0 else f"ended by {signal.Signals(-status).name}")


def _failed(job: Job, expected: str, found: str) -> dict[str, Any]:
    return {"state": "failed", "error": RunFailed(f"run {job.workdir}", expected=expected, found=found).facts()}


def _result(workdir: Path) -> dict[str, Any]:
    file = workdir / RESULT
    facts = json.loads(file.read_bytes()) if file.is_file() else {}
    return facts if isinstance(facts, dict) else {}


def _lock(workdir: Path) -> int:
    fd = os.open(workdir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as why:
        os.close(fd)
        raise Unavailable(f"run {workdir}", expected="a run that is over", found="one that goes on") from why
    return fd


def job_text(job: Job) -> str:
    """A job as JSON."""
    return json.dumps(vars(job) | {"workdir": str(job.workdir)}, indent=1, sort_keys=True, default=dict) + "\n"


def parse_job(text: str) -> Job:
    """A job from its JSON."""
    facts = json.loads(text)
    return Job(**(facts | {"workdir": Path(facts["workdir"]), "argv": tuple(facts["argv"])}))
