from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.compute import Metric, append_metric, read_metrics
from casemate.compute.metrics import latest, parse_lines
from casemate.errors import BadInput, Diverged


def test_what_is_reported_is_read(tmp_path: Path) -> None:
    append_metric(tmp_path, 1, 2, loss=0.5, recall=0)
    append_metric(tmp_path, 2, 2, loss=0.25)
    assert read_metrics(tmp_path) == [Metric(1, 2, {"loss": 0.5, "recall": 0.0}), Metric(2, 2, {"loss": 0.25})]
    assert (tmp_path / "metrics.jsonl").read_text() == (
        '{"step": 1, "total_steps": 2, "loss": 0.5, "recall": 0.0}\n{"step": 2, "total_steps": 2, "loss": 0.25}\n'
    )


def test_no_report_yet_is_no_report(tmp_path: Path) -> None:
    assert read_metrics(tmp_path) == []


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_divergence_and_leaves_no_line(tmp_path: Path, value: float) -> None:
    with pytest.raises(Diverged) as why:
        append_metric(tmp_path, 3, 10, loss=value)
    assert str(why.value) == f"loss at step 3 of 10: expected a finite number, found {value}"
    assert read_metrics(tmp_path) == []


@settings(deadline=None, max_examples=50)
@given(cut=st.integers(0, 200))
def test_a_line_torn_anywhere_is_cut_off_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    workdir = tmp_path_factory.mktemp("torn")
    for step in range(1, 5):
        append_metric(workdir, step, 9, loss=step)
    whole = (workdir / "metrics.jsonl").read_bytes()[:cut]
    (workdir / "metrics.jsonl").write_bytes(whole)
    before = read_metrics(workdir)
    append_metric(workdir, 9, 9, loss=9)
    assert read_metrics(workdir) == [*before, Metric(9, 9, {"loss": 9.0})]
    assert len(before) == whole.count(b"\n")


def test_a_resumed_run_takes_back_what_it_says_again() -> None:
    said = [
        Metric(step, 5, {"loss": step + again}) for step, again in [(1, 0), (2, 0), (3, 0), (4, 0), (3, 0.5), (4, 0.5)]
    ]
    assert [metric.values["loss"] for metric in latest(said)] == [1, 2, 3.5, 4.5]


def test_two_reports_of_one_step_are_put_together() -> None:
    assert latest([Metric(1, 2, {"loss": 1.0}), Metric(1, 2, {"ap50": 0.5})]) == [
        Metric(1, 2, {"loss": 1.0, "ap50": 0.5})
    ]


@pytest.mark.parametrize("line", [b"{}", b"nonsense", b"[1]", b'{"step": 1, "total_steps": 2, "loss": "low"}'])
def test_a_line_that_is_no_report_is_refused(line: bytes) -> None:
    with pytest.raises(BadInput, match="expected a step, a total and numbers in JSON on each line, found b'"):
        parse_lines(line + b"\n")
