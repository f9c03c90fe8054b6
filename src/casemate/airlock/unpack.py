"""Archives unpacked without trusting them, nor what unpacks them.

Rules. A confined child (`unpack_child`) reads the archive and can write nothing; what it sends is written here, by
rules of our own: plain names, new files only, readable by their owner alone, never executable, never a link; hashed as
they are written. What comes out is counted against budgets as it comes, and never more than they hold is on the disk.
An archive that breaks a rule, or whose child crashes, hangs or speaks nonsense, leaves nothing behind.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from casemate.airlock.archives import BadArchiveError
from casemate.airlock.copying import AdmittedFile
from casemate.airlock.formats import MAILS
from casemate.airlock.limits import ScanLimits
from casemate.airlock.member_names import MemberNames, is_litter
from casemate.airlock.pool import BrokenScannerError, environment, epitaph
from casemate.airlock.report import Finding
from casemate.airlock.unpack_frames import DATA, read_frame
from casemate.compute.messages import Unpacker, pack
from casemate.errors import DiskFull
from casemate.store.digest import Digest

_PIPE_BYTES = 1 << 20
COMMAND = [sys.executable, "-I", "-W", "ignore", "-m", "casemate.airlock.unpack_child"]
_WRITE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class Archive:
    """An archive in quarantine: where it is, its type, what it is called, its size in bytes."""

    file: Path
    type: str
    name: str
    size: int


@dataclass(frozen=True)
class Unpacked:
    """What came out: files below the archive's own folder; or findings, and nothing."""

    files: tuple[AdmittedFile, ...]
    dropped: tuple[str, ...]
    findings: tuple[Finding, ...]
    versions: Mapping[str, str]


class Budget:
    """How many files and bytes may still come out, for all archives of a delivery or for one with all within it."""

    def __init__(self, files: int, size: int, expected: str, within: Budget | None = None) -> None:
        """`expected` words the limit on bytes; what is taken is taken from `within` too."""
        self._files, self._bytes = files, size
        self._expected = (f"at most {files} files", expected)
        self._within, self._lock = within, threading.Lock()

    @classmethod
    def of_delivery(cls, limits: ScanLimits) -> Self:
        """The budget of a whole delivery."""
        at_most = limits.max_archive_bytes
        return cls(limits.max_archive_files, at_most, f"at most {at_most} bytes unpacked in all")

    def of_archive(self, size: int, limits: ScanLimits) -> Budget:
        """The budget of an archive of `size` bytes that arrived, and of all that it holds, however deep."""
        at_most = max(limits.expands_freely_bytes, size * limits.max_expansion)
        expected = f"at most {at_most} bytes unpacked, for {size} packed"
        return Budget(limits.max_archive_files, at_most, expected, within=self)

    def take(self, *, files: int = 0, size: int = 0) -> None:
        """Take so much, or raise BadArchiveError."""
        with self._lock:
            self._files -= files
            self._bytes -= size
            if self._files < 0 or self._bytes < 0:
                raise BadArchiveError(self._expected[0 if self._files < 0 else 1], "more")
        if self._within is not None:
            self._within.take(files=files, size=size)


def unpack(archive: Archive, into: Path, budget: Budget, limits: ScanLimits) -> Unpacked:
    """Unpack into the new folder `into`; what is wrong with an archive is in the answer, a full disk is raised."""
    into.mkdir(mode=0o700, parents=True)
    writer = _Writer(into, budget)
    child = _Child(archive, limits)
    with ExitStack() as undo:
        undo.callback(shutil.rmtree, into)
        undo.callback(writer.close)
        undo.callback(child.end)
        try:
            child.run(writer)
        except (BadArchiveError, BrokenScannerError) as why:
            return Unpacked((), (), (_finding(why, limits),), child.versions)
        undo.pop_all()
    child.end()
    return Unpacked(tuple(writer.files), tuple(writer.dropped), (), child.versions)


def _finding(why: BadArchiveError | BrokenScannerError, limits: ScanLimits) -> Finding:
    if isinstance(why, BadArchiveError):
        return Finding("archive", why.expected, why.found)
    return Finding("scanner", f"unpacking that ends within {limits.memory_bytes >> 20} MiB and its time", str(why))


