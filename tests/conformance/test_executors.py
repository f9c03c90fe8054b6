"""What every executor promises, over every one found; the jobs are small programs without a modality."""

from __future__ import annotations

import os
import signal
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from casemate.compute import (
    Executor,
    Job,
    cancel,
    executor_names,
    find,
    follow,
    outputs,
    read_state,
)
from casemate.compute.processes import of_run
from casemate.errors import BadInput, NotFound, RunFailed, Unavailable


@pytest.fixture(params=executor_names())
def executor(request: pytest.FixtureRequest) -> Executor:
    return find(request.param)


@pytest.fixture
def workdir(tmp_path: Path) -> Path:
    return tmp_path / "a 'run'\n🛰️"


def _job(workdir: Path, code: str, **facts: object) -> Job:
    return Job(workdir, (sys.executable, "-c", textwrap.dedent(code)), **facts)  # type: ignore[arg-type]


def test_the_executors_are_found() -> None:
    assert executor_names() == ["inline", "local"]


def test_an_unknown_executor_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput) as why:
        find("cloud")
    assert str(why.value) == "executor: expected inline or local, found 'cloud'"


def test_a_job_runs_in_its_work_folder_and_its_log_is_heard(executor: Executor, workdir: Path) -> None:
    handle = executor.submit(_job(workdir, "import pathlib; print('hello'); pathlib.Path('made').write_text('x')"))
    lines: list[str] = []
    assert executor.wait(handle, on_line=lines.append) == "done"
    assert executor.state(handle) == "done"
    assert lines[-1] == "hello"
    assert (workdir / "made").read_text() == "x"
    assert outputs(workdir) is None
    assert workdir.stat().st_mode & 0o077 == 0
    assert (workdir / "made").stat().st_mode & 0o077 == 0


def test_a_last_line_without_its_end_is_heard_too(executor: Executor, workdir: Path) -> None:
    handle = executor.submit(_job(workdir, "import sys; sys.stdout.write('no end')"))
    lines: list[str] = []
    executor.wait(handle, on_line=lines.append)
    assert lines[-1] == "no end"


def test_a_failed_job_says_its_exit_status_and_the_end_of_its_log(executor: Executor, workdir: Path) -> None:
    handle = executor.submit(_job(workdir, "print('so far'); raise SystemExit(7)"))
    assert executor.wait(handle) == "failed"
    with pytest.raises(RunFailed) as why:
        outputs(workdir)
    assert why.value.facts() == {
        "error": "RunFailed",
        "thing": f"run {workdir}".replace("\n", "\\n"),
        "expected": "exit status 0",
        "found": "7",
    }
    assert why.value.__notes__[-1] == "so far"


def test_a_program_that_is_not_there_is_a_failed_job(executor: Executor, workdir: Path) -> None:
    handle = executor.submit(Job(workdir, ("/no/such/program",)))
    lines: list[str] = []
    assert executor.wait(handle, on_line=lines.append) == "failed"
    assert lines[-1] == "casemate: /no/such/program: expected a program, found No such file or directory"


def test_a_job_killed_by_a_signal_is_named_by_it(executor: Executor, workdir: Path) -> None:
    executor.wait(executor.submit(_job(workdir, "import os; os.kill(os.getpid(), 9)")))
    with pytest.raises(RunFailed, match="expected exit status 0, found ended by SIGKILL"):
        outputs(workdir)


def test_no_secret_or_proxy_of_the_submitter_reaches_a_job(
    executor: Executor, workdir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CASEMATE_PASSPHRASE", "secret")
    monkeypatch.setenv("https_proxy", "http://proxy")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    executor.wait(executor.submit(_job(workdir, "import os; print(*sorted(os.environ))", env={"OWN": "1"})))
    seen = set((workdir / "log.txt").read_text().splitlines()[-1].split())
    assert seen <= {
        "CASEMATE_RUN", "CUDA_VISIBLE_DEVICES", "GLOO_SOCKET_IFNAME", "HF_HUB_OFFLINE", "HOME", "LANG", "LC_ALL",
        "LC_CTYPE", "LD_LIBRARY_PATH", "MPLBACKEND", "NCCL_SOCKET_IFNAME", "NVIDIA_VISIBLE_DEVICES", "OWN", "PATH",
        "PYTHONSAFEPATH", "PYTHONUNBUFFERED", "TMPDIR", "TRANSFORMERS_OFFLINE", "TZ",
    }  # fmt: skip
    assert "OWN" in seen


def test_a_job_cannot_leave_the_machine_and_says_so(executor: Executor, workdir: Path) -> None:
    code = """
        import socket
        here = socket.create_server(("127.0.0.1", 0))
        socket.create_connection(here.getsockname(), 5).close()
        print("loopback works")
        print(sorted(name for _, name in socket.if_nameindex()))
    """
    assert executor.wait(executor.submit(_job(workdir, code))) == "done"
    said, *_, loopback, interfaces = (workdir / "log.txt").read_text().splitlines()
    assert loopback == "loopback works"
    if said != "casemate: network: loopback only":
        assert said.startswith("casemate: network: not confined by the kernel here (")
        pytest.skip(said)
    assert interfaces == "['lo']"


def test_a_job_out_of_time_is_ended_with_all_that_it_started(executor: Executor, workdir: Path) -> None:
    code = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
        time.sleep(600)
    """
    executor.wait(executor.submit(_job(workdir, code, time_limit_s=1)))
    with pytest.raises(RunFailed, match="expected an end within 1 s, found still running then"):
        outputs(workdir)
    assert of_run(read_state(workdir).run) == []


def test_nothing_that_a_job_started_outlives_it(executor: Executor, workdir: Path) -> None:
    code = """
        import subprocess, sys
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)
    """
    assert executor.wait(executor.submit(_job(workdir, code))) == "done"
    assert of_run(read_state(workdir).run) == []


_STUBBORN = """
    import pathlib, signal, sys, time
    signal.signal(signal.SIGTERM, lambda *_: pathlib.Path("asked").touch())
    pathlib.Path("started").touch()
    while True:
        time.sleep(0.01)
