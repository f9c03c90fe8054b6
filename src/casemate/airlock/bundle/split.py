"""Splitting a bundle that is there into volumes, without sealing or signing anything again."""

from __future__ import annotations

import shutil
from pathlib import Path

from casemate.airlock.bundle.delivery import read_head
from casemate.airlock.bundle.place import alone
from casemate.airlock.bundle.publish import publish
from casemate.airlock.bundle.volumes import share_out
from casemate.errors import BadInput
from casemate.store.staging import full_disk_named

_WORK = ".split"


def split(bundle: Path, into: Path, volume_bytes: int, *, as_tar: bool = False) -> tuple[Path, ...]:
    """The volumes of a bundle's folder, made in `into`; whole ones that are there already stay, so a cut goes on.

    Every file is held against the manifest while it is copied. BadInput says how large volumes must be at least.
    """
    if not bundle.is_dir():
        raise BadInput(bundle, expected="the folder of a bundle", found="something else")
    head = read_head(bundle)
    share_out(head, volume_bytes)  # refuses a size that is too small before anything is made
    work = into / _WORK
    work.mkdir(parents=True, exist_ok=True)
    with alone(work / "lock", "splits here"), full_disk_named(into):
        laid = publish(head, bundle, into, work, volume_bytes=volume_bytes, as_tar=as_tar, move=False)
        shutil.rmtree(work)
    return laid
