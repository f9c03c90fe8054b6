"""The same words in two sets: what must not be in both training and held-out data.

Rules. A text is fingerprinted by hashes of its runs of five words, letters and digits alone, case and accents dropped,
so that punctuation and layout hide nothing. Of a long text a fixed share is kept (those below a power of two), so that
two texts of any length are compared on the same share: a paragraph is found in the book that holds it. Two are near
duplicates where half of the smaller's kept runs are in the other, and at least four are. Texts of fewer than five words
are compared whole. Runs that over 200 records of a set hold are nobody's, and are passed over. Fingerprints are plain
JSON, and give no text back.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from casemate.modalities.language.corpus import LanguageDataset

Fingerprints = Mapping[str, Mapping[str, Any]]
"""By record id: `share` (a power of two: one hash in so many is kept) and `hashes` (12 hex digits each, sorted)."""

RUN_WORDS = 5
MOST_KEPT = 512
LEAST_SHARED = 4
CONTAINED = 0.5
MOST_SHARING = 200
_BITS = 48
_WORD = re.compile(r"[^\W_]+")


class NearDuplicate(NamedTuple):
    """Two records that share words, and the share of the smaller's runs that are in the other."""

    first: str
    second: str
    contained: float


def fingerprints(dataset: LanguageDataset) -> dict[str, dict[str, Any]]:
    """Fingerprints of every record of a set, by id."""
    return {name: fingerprint(text) for name, text in dataset.contents()}


def fingerprint(text: str) -> dict[str, Any]:
    """The fingerprint of one text."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    words = _WORD.findall(plain)
    width = min(RUN_WORDS, max(len(words), 1))
    hashes = {_hash(" ".join(words[i : i + width])) for i in range(len(words) - width + 1)}
    share = 1
    while len(hashes) > MOST_KEPT:
        share *= 2
        hashes = {value for value in hashes if value < (1 << _BITS) // share}
    return {"share": share, "hashes": [f"{value:012x}" for value in sorted(hashes)]}


def near_duplicates(dataset: LanguageDataset) -> list[NearDuplicate]:
    """Pairs within a set, each once."""
    prints = fingerprints(dataset)
    return [pair for pair in overlap(prints, prints) if pair.first < pair.second]


def overlap(first: Fingerprints, second: Fingerprints) -> list[NearDuplicate]:
    """Pairs of records, one of each set, that share words; sorted."""
    common = _everybodys(first) | _everybodys(second)
    ours, theirs = (_without(prints, common) for prints in (first, second))
    held: dict[str, list[str]] = defaultdict(list)
    equal: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, print_ in theirs.items():
        equal[tuple(second[name]["hashes"])].append(name)
        for value in print_["hashes"]:
            held[value].append(name)
    found = []
    for name, print_ in ours.items():
        same = equal.get(tuple(first[name]["hashes"]), [])[:MOST_SHARING]
        found += [NearDuplicate(name, other, 1.0) for other in same]
        found += [pair for pair in _pairs(name, print_, theirs, held) if pair.second not in same]
    return sorted(found)


def _everybodys(prints: Fingerprints) -> set[str]:
    """Runs that so many records hold that they tell nothing: headings, footers, formulas of politeness."""
    counts = Counter(value for print_ in prints.values() for value in print_["hashes"])
    return {value for value, count in counts.items() if count > MOST_SHARING}


def _without(prints: Fingerprints, common: set[str]) -> Fingerprints:
    if not common:
        return prints
    return {
        name: {"share": print_["share"], "hashes": [value for value in print_["hashes"] if value not in common]}
        for name, print_ in prints.items()
    }


def _pairs(
    name: str, print_: Mapping[str, Any], second: Fingerprints, held: Mapping[str, list[str]]
) -> Iterator[NearDuplicate]:
    met = Counter(other for value in print_["hashes"] for other in held.get(value, ()))
    for other, shared in met.items():
        theirs = second[other]
        share = max(int(print_["share"]), int(theirs["share"]))
        smaller = min(_within(print_, share), _within(theirs, share))
        if shared >= LEAST_SHARED and shared >= CONTAINED * smaller:
            yield NearDuplicate(name, other, round(min(1.0, shared / smaller), 4))


def _within(print_: Mapping[str, Any], share: int) -> int:
    """How many of a fingerprint's hashes would be kept of this share."""
    if share == print_["share"]:
        return len(print_["hashes"])
    limit = f"{(1 << _BITS) // share:012x}"
    return sum(value < limit for value in print_["hashes"])


def _hash(run: str) -> int:
    return int.from_bytes(hashlib.blake2b(run.encode("utf-8"), digest_size=6).digest(), "big")
