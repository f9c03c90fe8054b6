"""Runs whose keeper, worker or submitter dies, and state files that are not what they should be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from casemate.compute import Job, cancel, find, last_lines, outputs, read_state
from casemate.compute.processes import Process, of_run, process, this_process
from casemate.compute.state import RunState, parse_state, write_state
from casemate.errors import BadInput, RunFailed

_SLEEPS = "import pathlib, time; pathlib.Path('started').touch(); time.sleep(600)"


def _started(workdir: Path) -> str:
    handle = find("local").submit(Job(workdir, (sys.executable, "-c", _SLEEPS)))
    while not (workdir / "started").exists():
        time.sleep(0.01)
    return handle


def _gone(found: Process) -> None:
    while found.alive():
        time.sleep(0.01)


def test_a_run_whose_keeper_is_killed_dies_with_it_and_has_failed_its_process_gone(tmp_path: Path) -> None:
    handle = _started(tmp_path)
    state = read_state(tmp_path)
    os.kill(state.keeper.pid, signal.SIGKILL)
    _gone(state.keeper)
    assert json.loads((tmp_path / "state.json").read_text())["state"] == "running"  # the last word said
    assert find("local").state(handle) == "failed"
    with pytest.raises(RunFailed) as why:
        outputs(tmp_path)
    expected = f"process {state.keeper.pid} to keep it until its end"
    assert str(why.value) == f"run {tmp_path}: expected {expected}, found process gone"
    while of_run(state.run):  # the kernel ends it
        time.sleep(0.01)


def test_a_run_whose_keeper_was_killed_can_be_submitted_again(tmp_path: Path) -> None:
    _started(tmp_path)
    keeper = read_state(tmp_path).keeper
    os.kill(keeper.pid, signal.SIGKILL)
    _gone(keeper)
    handle = find("local").submit(Job(tmp_path, (sys.executable, "-c", "print('again')")))
    assert find("local").wait(handle) == "done"
    assert last_lines(tmp_path, 1) == ["again"]


def test_a_run_outlives_whoever_submitted_it(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from casemate.compute import Job, find
find("local").submit(Job(Path({str(tmp_path)!r}), (sys.executable, "-c", {_SLEEPS!r})))
"""
    submitter = subprocess.run([sys.executable, "-c", code], check=True, start_new_session=True)
    assert submitter.returncode == 0
    assert find("local").state(str(tmp_path)) == "running"
    cancel(tmp_path, grace_s=1)
    assert find("local").state(str(tmp_path)) == "cancelled"


def test_a_run_that_failed_before_it_was_cancelled_stays_failed(tmp_path: Path) -> None:
    _started(tmp_path)
    state = read_state(tmp_path)
    os.kill(state.keeper.pid, signal.SIGKILL)
    _gone(state.keeper)
    cancel(tmp_path)
    assert read_state(tmp_path).state == "failed"


def test_interrupting_inline_cancels_the_run(tmp_path: Path) -> None:
    code = f"""
import sys
from pathlib import Path
from casemate.compute import Job, find
find("inline").submit(Job(Path({str(tmp_path)!r}), (sys.executable, "-c", {_SLEEPS!r})))
"""
    submitter = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    while not (tmp_path / "started").exists():
        time.sleep(0.01)
    run = read_state(tmp_path).run
    submitter.send_signal(signal.SIGINT)
    submitter.wait()
    assert read_state(tmp_path).state == "cancelled"
    assert of_run(run) == []


def test_a_number_given_again_to_another_process_deceives_nobody(tmp_path: Path) -> None:
    me = this_process()
    assert me.alive()
    assert process(me.pid) == me
    write_state(tmp_path, RunState("running", "0", replace(me, started="an earlier boot/1")))
    assert read_state(tmp_path).state == "failed"
    write_state(tmp_path, RunState("running", "0", me))
    assert read_state(tmp_path).state == "running"


def test_a_zombie_is_gone() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    while Path(f"/proc/{child.pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z":
        time.sleep(0.01)
    assert process(child.pid) is None
    child.wait()
    assert process(child.pid) is None


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"{}", b'{"format": "casemate-state/1", "state": "asleep"}',
     b'{"format": "casemate-state/1", "state": "done"}', b'{"format": "casemate-state/2", "state": "done"}'],
)  # fmt: skip
def test_a_file_that_is_no_state_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput) as why:
        parse_state(text)
    assert str(why.value).startswith("state.json: expected ")


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    state = RunState("failed", "ab", this_process(), 12, None, {"error": "Diverged", "found": "nan"})
    write_state(tmp_path, state)
    assert read_state(tmp_path) == state
