"""Where what arrives waits, and nobody executes it.

Rules. A quarantine is a private folder of random name, whole or absent: it is removed on any failure, on leaving, and,
where its process was killed, by the next admission (a lock that the kernel drops with the process tells which are
dead). Its files can be read by their owner alone, are never executable, and keep nothing of the source but names and
bytes. The source is only read.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from casemate.airlock.copying import AdmittedFile, copy_part, parts
from casemate.airlock.limits import Limits
from casemate.airlock.walk import Found, Source, look, open_source
from casemate.errors import DiskFull
from casemate.store.cores import Progress, Tally, on_all_cores

_LOCK = "lock"


@dataclass(frozen=True)
class Admitted:
    """What waits in quarantine: a private copy of every file with its digest, sorted by path, until `discard`."""

    folder: Path
    files: tuple[AdmittedFile, ...]
    dropped: tuple[str, ...] = ()
    _lock_fd: int = field(default=-1, repr=False, compare=False)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)

    def discard(self) -> None:
        """Remove the quarantine, or what is left of it; once done, again is nothing."""
        if self.folder.parent.exists():
            shutil.rmtree(self.folder.parent)
            os.close(self._lock_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()


def admit(source: Path, root: Path, limits: Limits | None = None, *, progress: Progress | None = None) -> Admitted:
    """Copy `source` (a folder or one file) into a new quarantine under `root`, hashing in the same pass.

    Raises InspectionRefused naming the first entry that may not come in, BadInput where there is nothing to take,
    DiskFull where there is no room; nothing is left behind then.
    """
    limits = limits or Limits()
    source_fd = open_source(source)
    with ExitStack() as undo:
        undo.callback(os.close, source_fd)
        found = look(source, source_fd, limits)
        with ExitStack() as on_failure:
            folder, lock_fd = _new_quarantine(root, on_failure)
            _check_room(folder, found.size)
            for below in found.folders:
                (folder / below).mkdir(mode=0o700)
            files = _copy_all(source_fd, found, folder, progress)
            on_failure.pop_all()
        return Admitted(folder, tuple(files), found.dropped, lock_fd)


def sweep(root: Path) -> list[str]:
    """Remove the quarantines of processes that died, and return their names."""
    if not root.is_dir():
        return []
    with _locked_root(root):
        return _sweep(root)


def _sweep(root: Path) -> list[str]:
    dead = []
    for quarantine in sorted(q for q in root.iterdir() if q.is_dir() and not q.is_symlink()):
        lock_fd = os.open(quarantine / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock_fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(quarantine)
            dead.append(quarantine.name)
        finally:
            os.close(lock_fd)
    return dead


def _new_quarantine(root: Path, on_failure: ExitStack) -> tuple[Path, int]:
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _locked_root(root):
        _sweep(root)
        quarantine = root / secrets.token_hex(16)
        quarantine.mkdir(mode=0o700)
        lock_fd = os.open(quarantine / _LOCK, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        fcntl.flock(lock_fd, fcntl.LOCK_EX)
    on_failure.callback(os.close, lock_fd)
    on_failure.callback(shutil.rmtree, quarantine)
    folder = quarantine / "files"
    folder.mkdir(mode=0o700)
    return folder, lock_fd


@contextmanager
def _locked_root(root: Path) -> Iterator[None]:
    # Between making a quarantine and locking it there is a moment in which it would look dead.
    fd = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(folder.parent.parent, expected=f"room for {needed} bytes", found=f"{free} bytes free")


def _copy_all(source_fd: int, found: Source, folder: Path, progress: Progress | None) -> list[AdmittedFile]:
    stop = threading.Event()
    tally = Tally(progress, found.size, "bytes")

    def copy(part: list[Found]) -> list[AdmittedFile]:
        with ExitStack() as on_failure:
            on_failure.callback(stop.set)  # the other parts end early, in the middle of a large file too
            done = copy_part(source_fd, part, folder, stop, tally.add)
            on_failure.pop_all()
        return done

    copied = [file for _, part in on_all_cores(copy, parts(found.files)) for file in part]
    return sorted(copied, key=lambda file: file.path)
