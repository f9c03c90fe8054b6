"""What a bundle says about itself: its label, the entries that it carries, and the numbers that bound it.

Rules. These are plain values; what they mean to a catalog or a peer is decided elsewhere. The numbers are part of the
format: a reader refuses what exceeds them, so that its memory is bounded whatever arrives.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from casemate.store.digest import Digest

MEMBER_BYTES = 8 << 20
"""The plain bytes of one member at most: what one core holds in memory at a time."""
PART_BYTES = 256 << 20
"""The size of a part unless volumes are smaller; a part never exceeds it."""
EXTENTS_MAX = 200_000
"""The extents of one object at most, so that its line can be held in memory."""
LINE_BYTES_MAX = 16 << 20
"""The length of a line of the objects' list at most."""
LEAST_VOLUME_BYTES = 64 << 10
"""The size of volumes at least: below it, hardly more than the signatures would fit."""


@dataclass(frozen=True)
class Label:
    """Where a bundle comes from and goes to, how it is marked, and its place in its channel.

    A channel is source, destination and marking; `sequence` counts from 1 in it, `previous` is the SHA-256 (hex) of the
    manifest before it, empty for the first. `created` is RFC 3339 in UTC.
    """

    source: str
    destination: str
    marking: str
    sequence: int
    previous: str
    created: str


@dataclass(frozen=True)
class Carried:
    """An entry that travels: what the source's catalog says of it.

    `shape` tells what `digest` is: the manifest of a version, whose files travel too, or a single object. `also` are
    further single objects that belong to it. `parents` are identifiers at the source.
    """

    id: str
    kind: str
    name: str
    project: str
    marking: str
    digest: Digest
    shape: Literal["manifest", "single"]
    author: str
    created: str
    facts: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    licence: str = ""
    also: tuple[Digest, ...] = ()


@dataclass(frozen=True, order=True)
class FileFacts:
    """A file of a bundle: its path in it, its size in bytes, its digest."""

    path: str
    size: int
    digest: Digest
