"""The ledger of a channel: which bundles passed between two sites at one marking, in which order.

Rules. A channel is a peer, a direction and a marking, and each counts its own bundles from 1: a number shown to a
reader then counts nothing that is above them. A gap is seen and told; a replay is harmless; a bundle that arrives late
fills its gap; two different bundles under one number, or one that does not continue its neighbours, are refused, and so
is one so far ahead that its gap could not be told. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from casemate.errors import Forked

FIRST = 1
MOST_MISSING = 10_000  # as many as a receipt may name


@dataclass(frozen=True)
class Link:
    """A bundle of a channel: the SHA-256 of its manifest, and that of the bundle before it ("" for the first)."""

    manifest: str
    previous: str


@dataclass(frozen=True)
class Place:
    """Where a bundle stands in its channel: taken before (`replay`), filling a gap (`late`), with which `missing`."""

    sequence: int
    replay: bool = False
    late: bool = False
    missing: tuple[int, ...] = ()


def next_number(sent: Mapping[int, Link]) -> tuple[int, str]:
    """The number of the next bundle to send, and the SHA-256 of the manifest before it ("" for the first)."""
    last = max(sent, default=0)
    return last + 1, sent[last].manifest if last else ""


def place(taken: Mapping[int, Link], sequence: int, link: Link, *, channel: str) -> Place:
    """Where a bundle stands among those `taken` of its channel, by number; Forked if it is none of them."""
    thing = f"bundle {sequence} of {channel}"
    if sequence in taken:
        if taken[sequence] != link:
            raise Forked(thing, expected=f"manifest {taken[sequence].manifest}, taken before", found=link.manifest)
        return Place(sequence, replay=True)
    if (sequence == FIRST) != (link.previous == ""):
        found = link.previous or "none"
        raise Forked(thing, expected="no bundle before the first, and one before any other", found=found)
    before, after = taken.get(sequence - 1), taken.get(sequence + 1)
    if before is not None and before.manifest != link.previous:
        raise Forked(thing, expected=f"one that continues {before.manifest}", found=f"one after {link.previous}")
    if after is not None and after.previous != link.manifest:
        raise Forked(thing, expected=f"manifest {after.previous}, which the next one continues", found=link.manifest)
    if sequence > FIRST + MOST_MISSING + len(taken):
        expected = f"a number up to {FIRST + MOST_MISSING + len(taken)}"
        raise Forked(thing, expected=expected, found="one that leaves a greater gap")
    missing = tuple(number for number in range(FIRST, sequence) if number not in taken)
    return Place(sequence, late=sequence < max(taken, default=0), missing=missing)