"""


def test_a_cancelled_job_is_asked_first_and_then_made_to_end(executor: Executor, workdir: Path) -> None:
    submission = _submit_beside(executor, _job(workdir, _STUBBORN))
    assert executor.state(str(workdir)) == "running"
    run = read_state(workdir).run
    cancel(workdir, grace_s=0.3)
    assert executor.state(str(workdir)) == "cancelled"
    assert (workdir / "asked").exists()
    assert of_run(run) == []
    submission.join()
    executor.cancel(str(workdir))  # nothing happens to what is over
    with pytest.raises(RunFailed, match="expected a run that is done, found cancelled"):
        outputs(workdir)


def test_a_second_submission_of_what_runs_is_refused(executor: Executor, workdir: Path) -> None:
    submission = _submit_beside(executor, _job(workdir, _STUBBORN))
    with pytest.raises(Unavailable, match="expected a run that is over, found one that goes on"):
        executor.submit(_job(workdir, "pass"))
    assert executor.state(str(workdir)) == "running"
    cancel(workdir, grace_s=0)
    submission.join()


def test_what_is_done_is_not_run_again(executor: Executor, workdir: Path) -> None:
    executor.wait(executor.submit(_job(workdir, "pass")))
    with pytest.raises(BadInput, match="expected a run without its result, found one that is done"):
        executor.submit(_job(workdir, "raise SystemExit(1)"))
    assert executor.state(str(workdir)) == "done"


_COUNTS = """
    import pathlib, sys, time
    from casemate.compute.metrics import append_metric
    here, checkpoint = pathlib.Path.cwd(), pathlib.Path("checkpoint")
    start = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for step in range(start + 1, 6):
        append_metric(here, step, 5, loss=1 / step)
        if step == 3 and start == 0:
            print("three", flush=True)
            time.sleep(600)
        checkpoint.write_text(str(step))
    print("from", start)
"""


def test_a_job_killed_at_its_work_resumes_from_its_checkpoint(executor: Executor, workdir: Path) -> None:
    submission = _submit_beside(executor, _job(workdir, _COUNTS), started="checkpoint")
    while "three" not in (workdir / "log.txt").read_text():
        time.sleep(0.01)
    for process in of_run(read_state(workdir).run):
        os.kill(process.pid, signal.SIGKILL)
    assert executor.wait(str(workdir)) == "failed"
    submission.join()
    handle = executor.submit(_job(workdir, _COUNTS))
    lines: list[str] = []
    assert executor.wait(handle, on_line=lines.append) == "done"
    assert lines[-1] == "from 2"
    assert "three" not in lines  # that was the log of the first time
    assert [metric.step for metric in follow(workdir)] == [1, 2, 3, 3, 4, 5]


def test_reports_are_followed_while_they_come(executor: Executor, workdir: Path) -> None:
    code = """
        import pathlib, time
        from casemate.compute.metrics import append_metric
        for step in range(1, 4):
            append_metric(pathlib.Path.cwd(), step, 3, loss=1 / step)
            pathlib.Path("started").touch()
            while step == 1 and not pathlib.Path("heard").exists():
                time.sleep(0.01)
    """
    submission = _submit_beside(executor, _job(workdir, code))
    heard = []
    for metric in follow(workdir, poll_s=0.01):
        heard.append((metric.step, metric.total_steps, dict(metric.values)))
        (workdir / "heard").touch()  # the job goes on only now
    assert heard == [(step, 3, {"loss": 1 / step}) for step in (1, 2, 3)]
    submission.join()


def test_several_processes_know_one_another_and_fail_as_one(executor: Executor, workdir: Path) -> None:
    code = """
        import os, pathlib, sys, time
        names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR")
        pathlib.Path("rank" + os.environ["RANK"]).write_text(" ".join(os.environ[name] for name in names))
        while not (pathlib.Path("rank0").exists() and pathlib.Path("rank1").exists()):
            time.sleep(0.01)
        sys.exit(5) if os.environ["RANK"] == "1" else time.sleep(600)
    """
    assert executor.wait(executor.submit(_job(workdir, code, processes=2))) == "failed"
    assert [(workdir / f"rank{n}").read_text().split() for n in (0, 1)] == [
        ["0", "0", "2", "127.0.0.1"],
        ["1", "1", "2", "127.0.0.1"],
    ]
    assert of_run(read_state(workdir).run) == []


def test_several_processes_that_end_well_are_done(executor: Executor, workdir: Path) -> None:
    assert executor.wait(executor.submit(_job(workdir, "pass", processes=2))) == "done"


def test_what_was_never_submitted_is_not_found(executor: Executor, workdir: Path) -> None:
    with pytest.raises(NotFound, match=r"expected a work folder of a submitted run, found no state\.json"):
        executor.state(str(workdir))


def _submit_beside(executor: Executor, job: Job, started: str = "started") -> threading.Thread:
    """Submit from another thread, since `inline` returns at the end only; until the job has begun its work."""
    thread = threading.Thread(target=executor.submit, args=[job])
    thread.start()
    while not (job.workdir / started).exists() or executor.state(str(job.workdir)) != "running":
        time.sleep(0.01)
    return thread
