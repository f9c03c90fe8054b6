"""What is started for a job: argv and environment, decided by pure functions and golden-tested.

Rules. The environment of a run is an allow-list: no secret, proxy or credential of whoever submits it gets in. Several
processes go through torchrun, which meets on loopback.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from casemate.compute.job import Job

RUN_VARIABLE = "CASEMATE_RUN"
_PASSED = frozenset({
    "CUDA_VISIBLE_DEVICES", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "PATH",
    "TMPDIR", "TZ",
})  # fmt: skip
_ALWAYS = {
    "GLOO_SOCKET_IFNAME": "lo",
    "HF_HUB_OFFLINE": "1",
    "MPLBACKEND": "Agg",
    "NCCL_SOCKET_IFNAME": "lo",
    "PYTHONSAFEPATH": "1",  # the work folder holds other people's files: no module is imported from it
    "PYTHONUNBUFFERED": "1",  # the log shows what happens when it happens
    "TRANSFORMERS_OFFLINE": "1",
}


def job_argv(job: Job, python: str = sys.executable) -> tuple[str, ...]:
    """The job's argv, under torchrun where it is several processes."""
    if job.processes == 1:
        return job.argv
    several = (f"--nproc-per-node={job.processes}", "--local-addr=127.0.0.1", "--no-python")
    return (python, "-m", "torch.distributed.run", "--standalone", *several, "--", *job.argv)


def confined_argv(argv: tuple[str, ...], keeper: int, python: str = sys.executable) -> tuple[str, ...]:
    """`argv` started through confine.py, as a child of the process `keeper`."""
    return (python, "-I", "-S", str(Path(__file__).with_name("confine.py")), str(keeper), *argv)


def job_environment(parent: Mapping[str, str], job: Job, run: str) -> dict[str, str]:
    """The whole environment of a job's processes; `run` marks all of them, however they detach themselves."""
    return clean_environment(parent) | _ALWAYS | dict(job.env) | {RUN_VARIABLE: run}


def clean_environment(parent: Mapping[str, str]) -> dict[str, str]:
    """The variables of `parent` that a child may see."""
    return {name: value for name, value in sorted(parent.items()) if name in _PASSED}
