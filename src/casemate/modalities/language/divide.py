"""Which records of a run are held out of training, to measure how well it does on what it has not seen.

Rules. Records that share words (near-duplicates, within a set or between sets) stay on one side, so that nothing held
out was learned under another name. Which side depends on the record's own words and nothing else. There is at least
one record on each side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.duplicates import overlap


def held_out(prints: Mapping[str, Mapping[str, Any]], share: float) -> frozenset[str]:
    """The names of the records to hold out, about `share` of them."""
    if not share:
        return frozenset()
    group = _groups(prints)
    draws = {name: _draw(prints[name]["hashes"]) for name in group.values()}
    held = frozenset(name for name, first in group.items() if draws[first] < share)
    if not held:
        first = min(draws, key=lambda name: (draws[name], name))
        held = frozenset(name for name, leader in group.items() if leader == first)
    if len(held) == len(prints):
        found = f"{len(prints)} that are alike or too few"
        raise BadInput("records, to hold some out", expected="two that share no words", found=found)
    return held


def _groups(prints: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Each record with the first of those that it is alike with, directly or through others."""
    leader: dict[str, str] = {}
    alike: dict[tuple[str, ...], str] = {}
    for name in sorted(prints):
        leader[name] = alike.setdefault(tuple(prints[name]["hashes"]), name)

    def first(name: str) -> str:
        while leader[name] != name:
            leader[name] = leader[leader[name]]
            name = leader[name]
        return name

    distinct = {name: prints[name] for name in alike.values()}
    for pair in overlap(distinct, distinct):
        one, other = sorted((first(pair.first), first(pair.second)))
        leader[other] = one
    return {name: first(name) for name in leader}


def _draw(hashes: Sequence[str]) -> float:
    """A number from 0 to 1 that depends on a record's words."""
    digest = hashlib.sha256(",".join(hashes).encode("ascii")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
