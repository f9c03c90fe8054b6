"""One file of the folder-drop mode: a page of JSON that people can read with `head -c 4096`, then one block.

Rules. All files of a session have the same size, whatever they hold: 4,096 bytes and a block, filled with zeros. Each
names its session, its number and its block's SHA-256, and carries the announcement, so that any order and any loss will
do. A name tells people what a file is; what is in the file decides.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.packet import Kind
from casemate.errors import BadInput
from casemate.store.digest import open_regular

FORMAT = "casemate-diode-drop/1"
HEAD_BYTES = 4096
_NAME = re.compile(r"[0-9a-f]{32}-(index|block)-[0-9]{8}\.diode", re.ASCII)
_KINDS = {"index": Kind.INDEX, "block": Kind.BLOCK}


@dataclass(frozen=True)
class DropFile:
    """A dropped file, read and whole: its bytes are those that it names."""

    announcement: Announcement
    kind: Kind
    number: int
    data: bytes


def file_name(announcement: Announcement, kind: Kind, number: int) -> str:
    """How a dropped file is called."""
    return f"{announcement.session.hex()}-{kind.name.lower()}-{number:08}.diode"


def drop_names(folder: Path) -> list[str]:
    """The names in a folder that may be ours, those of indexes first."""
    names = (path.name for path in folder.iterdir())
    return sorted(filter(_NAME.fullmatch, names), key=lambda name: ("-index-" not in name, name))


def file_bytes(announcement: Announcement) -> int:
    """The size that all files of a session have."""
    return HEAD_BYTES + announcement.block_bytes


def pack_file(announcement: Announcement, kind: Kind, number: int, data: bytes) -> bytes:
    """The bytes of a dropped file."""
    head = {
        "announcement": announcement.to_bytes().hex(),
        "format": FORMAT,
        "kind": kind.name.lower(),
        "length": len(data),
        "number": number,
        "session": announcement.session.hex(),
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    text = json.dumps(head, indent=1).encode("ascii")
    return text.ljust(HEAD_BYTES - 1) + b"\n" + data.ljust(announcement.block_bytes, b"\0")


def read_file(path: Path) -> DropFile:
    """Read a dropped file; BadInput where it is not whole, or none of ours."""
    fd, facts = open_regular(path)
    with os.fdopen(fd, "rb") as stream:
        head = _head(stream.read(HEAD_BYTES), path)
        announcement = _announcement(head, path)
        if facts.st_size != file_bytes(announcement):
            raise BadInput(path, expected=f"{file_bytes(announcement)} bytes", found=facts.st_size)
        match head:
            case {"kind": "index" | "block" as kind, "number": int(number), "length": int(length)}:
                pass
            case _:
                raise BadInput(path, expected="kind, number and length", found="others")
        if not 0 <= length <= announcement.block_bytes or number < 0:
            raise BadInput(path, expected=f"a block of at most {announcement.block_bytes} bytes", found=length)
        data = stream.read(length)
    digest = hashlib.sha256(data).hexdigest()
    if digest != head.get("sha256"):
        raise BadInput(path, expected=f"sha256 {head.get('sha256')!s:.64}", found=digest)
    return DropFile(announcement, _KINDS[kind], number, data)


def _head(data: bytes, path: Path) -> dict[str, Any]:
    try:
        head = json.loads(data)
    except (ValueError, RecursionError) as why:
        raise BadInput(path, expected="a page of JSON before the block", found=why) from why
    if not isinstance(head, dict) or head.get("format") != FORMAT:
        raise BadInput(path, expected=f"format {FORMAT}", found="another")
    return head


def _announcement(head: dict[str, Any], path: Path) -> Announcement:
    try:
        return Announcement.from_bytes(bytes.fromhex(head["announcement"]))
    except (KeyError, TypeError, ValueError) as why:
        raise BadInput(path, expected="an announcement in hexadecimal", found=repr(why)) from why
