"""An antivirus that was asked for reads every file, or the file is refused."""

from __future__ import annotations

import hashlib
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from casemate.airlock import ScanLimits
from casemate.airlock.formats import ARCHIVES
from tests.airlock.archives import zipped
from tests.airlock.conftest import Arrive, Inspected
from tests.airlock.test_inspect import findings
from tests.airlock.test_yara_rules import EICAR

EXPECTED = "expected an antivirus that reads the file whole, within its time, found"
VERSION = b"ClamAV 1.4.6/27800/Wed Nov 25 09:00:00 2026\0"


class FakeClamd:
    """A daemon that speaks clamd's protocol, and answers each file by a function."""

    def __init__(self, answer: Callable[[bytes], bytes], version: bytes = VERSION) -> None:
        self.streams: list[bytes] = []
        self._answer, self._version = answer, version
        self._folder = tempfile.mkdtemp(prefix="clamd")  # a socket's path is short
        self.address = Path(self._folder) / "s"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.address))
        self._listener.listen(64)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        shutil.rmtree(self._folder)

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._speak, args=(client,), daemon=True).start()

    def _speak(self, client: socket.socket) -> None:
        with client, client.makefile("rb") as stream:
            command = b""
            while not command.endswith(b"\0"):
                command += stream.read(1)
            if command == b"zVERSION\0":
                client.sendall(self._version)
                return
            data = b""
            while length := struct.unpack(">I", stream.read(4))[0]:
                data += stream.read(length)
            self.streams.append(data)
            with suppress(BrokenPipeError):  # who gave up waiting
                client.sendall(self._answer(data))


@pytest.fixture
def clamd() -> Iterator[Callable[..., FakeClamd]]:
    """Start fake daemons that end with the test."""
    started: list[FakeClamd] = []

    def start(answer: Callable[[bytes], bytes], **options: bytes) -> FakeClamd:
        started.append(FakeClamd(answer, **options))
        return started[-1]

    yield start
    for daemon in started:
        daemon.close()


def by_eicar(data: bytes) -> bytes:
    return b"stream: Eicar-Test-Signature FOUND\0" if EICAR in data else b"stream: OK\0"


def test_every_file_is_sent_and_the_version_is_in_the_report(
    arrive: Arrive, inspected: Inspected, clamd: Callable[..., FakeClamd]
) -> None:
    daemon = clamd(by_eicar)
    files = {"a.txt": b"fine", "empty.txt": b"", "bad.bin": b"\0" + EICAR, "z.zip": zipped({"in.txt": b"inside"})}
    report = inspected(
        arrive(files), antivirus=daemon.address, allowed=frozenset({"text", "zip"}), limits=ScanLimits(workers=1)
    )
    assert sorted(daemon.streams) == sorted([*files.values(), b"inside"])
    assert findings(report).keys() == {"bad.bin"}
    assert findings(report)["bad.bin"].endswith("expected no virus that ClamAV knows, found Eicar-Test-Signature")
    assert report.scanners["clamav"] == {"clamav": VERSION.decode().removesuffix("\0")}
    assert all("clamav" in f.scanners for f in report.files)


def test_without_being_asked_for_no_antivirus_reads(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({"a.txt": b"fine"}))
    assert report.clean
    assert "clamav" not in report.scanners


def test_an_antivirus_that_is_not_there_refuses_every_file(
    arrive: Arrive, inspected: Inspected, tmp_path: Path
) -> None:
    absent = Path("/nowhere/clamd.sock")
    report = inspected(arrive({"a.txt": b"x", "b.txt": b"y"}), antivirus=absent)
    said = f"{EXPECTED} no answer at /nowhere/clamd.sock: No such file or directory"
    assert findings(report) == {"a.txt": said, "b.txt": said}
    assert report.scanners["clamav"] == {"clamav": "no answer"}


def test_what_is_no_clamav_refuses_every_file(
    arrive: Arrive, inspected: Inspected, clamd: Callable[..., FakeClamd]
) -> None:
    daemon = clamd(by_eicar, version=b"HTTP/1.1 400 Bad Request\0")
    report = inspected(arrive({"a.txt": b"x"}), antivirus=daemon.address)
    assert findings(report) == {"a.txt": f"{EXPECTED} no version of ClamAV: 'HTTP/1.1 400 Bad Request'"}
    assert daemon.streams == []


ODD = {
    b"stream: INSTREAM size limit exceeded. ERROR\0": "it answered 'stream: INSTREAM size limit exceeded. ERROR'",
    b"INSTREAM size limit exceeded. ERROR\0": "it answered 'INSTREAM size limit exceeded. ERROR'",
    b"": "it hung up without an answer",
    b"stream: O": "it hung up after b'stream: O'",
    b"stream: OK but\0": "it answered 'stream: OK but'",
    b"\0": "it answered ''",
    b"x" * 10_000: "it hung up after b'" + "x" * 100 + "'",
}


@pytest.mark.parametrize("answer", ODD, ids=range(len(ODD)))
def test_an_odd_answer_refuses_the_file(
    answer: bytes, arrive: Arrive, inspected: Inspected, clamd: Callable[..., FakeClamd]
) -> None:
    daemon = clamd(lambda data: by_eicar(data) if data != b"odd" else answer)
    report = inspected(arrive({"a.txt": b"fine", "odd.txt": b"odd"}), antivirus=daemon.address)
    assert findings(report) == {"odd.txt": f"{EXPECTED} {ODD[answer]}"}


