"""A version as a folder again: every file verified, shared with the store where the file system can.

Rules. A reflink where there are reflinks, else a hard link (read-only, the same bytes as the object: hence digested
again while linking), else a copy. The folder appears whole, by rename, under a name that was free.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

from casemate.errors import BadInput, DigestMismatch
from casemate.store.copying import READ_ONLY, copy_digested, reflink, write_digested
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import CHUNK_BYTES, Digest, open_regular
from casemate.store.manifest import Manifest, ManifestFile
from casemate.store.objects import KeepsFiles, ObjectStore, missing
from casemate.store.staging import full_disk_named, staging, sweep

_PREFIX = ".checkout-"
_NO_LINK = {errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP}


def checkout(store: ObjectStore, manifest: Manifest, folder: Path, *, progress: Progress | None = None) -> Path:
    """Lay the files of `manifest` out in `folder`, which must not exist; wrong bytes are DigestMismatch, no folder."""
    if os.path.lexists(folder):
        raise BadInput(folder, expected="a name that is free", found="something there already")
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent, _PREFIX)
    tally = Tally(progress, manifest.size, "bytes")
    with staging(folder.parent, _PREFIX) as place, full_disk_named(folder.parent):
        whole = place / "whole"
        whole.mkdir(mode=0o700)
        for parent in sorted({file.path.rpartition("/")[0] for file in manifest.files} - {""}):
            (whole / parent).mkdir(parents=True, exist_ok=True, mode=0o700)
        lay = _lay_shared(store, whole, tally) if isinstance(store, KeepsFiles) else _lay_streamed(store, whole, tally)
        for _ in on_all_cores(lay, manifest.files):
            pass
        whole.rename(folder)
    return folder


def _lay_shared(store: KeepsFiles, whole: Path, tally: Tally) -> Callable[[ManifestFile], None]:
    tried: dict[str, bool] = {}  # whether this file system has reflinks: one question for the whole folder

    def lay(file: ManifestFile) -> None:
        source, target = store.path(file.digest), f"{whole}/{file.path}"
        if not source.exists():
            raise missing(file.digest)
        if not tried.get("no reflink") and _reflinked(source, target):
            _verify(file, Path(target), Digest.of_file(Path(target), on_bytes=tally.add))
            return
        tried["no reflink"] = True
        try:
            os.link(source, target)
        except OSError as why:
            if why.errno not in _NO_LINK:
                raise
            _verify(file, Path(target), copy_digested(source, target, on_bytes=tally.add))
            return
        _verify(file, Path(target), Digest.of_file(Path(target), on_bytes=tally.add))

    return lay


def _lay_streamed(store: ObjectStore, whole: Path, tally: Tally) -> Callable[[ManifestFile], None]:
    def lay(file: ManifestFile) -> None:
        fd = os.open(whole / file.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READ_ONLY)
        try:
            with store.open(file.digest) as stream:
                write_digested(lambda: stream.read(CHUNK_BYTES), fd, on_bytes=tally.add)
        finally:
            os.close(fd)
        _verify(file, whole / file.path, file.digest)  # the store verified the digest; the size is the manifest's word

    return lay


def _reflinked(source: Path, target: str) -> bool:
    source_fd, _ = open_regular(source)
    target_fd = os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, READ_ONLY)
    try:
        done = reflink(source_fd, target_fd)
    finally:
        os.close(target_fd)
        os.close(source_fd)
    if not done:
        Path(target).unlink()
    return done


def _verify(file: ManifestFile, laid: Path, found: Digest) -> None:
    size = laid.stat().st_size
    if size != file.size and found == file.digest:
        raise DigestMismatch(file.path, expected=f"{file.size} bytes", found=f"{size} bytes")
    if found != file.digest:
        raise DigestMismatch(file.path, expected=file.digest, found=found)
