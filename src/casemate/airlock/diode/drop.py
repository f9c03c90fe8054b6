"""Folder-drop mode, for diodes that carry files: the sender drops a bundle as files of one size into a folder.

Rules. A file appears under its name only when it is whole and on the disk (temporary name with a dot, fsync, rename).
The diode takes files away as it sends them; with `most_waiting`, no more than so many wait. The index goes first.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.diode.dropped import drop_names, file_bytes, file_name, pack_file
from casemate.airlock.diode.missing import Missing
from casemate.airlock.diode.packet import Kind
from casemate.airlock.diode.source import Bundle, open_bundle, wanted
from casemate.errors import BadInput
from casemate.store import Progress
from casemate.store.staging import full_disk_named

_SYMBOL_BYTES = 1400  # as in packets, so that either way of sending the same cut is the same session
_POLL_S = 0.5


@dataclass(frozen=True)
class Dropped:
    """What was dropped: so many files, each of `file_bytes`."""

    session: bytes
    files: int
    file_bytes: int


def drop(
    folder: Path,
    outgoing: Path,
    *,
    block_bytes: int = 8 << 20,
    only: Missing | None = None,
    most_waiting: int | None = None,
    progress: Progress | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> Dropped:
    """Drop a folder, or those of its blocks that a receiver misses, into the folder that a diode empties."""
    if not outgoing.is_dir():
        raise BadInput(outgoing, expected="a folder that the diode empties", found="none")
    with open_bundle(folder, block_bytes=block_bytes, symbol_bytes=_SYMBOL_BYTES) as bundle:
        blocks = wanted(bundle, only)
        parts = [(Kind.INDEX, number) for number in range(len(bundle.announcement.index_blocks))]
        parts += [(Kind.BLOCK, number) for number in blocks]
        for done, (kind, number) in enumerate(parts, start=1):
            _wait_for_room(outgoing, most_waiting, sleep)
            _drop_one(bundle, kind, number, outgoing)
            if progress:
                progress(done, len(parts), "files")
        return Dropped(bundle.announcement.session, len(parts), file_bytes(bundle.announcement))


def _wait_for_room(outgoing: Path, most_waiting: int | None, sleep: Callable[[float], None]) -> None:
    while most_waiting is not None and len(drop_names(outgoing)) >= max(1, most_waiting):
        sleep(_POLL_S)


def _drop_one(bundle: Bundle, kind: Kind, number: int, outgoing: Path) -> None:
    data = bundle.block(number) if kind is Kind.BLOCK else bundle.index_block(number)
    path = outgoing / file_name(bundle.announcement, kind, number)
    part = path.with_name(f".{path.name}.part")
    with full_disk_named(outgoing):
        try:
            part.unlink(missing_ok=True)
            with part.open("xb") as stream:
                stream.write(pack_file(bundle.announcement, kind, number, data))
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
