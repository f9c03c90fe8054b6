"""ClamAV, through the socket of its daemon: every file sent to it, and a file that it did not read is refused.

Rules. The daemon is on this machine, behind a Unix socket that the site names; it is sent bytes, never paths, so that
it needs no right to read the quarantine. It is asked for its version first, which is in the report. An antivirus that
was asked for and does not answer, is too slow, or ends oddly is a finding on every file that it did not read. Files
larger than it takes at once are sent in pieces that overlap, and a note says so.
Source: clamd(8), commands zVERSION and zINSTREAM.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.airlock.copying import AdmittedFile
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

NAME = "clamav"
OVERLAP_BYTES = 1 << 20
_CHUNK_BYTES = 1 << 18
_MAX_ANSWER_BYTES = 4096
_VERSION_S = 10.0
_EXPECTED = "an antivirus that reads the file whole, within its time"


class BrokenAntivirusError(RuntimeError):
    """A daemon that does not answer, or answers oddly: the reason, as a finding's `found`."""


class ClamAV:
    """A daemon's socket, and how often it failed."""

    def __init__(self, address: Path, limits: ScanLimits) -> None:
        """Ask for the version; a daemon that does not tell it is not asked again."""
        self._address, self._limits = address, limits
        self._failures, self._lock = 0, threading.Lock()
        self._dead = ""
        try:
            self.version = self._ask_version()
        except BrokenAntivirusError as why:
            self.version, self._dead = "no answer", str(why)

    @property
    def versions(self) -> dict[str, str]:
        """The daemon's version, with that of its signatures."""
        return {NAME: self.version}

    def read(self, folder: Path, file: AdmittedFile) -> list[Finding]:
        """What the daemon says of a file of a quarantine."""
        if self._dead:
            return [Finding("antivirus", _EXPECTED, self._dead)]
        try:
            return self._read(folder / file.path, file.size)
        except BrokenAntivirusError as why:
            with self._lock:
                self._failures += 1
                if self._failures >= self._limits.max_failures:
                    self._dead = f"not read: the antivirus failed {self._failures} times before"
            return [Finding("antivirus", _EXPECTED, str(why))]

    def _ask_version(self) -> str:
        with self._connected(_VERSION_S) as daemon:
            daemon.sendall(b"zVERSION\0")
            answer = _answer(daemon)
        if not answer.startswith("ClamAV "):
            raise BrokenAntivirusError(f"no version of ClamAV: {answer[:60]!a}")
        return answer

    def _read(self, file: Path, size: int) -> list[Finding]:
        findings = []
        window_bytes = self._limits.antivirus_window_bytes
        pieces = (
            range(0, max(1, size - OVERLAP_BYTES), window_bytes - OVERLAP_BYTES) if size > window_bytes else range(1)
        )
        for start in pieces:
            answer = self._send(file, start, min(window_bytes, size - start))
            virus = _virus(answer)
            if virus:
                return [Finding("antivirus", "no virus that ClamAV knows", virus)]
        if len(pieces) > 1:
            found = f"read in {len(pieces)} pieces of {window_bytes >> 20} MiB"
            findings.append(Finding("antivirus", "a file that the antivirus reads at once", found, note=True))
        return findings

    def _send(self, file: Path, start: int, length: int) -> str:
        with file.open("rb") as stream, self._connected(self._limits.time_for(length)) as daemon:
            stream.seek(start)
            daemon.sendall(b"zINSTREAM\0")
            left = length
            try:
                while left:
                    data = stream.read(min(left, _CHUNK_BYTES))
                    if not data:
                        raise RuntimeError(f"{file}: a file of a quarantine that has shrunk")
                    daemon.sendall(struct.pack(">I", len(data)) + data)
                    left -= len(data)
                daemon.sendall(struct.pack(">I", 0))
            except (BrokenPipeError, ConnectionResetError):
                pass  # it said why before it hung up
            return _answer(daemon)

    @contextmanager
    def _connected(self, within_s: float) -> Iterator[socket.socket]:
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as daemon:
                daemon.settimeout(within_s)
                daemon.connect(str(self._address))
                yield daemon
        except TimeoutError as why:
            raise BrokenAntivirusError(f"no answer in {within_s:.3g} s") from why
        except OSError as why:
            raise BrokenAntivirusError(f"no answer at {self._address}: {why.strerror or why}") from why


def _answer(daemon: socket.socket) -> str:
    """What the daemon says until it ends with a zero byte or hangs up."""
    said = b""
    while not said.endswith(b"\0"):
        data = daemon.recv(_MAX_ANSWER_BYTES)
        if not data or len(said) > _MAX_ANSWER_BYTES:
            raise BrokenAntivirusError(f"it hung up after {said[-100:]!a}" if said else "it hung up without an answer")
        said += data
    return said.removesuffix(b"\0").decode("utf-8", "replace").strip()


def _virus(answer: str) -> str:
    """The name of what was found, or nothing; BrokenAntivirusError for an answer that is neither."""
    said = answer.removeprefix("stream: ")
    if said == "OK":
        return ""
    if said.endswith(" FOUND"):
        return said.removesuffix(" FOUND")[:200]
    raise BrokenAntivirusError(f"it answered {answer[:200]!a}")
