from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from casemate.compute import confine
from casemate.compute.launch import confined_argv
from casemate.compute.processes import process

_SAYS = """
import os
from pathlib import Path
print(oct(os.umask(0)))
print(*[line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("NoNewPrivs")])
"""


def test_a_confined_program_writes_for_its_owner_and_gains_no_privilege() -> None:
    argv = confined_argv((sys.executable, "-c", _SAYS), os.getpid())
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[1:] == ["0o77", "NoNewPrivs:\t1"]


def test_a_program_whose_keeper_is_gone_does_not_start() -> None:
    done = subprocess.run(confined_argv(("/bin/true",), 1), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "casemate: the keeper of this run is gone\n"


def test_a_confined_program_dies_with_its_keeper(tmp_path: Path) -> None:
    code = f"""
import os, subprocess, sys, time
sys.path.insert(0, {str(Path(confine.__file__).parents[2])!r})
from casemate.compute.launch import confined_argv
child = subprocess.Popen(confined_argv(("sleep", "600"), os.getpid()), stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as keeper:
        assert keeper.stdout
        confined = process(int(keeper.stdout.readline()))
        assert confined
        keeper.send_signal(signal.SIGKILL)
    while confined.alive():
        time.sleep(0.01)


def test_a_kernel_that_gives_no_network_namespace_is_said_and_the_program_runs() -> None:
    """In a user namespace of our own we may forbid further network namespaces."""
    unshare = shutil.which("unshare") or "/bin/false"
    argv = [unshare, "--user", "--map-root-user", "sh", "-c", "true"]
    if subprocess.run(argv, capture_output=True, check=False).returncode != 0:
        pytest.skip("no user namespace may be made here")
    keeper = f"""
import os, subprocess, sys
from pathlib import Path
Path("/proc/sys/user/max_net_namespaces").write_text("0")
sys.exit(subprocess.call([sys.executable, "-I", "-S", {confine.__file__!r}, str(os.getpid()), "/bin/echo", "ran"]))
"""
    argv = [unshare, "--user", "--map-root-user", sys.executable, "-c", keeper]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert said == "casemate: network: not confined by the kernel here (No space left on device)\nran\n"