class _Writer:
    """What writes: one file at a time, below one folder that nobody else writes to."""

    def __init__(self, into: Path, budget: Budget) -> None:
        self.files: list[AdmittedFile] = []
        self.dropped: list[str] = []
        self.size = 0
        self._into, self._budget, self._names = into, budget, MemberNames()
        self._path, self._fd, self._sha256, self._file_size = "", -1, hashlib.sha256(), 0
        self._folders = {into}

    def begin(self, path: str) -> None:
        """A member begins; the one before has ended."""
        self.close()
        self._budget.take(files=1)
        self._path = self._names.place(path)
        if is_litter(path):
            self.dropped.append(path)
            return
        file = self._into / path
        with _disk_may_be_full(path):
            if file.parent not in self._folders:
                file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._folders.add(file.parent)
            self._fd = os.open(file, _WRITE, 0o400)
        self._sha256, self._file_size = hashlib.sha256(), 0

    def write(self, data: bytes) -> None:
        """More bytes of the member."""
        if not self._path:
            raise BrokenScannerError("an answer that cannot be read: bytes of no member")
        self._budget.take(size=len(data))
        self.size += len(data)
        if self._fd < 0:
            return
        self._sha256.update(data)
        self._file_size += len(data)
        left = memoryview(data)
        with _disk_may_be_full(self._path):
            while left:
                left = left[os.write(self._fd, left) :]

    def end(self, *, empty: bool) -> None:
        """The archive ends; BadArchiveError where nothing came out and it may not be `empty`."""
        self.close()
        if not self.files and not empty:
            raise BadArchiveError("at least one file in the archive", "none")

    def close(self) -> None:
        """The member ends."""
        if self._fd >= 0:
            os.close(self._fd)
            self.files.append(AdmittedFile(self._path, self._file_size, Digest(self._sha256.hexdigest())))
        self._path, self._fd = "", -1


@contextmanager
def _disk_may_be_full(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as why:
        if why.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise DiskFull(path, expected="room for what is unpacked", found=why.strerror) from why
        raise


class _Child:
    """The process that reads the archive."""

    def __init__(self, archive: Archive, limits: ScanLimits) -> None:
        self.versions: Mapping[str, str] = {}
        self._archive, self._limits, self._started = archive, limits, time.monotonic()
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            cwd="/",
            bufsize=0,
        )
        self._came, self._buffer = 0, bytearray()

    def run(self, writer: _Writer) -> None:
        """Hand all that the child sends to `writer`; BadArchiveError or BrokenScannerError unless it ends well."""
        self._ask()
        count = 0
        while True:
            kind, data = self._frame()
            if kind == DATA:
                writer.write(data)
                continue
            said = _said(data)
            if "member" in said:
                count += 1
                writer.begin(_text(said["member"]))
            elif "refused" in said:
                raise _refusal(said["refused"])
            elif said.get("members") == count:
                writer.end(empty=self._archive.type in MAILS)  # all that a message holds may be other messages
                return
            elif isinstance(said.get("versions"), dict):
                self.versions = {_text(name): _text(version) for name, version in said["versions"].items()}
            else:
                raise BrokenScannerError("an answer that cannot be read: it says nothing known")

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def _ask(self) -> None:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("a child without pipes")
        fcntl.fcntl(self._process.stdout, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        archive, limits = self._archive, self._limits
        most = max(limits.expands_freely_bytes, archive.size * limits.max_expansion)
        order = {
            "archive": str(archive.file.absolute()),
            "type": archive.type,
            "name": archive.name,
            "limits": asdict(limits),
            "processor_s": limits.time_for(most),
        }
        with suppress(BrokenPipeError):  # a child that is gone is noticed when its answer is awaited
            self._process.stdin.write(pack(order))

    def _frame(self) -> tuple[bytes, bytes]:
        try:
            return read_frame(self._read)
        except (ValueError, struct.error) as why:
            raise BrokenScannerError(f"an answer that cannot be read: {why}") from why

    def _read(self, size: int) -> bytes:
        if self._process.stdout is None:
            raise RuntimeError("a child without pipes")
        fd = self._process.stdout.fileno()
        while len(self._buffer) < size:
            within_s = self._limits.wait_for(self._archive.size + self._came)
            left_s = self._started + within_s - time.monotonic()
            if left_s <= 0 or not select.select([fd], [], [], left_s)[0]:
                raise BrokenScannerError(f"no end in {within_s:.3g} s")
            piece = os.read(fd, _PIPE_BYTES)
            if not piece:
                raise BrokenScannerError(epitaph(self._process))
            self._buffer += piece
            self._came += len(piece)
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data


def _said(data: bytes) -> dict[str, Any]:
    try:
        (said,) = Unpacker().feed(data)
    except (ValueError, json.JSONDecodeError) as why:
        raise BrokenScannerError(f"an answer that cannot be read: {why}") from why
    return said


def _refusal(said: object) -> BadArchiveError:
    if not isinstance(said, list) or len(said) != 2:
        raise BrokenScannerError("an answer that cannot be read: a refusal that is none")
    return BadArchiveError(_text(said[0]), _text(said[1]))


def _text(fact: object) -> str:
    if not isinstance(fact, str):
        raise BrokenScannerError("an answer that cannot be read: no text where text should be")
    return fact
