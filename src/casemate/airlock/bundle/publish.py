"""A finished bundle laid out where it will be carried from: as a folder, an archive, or volumes of either.

Rules. What makes a folder a bundle, the manifest's envelope, comes last; an archive or a volume appears by one rename.
Laying out goes on where it was cut: what is in place already is left, what was moved already is not missed.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from casemate.airlock.bundle.head import Head
from casemate.airlock.bundle.place import sync_folder, write_whole
from casemate.airlock.bundle.terms import FileFacts
from casemate.airlock.bundle.ustar import END, header, padding
from casemate.airlock.bundle.volumes import Volume, own_files, share_out
from casemate.errors import DigestMismatch
from casemate.store.copying import copy_digested
from casemate.store.digest import CHUNK_BYTES, Digest, open_regular

Take = Callable[[FileFacts, Path], None]


def publish(
    head: Head, source: Path, into: Path, work: Path, *, volume_bytes: int | None, as_tar: bool, move: bool
) -> tuple[Path, ...]:
    """Lay the bundle whose files are in `source` out in `into`; with `move`, `source` is used up. `work` is scratch."""
    volumes: Sequence[Volume | None] = [None] if volume_bytes is None else share_out(head, volume_bytes)
    take = _move(source) if move else _copy(source)
    if volume_bytes is None and not as_tar:
        _lay_folder(head, None, into, take)
        return (into,)
    targets = places_of(head, into, volume_bytes=volume_bytes, as_tar=as_tar)
    for volume, target in zip(volumes, targets, strict=True):
        if not target.exists():
            _lay_piece(head, volume, target, work / f"laid-{target.name}", source if as_tar else None, take)
        if as_tar and move:
            for file in _share(head, volume):
                (source / file.path).unlink(missing_ok=True)
    return targets


def places_of(head: Head, into: Path, *, volume_bytes: int | None, as_tar: bool) -> tuple[Path, ...]:
    """Where the archive or the volumes of a bundle are laid out, in order."""
    names = ["bundle"] if volume_bytes is None else [volume.name for volume in share_out(head, volume_bytes)]
    return tuple(into / (f"{name}.tar" if as_tar else name) for name in names)


def _lay_piece(head: Head, volume: Volume | None, target: Path, work: Path, source: Path | None, take: Take) -> None:
    if source is None:
        work.mkdir(exist_ok=True)
        _lay_folder(head, volume, work, take)
    else:
        with work.open("wb") as out:
            _write_tar(head, volume, out, source)
            out.flush()
            os.fsync(out.fileno())
    work.rename(target)
    sync_folder(target.parent)


def _share(head: Head, volume: Volume | None) -> Sequence[FileFacts]:
    return volume.files if volume else tuple(head.manifest.files())


def _lay_folder(head: Head, volume: Volume | None, folder: Path, take: Take) -> None:
    files = _share(head, volume)
    own = own_files(head, volume)
    paths = [*(path for path, _ in own), *(file.path for file in files)]
    below = sorted({(folder / path).parent for path in paths})
    for parent in below:
        parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        target = folder / file.path
        if not target.exists():
            take(file, target)
    for parent in below:
        sync_folder(parent)
    for path, data in [*own[2:], *own[:2]]:  # the manifest and its envelope last
        write_whole(folder / path, data)


def _write_tar(head: Head, volume: Volume | None, out: IO[bytes], source: Path) -> None:
    for path, data in own_files(head, volume):
        out.write(header(path, len(data)) + data + padding(len(data)))
    for file in _share(head, volume):
        out.write(header(file.path, file.size))
        _append(file, source / file.path, out)
        out.write(padding(file.size))
    out.write(END)


def _append(file: FileFacts, source: Path, out: IO[bytes]) -> None:
    fd, _ = open_regular(source)
    state, size = hashlib.sha256(), 0
    try:
        while chunk := os.read(fd, CHUNK_BYTES):
            state.update(chunk)
            size += len(chunk)
            out.write(chunk)
    finally:
        os.close(fd)
    _refuse_changed(file, size, Digest(state.hexdigest()))


def _move(source: Path) -> Take:
    def take(file: FileFacts, target: Path) -> None:
        (source / file.path).rename(target)

    return take


def _copy(source: Path) -> Take:
    def take(file: FileFacts, target: Path) -> None:
        partial = target.with_name(f".{target.name}.partial")
        partial.unlink(missing_ok=True)
        digest = copy_digested(source / file.path, partial)
        _refuse_changed(file, partial.stat().st_size, digest)
        fd, _ = open_regular(partial)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        partial.rename(target)

    return take


def _refuse_changed(file: FileFacts, size: int, digest: Digest) -> None:
    if (size, digest) != (file.size, file.digest):
        expected, found = f"{file.size} bytes {file.digest}", f"{size} bytes {digest}"
        raise DigestMismatch(file.path, expected=expected, found=found)