def test_an_antivirus_that_is_too_slow_refuses_the_file_and_at_last_all(
    arrive: Arrive, inspected: Inspected, clamd: Callable[..., FakeClamd]
) -> None:
    given_up = threading.Event()

    def hang(_data: bytes) -> bytes:
        given_up.wait(30)
        return b"stream: OK\0"

    daemon = clamd(hang)
    hurried = ScanLimits(workers=1, time_s=1.5, slowest_bytes_per_s=1 << 50, max_failures=2)
    try:
        report = inspected(arrive({f"{i}.txt": b"x" for i in range(8)}), antivirus=daemon.address, limits=hurried)
    finally:
        given_up.set()
    said = sorted(set(findings(report).values()))
    assert len(report.refused) == 8
    assert said[0] == f"{EXPECTED} no answer in 1.5 s"
    assert all("not read: the antivirus failed" in other for other in said[1:])


def test_a_file_too_large_to_send_at_once_is_sent_in_pieces_that_overlap_and_a_note_says_so(
    arrive: Arrive, inspected: Inspected, clamd: Callable[..., FakeClamd]
) -> None:
    daemon = clamd(by_eicar)
    limits = ScanLimits(workers=1, antivirus_window_bytes=2 << 20)
    across = b"-" * ((2 << 20) - 20) + EICAR + b"-" * (1 << 20)
    report = inspected(
        arrive({"big.txt": b"-" * (4 << 20), "split.txt": across}), antivirus=daemon.address, limits=limits
    )
    lines = {f.path: f for f in report.files}
    assert lines["big.txt"].clean
    assert [f"{x.expected}; {x.found}; {x.note}" for x in lines["big.txt"].findings] == [
        "a file that the antivirus reads at once; read in 3 pieces of 2 MiB; True"
    ]
    assert "found Eicar-Test-Signature" in findings(report)["split.txt"]
    assert max(map(len, daemon.streams)) == 2 << 20


# ── The real one ─────────────────────────────────────────────────────────────────────────────────────────────────────
MARK = b"casemate-test-virus-0123456789"


@pytest.fixture(scope="module")
def real_clamd() -> Iterator[Path]:
    """ClamAV's own daemon with a database of our own, on a private socket."""
    program = shutil.which("clamd") or shutil.which("clamd", path="/usr/sbin:/usr/local/sbin")
    if program is None:
        pytest.skip("clamd is not installed")
    with tempfile.TemporaryDirectory(prefix="clamd") as name:
        folder = Path(name)
        (folder / "db").mkdir()
        (folder / "db/own.ndb").write_text(f"Casemate.Test.Mark:0:*:{MARK.hex()}\n")
        (folder / "db/own.hdb").write_text(f"{hashlib.md5(EICAR).hexdigest()}:{len(EICAR)}:Eicar-Own\n")  # noqa: S324
        (folder / "clamd.conf").write_text(
            f"LocalSocket {folder}/s\nDatabaseDirectory {folder}/db\nForeground yes\nLogFile {folder}/log\n"
            f"TemporaryDirectory {folder}\nOfficialDatabaseOnly no\nMaxThreads 2\n"
        )
        daemon = subprocess.Popen(
            [program, f"--config-file={folder}/clamd.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            until = time.monotonic() + 60
            while not (folder / "s").exists():
                assert daemon.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, "clamd did not open its socket"
                time.sleep(0.05)
            yield folder / "s"
        finally:
            daemon.terminate()
            daemon.wait()


def test_the_real_daemon_finds_the_test_file_and_a_signature_of_our_own_in_archives_too(
    real_clamd: Path, arrive: Arrive, inspected: Inspected
) -> None:
    files = {
        "eicar.txt": EICAR,
        "fine.txt": b"nothing here",
        "mark.txt": b"before " + MARK + b" after",
        "z.zip": zipped({"deep/mark.txt": MARK + b" inside" * 100}, zipfile.ZIP_DEFLATED),
    }
    allowed = frozenset({"text"}) | frozenset(ARCHIVES)
    report = inspected(arrive(files), antivirus=real_clamd, allowed=allowed)
    found = findings(report)
    assert "expected no virus that ClamAV knows, found Eicar-Own" in found["eicar.txt"]
    assert found["mark.txt"] == "expected no virus that ClamAV knows, found Casemate.Test.Mark.UNOFFICIAL"
    assert found["z.zip"].startswith("expected no virus that ClamAV knows, found Casemate.Test.Mark.UNOFFICIAL")
    assert "fine.txt" not in found
    assert report.scanners["clamav"]["clamav"].startswith("ClamAV ")


def test_the_real_daemon_reads_pieces_as_large_as_we_send(
    real_clamd: Path, arrive: Arrive, inspected: Inspected
) -> None:
    size = ScanLimits().antivirus_window_bytes + 1000
    report = inspected(arrive({"a.txt": b"0123456789abcde\n" * (size // 16)}), antivirus=real_clamd)
    (line,) = report.files
    assert line.clean
    assert line.findings[-1].found == "read in 2 pieces of 96 MiB"
