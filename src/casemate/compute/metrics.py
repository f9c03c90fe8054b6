"""What a run reports as it goes: `metrics.jsonl`, one JSON object a line, one line a report.

Rules. A line is whole or not there: a line torn by kill -9 is cut off before the next one is written and never read.
A run that resumes from a checkpoint reports some steps again; what it says last is what counts. A value that is not a
finite number is the end of a run (Diverged), not a line.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from casemate.errors import BadInput, Diverged

FILE = "metrics.jsonl"


@dataclass(frozen=True)
class Metric:
    """What was reported at `step` of `total_steps`."""

    step: int
    total_steps: int
    values: Mapping[str, float]


def append_metric(workdir: Path, step: int, total_steps: int, **values: float) -> None:
    """Report values at a step; whoever follows the run sees them at once."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise Diverged(f"{name} at step {step} of {total_steps}", expected="a finite number", found=value)
    line = json.dumps({"step": step, "total_steps": total_steps, **{k: float(v) for k, v in sorted(values.items())}})
    fd = os.open(workdir / FILE, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        _cut_torn_line(fd)
        os.write(fd, line.encode("ascii") + b"\n")
    finally:
        os.close(fd)


def read_metrics(workdir: Path) -> list[Metric]:
    """One Metric a step, in order of steps; where a resumed run said a step again, its last word."""
    file = workdir / FILE
    return latest(parse_lines(file.read_bytes() if file.is_file() else b"", source=str(file)))


def parse_lines(data: bytes, *, source: str = FILE) -> list[Metric]:
    """The reports in whole lines of `data`; what follows the last newline is not one yet."""
    return [_parse(line, source) for line in data.split(b"\n")[:-1]]


def latest(metrics: Iterable[Metric]) -> list[Metric]:
    """Reports of one step put together; a report of an earlier step takes back those of later steps."""
    kept: list[Metric] = []
    for metric in metrics:
        while kept and kept[-1].step > metric.step:
            kept.pop()
        if kept and kept[-1].step == metric.step:
            before = kept.pop()
            kept.append(Metric(metric.step, metric.total_steps, {**before.values, **metric.values}))
        else:
            kept.append(metric)
    return kept


def _parse(line: bytes, source: str) -> Metric:
    try:
        facts = json.loads(line)
        step, total = facts.pop("step"), facts.pop("total_steps")
        return Metric(int(step), int(total), {str(name): float(value) for name, value in facts.items()})
    except (ValueError, TypeError, KeyError, AttributeError) as why:
        raise BadInput(
            source, expected="a step, a total and numbers in JSON on each line", found=repr(line[:80])
        ) from why


def _cut_torn_line(fd: int) -> None:
    size = os.fstat(fd).st_size
    start = max(0, size - 65536)
    tail = os.pread(fd, size - start, start)
    if tail and not tail.endswith(b"\n"):
        os.ftruncate(fd, start + tail.rfind(b"\n") + 1)
