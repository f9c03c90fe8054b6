"""ZIP archives, as strictly as `zips` opens them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import BinaryIO

from casemate.airlock.archives import BadArchiveError, Member
from casemate.airlock.limits import ScanLimits
from casemate.airlock.zips import NotStrictError, StrictZip, open_strict


def versions() -> dict[str, str]:
    """The version of what inflates."""
    return {"zlib": zlib.ZLIB_RUNTIME_VERSION}


def members(stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:  # noqa: ARG001  one signature for all
    """Every file, in the order of the archive."""
    try:
        archive = open_strict(stream, limits)
    except NotStrictError as why:
        raise BadArchiveError(why.expected, why.found) from why
    for path in archive.members:
        yield Member(path, _pieces(archive, path))


def _pieces(archive: StrictZip, path: str) -> Iterator[bytes]:
    try:
        yield from archive.chunks(path)
    except NotStrictError as why:
        raise BadArchiveError(why.expected, why.found) from why
