"""A scanner that crashes, hangs, is missing or talks nonsense is a refusal that says so, and stops nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from casemate.airlock import AdmittedFile, ScanLimits, child
from casemate.airlock.limits import ScanLimits as Limits
from casemate.airlock.pool import Answer, BrokenScannerError, Crew
from casemate.compute.messages import Unpacker, pack
from casemate.store.digest import Digest
from tests.airlock.conftest import Arrive, Inspected, picture, scene
from tests.airlock.test_inspect import findings


def children() -> list[int]:
    """Scanning processes started by this one."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            status = (process / "stat").read_text().rpartition(") ")[2].split()
            if int(status[1]) == os.getpid() and b"casemate.airlock.child" in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def slow_scene(folder: Path, name: str) -> None:
    """A scene that takes some seconds to decode."""
    folder.mkdir(exist_ok=True)
    scene(folder / name, side_px=1800, dtype="float64", bands=2, compress="lzw")


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGSEGV])
def test_a_scanner_that_dies_is_a_finding_about_the_file_it_was_reading(
    arrive: Arrive, inspected: Inspected, sent: signal.Signals
) -> None:
    folder = arrive({"before.png": picture("PNG"), "z-after.png": picture("PNG")})
    slow_scene(folder, "slow.tif")
    stopped, killed = threading.Event(), []

    def kill_once_it_reads() -> None:
        while not stopped.is_set():
            for pid in children():
                held = Path(f"/proc/{pid}/fd")
                try:
                    reads = any(fd.readlink().name == "slow.tif" for fd in held.iterdir())
                except OSError:
                    reads = False
                if reads and killed in (
                    [],
                    [pid],
                ):  # again: a handler of WebAssembly lets one SIGSEGV pass that is no fault
                    os.kill(pid, sent)
                    killed[:] = [pid]
            time.sleep(0.005)

    killer = threading.Thread(target=kill_once_it_reads)
    killer.start()
    try:
        report = inspected(folder)
    finally:
        stopped.set()
        killer.join()
    assert killed
    expected = "expected a scanner that ends within 3072 MiB and its time"
    assert findings(report) == {"slow.tif": f"{expected}, found the scanner crashed: killed by {sent.name}"}
    assert len(report.files) == 3
    assert children() == []


def test_a_scanner_that_takes_too_long_is_a_finding(tmp_path: Path, inspected: Inspected) -> None:
    slow_scene(tmp_path / "arrived", "slow.tif")
    hurried = ScanLimits(workers=1, time_s=0.005, slowest_bytes_per_s=1 << 40)
    (found,) = findings(inspected(tmp_path / "arrived", limits=hurried)).values()
    assert found == "expected a scanner that ends within 3072 MiB and its time, found no answer in 0.02 s"
    assert children() == []


def test_after_many_broken_scanners_the_rest_is_refused_unread(arrive: Arrive, inspected: Inspected) -> None:
    folder = arrive({f"{i}.txt": b"x" for i in range(4)})
    hopeless = ScanLimits(workers=1, time_s=0, slowest_bytes_per_s=1 << 60, max_failures=2)
    found = findings(inspected(folder, limits=hopeless, allowed=frozenset({"text"})))
    expected = "expected a scanner that ends within 3072 MiB and its time, found"
    assert list(found) == ["0.txt", "1.txt", "2.txt", "3.txt"]
    assert sorted(found.values()) == [
        *[f"{expected} no answer in {4 / (1 << 60):.3g} s"] * 2,
        *[f"{expected} not read: scanners broke 2 times before"] * 2,
    ]


class Scripted:
    """A child that answers from a list and breaks where the list says so."""

    def __init__(self, script: list[Any]) -> None:
        self.script, self.sent, self.ended = script, [], False  # type: ignore[var-annotated]

    def hello(self, within_s: float) -> dict[str, Any]:
        return self.receive(within_s)

    def send(self, message: Mapping[str, Any]) -> None:
        self.sent.append(message["path"])

    def receive(self, _within_s: float) -> dict[str, Any]:
        said = self.script.pop(0)
        if isinstance(said, str):
            raise BrokenScannerError(said)
        return dict(said)

    def end(self) -> None:
        self.ended = True


def clean(path: str) -> dict[str, Any]:
    return {"path": path, "type": "text", "scanners": ["plain_text"], "findings": []}


def files(*paths: str) -> list[AdmittedFile]:
    return [AdmittedFile(path, 1, Digest.of_bytes(b"x")) for path in paths]


def test_a_broken_child_is_replaced_and_the_files_sent_ahead_are_sent_again() -> None:
    started = [Scripted([{}, clean("a"), "it broke"]), Scripted([{}, clean("c"), clean("d")])]
    children_left = list(started)
    crew = Crew(lambda: children_left.pop(0), files("a", "b", "c", "d"), Limits(), lambda: None)  # type: ignore[arg-type, return-value]
    crew.labour()
    assert started[0].sent == ["a", "b", "c", "d"]
    assert started[1].sent == ["c", "d"]
    assert [child.ended for child in started] == [True, True]
    assert {path: bool(answer.findings) for path, answer in crew.answers.items()} == {
        "a": False,
        "b": True,
        "c": False,
        "d": False,
    }


@pytest.mark.parametrize(
    "nonsense",
    [
        {},
        {"path": "a"},
        clean("other"),
        clean("a") | {"findings": [{"rule": "x"}]},
        clean("a") | {"findings": None},
        clean("a") | {"type": 7},
        clean("a") | {"scanners": None},
        clean("a") | {"scanners": [7]},
    ],
)
def test_an_answer_that_is_none_is_a_broken_scanner(nonsense: dict[str, Any]) -> None:
    with pytest.raises(BrokenScannerError, match=r"an answer that (cannot be read|is not about this file)"):
        Answer.of(nonsense, "a")


def test_a_type_whose_scanner_is_missing_is_refused(arrive: Arrive, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = arrive({"a.txt": b"x"})
    monkeypatch.setattr(child.scanners, "names", lambda: ["image"])
    answer = child.look(folder, "a.txt", frozenset({"text"}), ScanLimits())
    expected = {"rule": "scanner", "expected": "a scanner named plain_text", "found": "none", "note": False}
    assert answer["findings"] == [expected]


def test_messages_survive_any_cut_and_a_stream_that_is_none_is_an_error() -> None:
    messages = [{"a": "é" * 100}, {}, {"b": [1, 2]}]
    stream = b"".join(pack(m) for m in messages)
    unpacker = Unpacker()
    assert [m for i in range(0, len(stream), 3) for m in unpacker.feed(stream[i : i + 3])] == messages
    with pytest.raises(ValueError, match="a message of 1195725856 bytes"):
        Unpacker().feed(b"GET / HTTP")
    with pytest.raises(ValueError, match="no object"):
        Unpacker().feed(b"\0\0\0\2[]")
