"""Packs, on the side that has a network and no site: which there are, fetching them, and Casemate's own wheels."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from casemate.airlock.packs import Pack, build, check, packs, read, shipped, wheels
from casemate.factory.desk import utc_now
from casemate.store import Digest, Progress


def known_packs() -> list[dict[str, Any]]:
    """The starter packs that ship with Casemate."""
    return [
        {"name": pack.name, "title": pack.title.en, "titre": pack.title.fr, "kind": pack.kind,
         "licence": pack.licence, "bytes": pack.size, "origin": pack.upstream}
        for pack in packs()
    ]  # fmt: skip


def build_pack(name: str, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Fetch and check a pack into a new folder; `name` is a shipped one, or a list in TOML."""
    pack = _named(name)
    build(pack, folder, progress=progress)
    return {"pack": pack.name, "folder": str(folder), "files": len(pack.files), "bytes": pack.size}


def check_pack(name: str, folder: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Compare a folder with a pack's list, file by file."""
    pack = _named(name)
    manifest = check(folder, pack, progress=progress)
    return {"pack": pack.name, "folder": str(folder), "files": len(manifest.files), "bytes": manifest.size}


def build_wheels(folder: Path, source: Path, *, progress: Progress | None = None) -> dict[str, Any]:
    """Make a wheelhouse of the Casemate in `source`, a checkout."""
    made = wheels(folder, lock=source / "requirements" / "run.lock", project=source, made=_made(), progress=progress)
    digest = Digest.of_bytes(made.to_json())
    return {"folder": str(folder), "software": made.name, "version": made.version, "list": str(digest),
            "wheels": len(made.wheels)}  # fmt: skip


def _named(name: str) -> Pack:
    file = Path(name)
    return read(file.read_text(encoding="utf-8")) if file.is_file() else shipped(name)


def _made() -> datetime:
    """The time in a bill of materials: SOURCE_DATE_EPOCH, so that the same can be made twice, or now."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "")
    return datetime.fromtimestamp(int(epoch), UTC) if epoch.isdecimal() else utc_now()
