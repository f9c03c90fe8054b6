from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.compute import Job, Resources, worker_job
from casemate.compute.keeper import job_text, parse_job
from casemate.compute.launch import clean_environment, confined_argv, job_argv, job_environment
from casemate.errors import BadInput
from tests import hostile
from tests.compute.test_plan import PLAN


def _job(processes: int) -> Job:
    job = worker_job(Path("/work folder/it's"), PLAN)
    return Job(job.workdir, ("python", *job.argv[1:]), job.env, processes)


def test_what_is_started_is_as_it_has_always_been(golden: Callable[[str, str], None]) -> None:
    parent = {
        "PATH": "/usr/bin",
        "HOME": "/home/a",
        "AWS_SECRET_ACCESS_KEY": "x",
        "http_proxy": "x",
        "PYTHONPATH": "/x",
    }
    text = {
        "one process": job_argv(_job(1), "python"),
        "two processes": job_argv(_job(2), "python"),
        "environment": job_environment(parent, _job(2), "0123"),
    }
    golden("launch.json", json.dumps(text, indent=1, sort_keys=True) + "\n")


def test_a_job_is_confined_by_a_program_that_needs_nothing_of_casemate() -> None:
    python, isolated, no_site, program, keeper, *argv = confined_argv(("a", "b c"), 42, "python")
    assert (python, isolated, no_site, keeper, argv) == ("python", "-I", "-S", "42", ["a", "b c"])
    assert "import casemate" not in Path(program).read_text(encoding="utf-8")
    assert "from casemate" not in Path(program).read_text(encoding="utf-8")


def test_only_listed_variables_pass() -> None:
    assert clean_environment({"PATH": "p", "LD_PRELOAD": "x", "PYTHONSTARTUP": "x", "TOKEN": "x"}) == {"PATH": "p"}


@pytest.mark.parametrize("name", hostile.NAMES)
def test_a_job_in_a_hostile_folder_is_read_back_as_it_was_written(name: str) -> None:
    job = Job(Path("/jobs") / name, ("python", name), {"NAME": name}, 2, 60)
    assert parse_job(job_text(job)) == job


def test_a_plan_gives_its_job_its_resources() -> None:
    job = worker_job(Path("relative"), PLAN)
    assert job.workdir == Path("relative").absolute()
    assert job.argv[-1] == str(job.workdir)
    assert (job.processes, job.time_limit_s) == (PLAN.resources.processes, PLAN.resources.time_limit_s)
    assert job.env["OMP_NUM_THREADS"] == str(Resources().threads)


@pytest.mark.parametrize(
    ("argv", "processes", "said"),
    [
        ((), 1, "job argv: expected a program and its words, without NUL, found ()"),
        (("a\0b",), 1, "job argv: expected a program and its words, without NUL, found ('a\\x00b',)"),
        (("a",), 0, "job: expected at least 1 process and a time limit of 0 (none) or more, found 0 processes, 0 s"),
    ],
)
def test_a_job_that_cannot_be_started_is_refused(argv: tuple[str, ...], processes: int, said: str) -> None:
    with pytest.raises(BadInput) as why:
        Job(Path("/x"), argv, processes=processes)
    assert str(why.value) == said
