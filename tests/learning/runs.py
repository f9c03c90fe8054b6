"""Runs of any modality in processes of their own, killed or several together: for the tests of training."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_ALONE = """
import sys
from pathlib import Path
from casemate.compute.plan import Plan
from casemate.modalities import find
folder = Path(sys.argv[1])
plan = Plan.read(folder)
find(plan.modality).train.run(plan, folder)
"""


def killed_at(workdir: Path, reports: int) -> None:
    """Run in a process of its own, killed with SIGKILL once there are as many reports."""
    process = subprocess.Popen([sys.executable, "-c", _ALONE, str(workdir)])
    metrics = workdir / "metrics.jsonl"
    until = time.monotonic() + 120
    while not (metrics.is_file() and len(metrics.read_bytes().splitlines()) >= reports):
        assert process.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < until, "the run never reported its step"
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (workdir / "outputs" / "model.safetensors").exists()


def together(workdir: Path, processes: int = 2) -> None:
    """Run as several processes that share the work, to the end."""
    script = workdir.parent / "alone.py"
    script.write_text(_ALONE)
    argv = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--local-addr=127.0.0.1"]
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    command = [*argv, f"--nproc-per-node={processes}", str(script), str(workdir)]
    subprocess.run(command, env=environment, check=True, capture_output=True, timeout=300)


def figures(workdir: Path, name: str) -> list[float]:
    """The values of one metric, step by step."""
    lines = [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]
