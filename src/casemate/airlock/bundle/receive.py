"""Receiving: what a courier brings is copied once, verified while it is copied, and kept until the bundle is whole.

Rules. The caller verified the head; every other byte is held against it. What is verified is our own copy: nothing of
the source is read again. Files are renamed into place one by one, so that a cut, a bad medium or a missing volume costs
only what it hit. What is damaged is named after all that is sound was taken.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.bundle.delivery import Delivery, Span, open_delivery
from casemate.airlock.bundle.head import Head
from casemate.airlock.bundle.manifest import MANIFEST
from casemate.airlock.bundle.place import alone, sync_folder, write_whole
from casemate.airlock.bundle.terms import FileFacts
from casemate.airlock.bundle.volumes import own_files, share_out
from casemate.airlock.limits import Limits
from casemate.errors import DigestMismatch, DiskFull, InspectionRefused, NotFound
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import CHUNK_BYTES, Digest
from casemate.store.staging import full_disk_named


@dataclass(frozen=True)
class Received:
    """What has come of a bundle so far: its folder, and the files and volumes that are still missing."""

    folder: Path
    missing: tuple[str, ...]
    missing_volumes: tuple[str, ...] = ()

    @property
    def whole(self) -> bool:
        """Whether everything is there."""
        return not self.missing


def receive(
    source: Path, area: Path, head: Head, limits: Limits | None = None, progress: Progress | None = None
) -> Received:
    """Take what `source` holds of the bundle with this (verified) head into `area`, and say what is still missing.

    Any folder, archive or volume may come in any order and more than once. The first damaged file is DigestMismatch,
    once everything else was taken.
    """
    limits = limits or Limits()
    folder = area / head.digest.hex
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _refuse_too_large(head, limits)
    with alone(area / f"{head.digest.hex}.lock", "receives it"), full_disk_named(area):
        partial = area / f"{head.digest.hex}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(mode=0o700)
        with open_delivery(source, head, limits) as delivery:
            _write_own(folder, head)
            damaged = _take(delivery, folder, partial, progress)
            volume_bytes = delivery.volume.volume_bytes if delivery.volume else None
        shutil.rmtree(partial)
    if damaged is not None:
        raise damaged
    return received(area, head, volume_bytes=volume_bytes)


def forget(area: Path, head: Head) -> None:
    """Remove what is here of a bundle; for who knows that nobody receives it now."""
    for left in (area / head.digest.hex, area / f"{head.digest.hex}.partial"):
        if left.exists():
            shutil.rmtree(left)
    (area / f"{head.digest.hex}.lock").unlink(missing_ok=True)


def received(area: Path, head: Head, *, volume_bytes: int | None = None) -> Received:
    """What is there and what is missing of a bundle; volumes are named where their size is known."""
    folder = area / head.digest.hex
    missing = {file.path for file in head.manifest.files() if not _there(folder, file)}
    volumes = share_out(head, volume_bytes) if volume_bytes is not None else ()
    named = tuple(v.name for v in volumes if any(file.path in missing for file in v.files))
    return Received(folder, tuple(sorted(missing)), named)


def _refuse_too_large(head: Head, limits: Limits) -> None:
    files = list(head.manifest.files())
    size, count = sum(file.size for file in files), len(files)
    if size > limits.max_bytes or head.manifest.size > limits.max_bytes:
        found = f"{size} bytes here, {head.manifest.size} in all"
        raise InspectionRefused(MANIFEST, expected=f"at most {limits.max_bytes} bytes", found=found)
    if max(count, head.manifest.count) > limits.max_files:
        found = f"{count} files, {head.manifest.count} objects"
        raise InspectionRefused(MANIFEST, expected=f"at most {limits.max_files} files", found=found)
    largest = max(files, key=lambda file: file.size)
    if largest.size > limits.max_file_bytes:
        expected = f"at most {limits.max_file_bytes} bytes"
        raise InspectionRefused(largest.path, expected=expected, found=f"{largest.size} bytes")


def _write_own(folder: Path, head: Head) -> None:
    for below in ("parts", "statements"):
        (folder / below).mkdir(exist_ok=True, mode=0o700)
    for path, data in reversed(own_files(head, None)):
        if not (folder / path).exists():
            write_whole(folder / path, data)


def _there(folder: Path, file: FileFacts) -> bool:
    path = folder / file.path
    return path.is_file() and path.stat().st_size == file.size


def _take(
    delivery: Delivery, folder: Path, partial: Path, progress: Progress | None
) -> DigestMismatch | NotFound | None:
    """Copy what is not there yet, on all cores; the first damage is returned once all else is in place."""
    wanted = [file for file in delivery.files if not _there(folder, file)]
    needed, free = sum(file.size for file in wanted), shutil.disk_usage(folder).free
    if free < needed:
        raise DiskFull(folder.parent, expected=f"room for {needed} bytes", found=f"{free} bytes free")
    tally = Tally(progress, needed, "bytes")

    def take(numbered: tuple[int, FileFacts]) -> DigestMismatch | NotFound | None:
        number, file = numbered
        try:
            with delivery.open(file.path) as span:
                _copy(span, file, partial / str(number), tally.add)
        except (DigestMismatch, NotFound) as why:
            return why
        (partial / str(number)).rename(folder / file.path)
        return None

    damages = {number: why for (number, _), why in on_all_cores(take, enumerate(wanted)) if why is not None}
    for below in {(folder / file.path).parent for file in wanted}:
        sync_folder(below)
    return damages[min(damages)] if damages else None


def _copy(span: Span, file: FileFacts, target: Path, on_bytes: Callable[[int], None]) -> None:
    fd = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o400)
    state, at = hashlib.sha256(), 0
    try:
        while at < file.size and (data := span.read(CHUNK_BYTES, at)):
            state.update(data)
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            at += len(data)
            on_bytes(len(data))
        os.fsync(fd)
    finally:
        os.close(fd)
    refuse_other(span.name, file, at, Digest(state.hexdigest()))


def refuse_other(name: str, file: FileFacts, size: int, digest: Digest) -> None:
    """DigestMismatch naming the file unless size and digest are those of the manifest."""
    if size != file.size:
        raise DigestMismatch(name, expected=f"{file.size} bytes", found=f"{size} bytes")
    if digest != file.digest:
        raise DigestMismatch(name, expected=file.digest, found=digest)
