"""Outlook messages: what is attached to one, and to the messages within it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from typing import BinaryIO

from casemate.airlock import outlook
from casemate.airlock.archives import PIECE_BYTES, BadArchiveError, Member
from casemate.airlock.limits import ScanLimits
from casemate.airlock.mail_names import AttachedNames


def versions() -> dict[str, str]:
    """The version of what reads compound files."""
    return {"olefile": metadata.version("olefile")}


def members(stream: BinaryIO, type_name: str, name: str, limits: ScanLimits) -> Iterator[Member]:  # noqa: ARG001  one signature for all
    """Every file attached."""
    names = AttachedNames()
    try:
        with outlook.opened(stream) as ole:
            for said, data in outlook.attachments(ole, limits):
                yield Member(names.place(said), (data[i : i + PIECE_BYTES] for i in range(0, len(data), PIECE_BYTES)))
    except outlook.NotOutlookError as why:
        raise BadArchiveError(why.expected, why.found) from why
