"""However fast inspection is, every byte of every format is held against every rule."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.airlock import ScanLimits, admit, scanners
from casemate.airlock.formats import FORMATS, IMAGERY
from casemate.airlock.inspect import inspect
from casemate.airlock.pool import Order
from casemate.airlock.rounds import worth_starting
from casemate.airlock.scanners import types_of
from tests.airlock.archives import zipped
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.samples import makers
from tests.airlock.test_broken_scanners import files
from tests.airlock.test_pickles import REDUCE, STACKED
from tests.airlock.test_yara_rules import EICAR

ALL = frozenset(FORMATS)


@pytest.mark.parametrize(
    ("hidden", "rule"),
    [(EICAR, "eicar_test_file"), (REDUCE, "pickle_that_calls_the_system"), (STACKED, "pickle_that_calls_the_system")],
)
def test_what_is_hidden_at_the_end_of_any_format_is_found(
    hidden: bytes, rule: str, arrive: Arrive, inspected: Inspected
) -> None:
    made = {f"{name}.{max(FORMATS[name].endings)}": make() + b"\n" + hidden for name, make in makers().items()}
    report = inspected(arrive(made), allowed=ALL)
    assert len(report.files) == len(FORMATS)
    for file in report.files:
        if file.scanners == ("formats",):  # no text any more, and refused for that
            assert "unknown binary" in file.findings[0].found, file.path
            continue
        assert set(file.scanners) >= set(scanners.of_every_file()), file.path
        expected = {x.expected for x in file.findings if x.rule == "yara" and not x.note}
        assert f"no match of the rule {rule}" in expected, file.path


def test_the_types_that_a_delivery_can_hold_are_those_that_agree_with_its_names() -> None:
    assert types_of(["a/b.PNG", "c.jpeg", "README"], ALL) == {"png", "jpeg", "text"}
    assert types_of(["a.png", "b.onnx", "c.zip", "d.exe"], IMAGERY | {"zip"}) == {"png"}
    for name, made in FORMATS.items():
        assert all(name in types_of([f"a.{end}" if end else "a"], ALL) for end in made.endings)


def test_only_the_scanners_that_a_delivery_needs_are_loaded_and_a_round_that_needs_more_gets_them(
    arrive: Arrive, inspected: Inspected
) -> None:
    every = set(scanners.of_every_file())
    alone = inspected(arrive({"a.txt": b"text\n"}), allowed=ALL)
    assert alone.scanners.keys() == every | {"plain_text"}
    packed = {"b.zip": zipped({"in.png": picture("PNG"), "in.json": b"{}"})}
    report = inspected(arrive(packed), allowed=ALL | {"zip"}, limits=ScanLimits(workers=2))
    assert report.clean, report.refused
    assert report.scanners.keys() == every | {"plain_text", "image", "json_text", "unpack"}


def test_bytes_of_a_type_that_no_name_announced_are_refused_for_their_name(tmp_path: Path, arrive: Arrive) -> None:
    with admit(arrive({"a.txt": makers()["pdf"]()}), tmp_path / "quarantine") as admitted:
        (line,) = inspect(admitted, allowed=ALL).files
    assert [(x.expected, x.found) for x in line.findings] == [
        ("a name ending in .pdf, as its bytes are pdf", ".txt"),
    ]


def test_no_more_processes_are_started_than_there_is_work_for() -> None:
    assert worth_starting(files("a")) == 1
    assert worth_starting(files(*(str(i) for i in range(300)))) == 2
    assert worth_starting(files(*(str(i) for i in range(20_000)))) > 64


def test_an_order_says_what_to_load_for() -> None:
    said = Order(frozenset({"text", "png"}), ScanLimits(), "rules", frozenset({"png"})).to_json()
    assert (said["allowed"], said["types"], said["rules"]) == (["png", "text"], ["png"], "rules")
