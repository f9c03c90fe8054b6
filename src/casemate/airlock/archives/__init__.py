"""Readers of archives: each yields members, one after another, a piece at a time, and holds nothing but a piece.

Rules. A reader runs only in the child of `unpack`, writes nothing and decides nothing about names or sizes: its parent
does. What an archive may not hold (links, devices, sparse files, anything encrypted, anything that two readers would
see differently) and what is damaged raises BadArchiveError.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Protocol, cast

from casemate.airlock.limits import ScanLimits

PIECE_BYTES = 1 << 20
_MODULES = {
    "zip": "zip_archive",
    "tar": "tar_archive",
    "gzip": "compressed",
    "bzip2": "compressed",
    "xz": "compressed",
    "zstd": "compressed",
    "eml": "mail",
    "msg": "outlook_message",
}


class BadArchiveError(ValueError):
    """What is wrong with an archive: expected and found."""

    def __init__(self, expected: str, found: str) -> None:
        """Keep both facts."""
        self.expected, self.found = expected, found
        super().__init__(f"expected {expected}, found {found}")


@dataclass(frozen=True)
class Member:
    """One file of an archive: its name as the archive has it, and its bytes, to be read before the next member is."""

    path: str
    pieces: Iterator[bytes]


class Reader(Protocol):
    """What each module of this folder has."""

    def versions(self) -> dict[str, str]:
        """The versions of what unpacks."""

    def members(self, stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:
        """The files of the archive in `stream`, which is called `name`."""


def reader_of(type_name: str) -> Reader:
    """The reader of a type of `formats.ARCHIVES`, or of `formats.MAILS`."""
    return cast("Reader", importlib.import_module(f"casemate.airlock.archives.{_MODULES[type_name]}"))
