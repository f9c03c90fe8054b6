"""Markings that stand in a text: banners on lines of their own, and portion markings in brackets. Pure.

Rules. The words are those of the site's policy, and nothing else is one. What is found is a suggestion: it may raise,
and never lowers. A banner is a line in capitals that is a marking whole; a portion marking stands in round brackets, in
capitals, before or after a paragraph's words. A caveat alone is a marking at the lowest level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from casemate.errors import BadMarking
from casemate.markings import Marking, Policy

_PORTION = re.compile(r"(?<![^\s])\(([^()\n]{1,60})\)(?![^\s.,;:])")
_TITLE = re.compile(r"^(?:CLASSIFICATION|MARQUAGE|MARKING|MENTION|PROTECTION|NIVEAU|LEVEL)\s*:\s*")
_BETWEEN = re.compile(r"\s*(?://|[/–—|,;•·*_\-])+\s*")
_MOST_WORDS = 12
_MOST_LINE = 100
_SHORTEST_BANNER = 5  # letters: shorter words in capitals on a line of their own are mostly something else


@dataclass(frozen=True)
class Written:
    """A marking as a document has it: the words, what they mean, the page."""

    text: str
    marking: Marking
    page: int


class Words:
    """Reads what stands on lines with the words of one policy."""

    def __init__(self, policy: Policy) -> None:
        """`policy` is the site's."""
        self._policy = policy
        self._meaning = lru_cache(maxsize=4096)(self._read)

    def find(self, text: str, page: int) -> Iterator[Written]:
        """The markings that are written in a block's text."""
        for line in text.split("\n"):
            banner = line.strip()
            if len(banner) <= _MOST_LINE and banner.isupper() and _letters(banner) >= _SHORTEST_BANNER:
                yield from self._written(_TITLE.sub("", banner), page)
            for portion in _PORTION.finditer(line):
                if portion[1].isupper():
                    yield from self._written(portion[1], page)

    def _written(self, words: str, page: int) -> Iterator[Written]:
        meaning = self._meaning(words)
        if meaning is not None:
            yield Written(" ".join(words.split()), meaning, page)

    def _read(self, text: str) -> Marking | None:
        parts = [part for part in _BETWEEN.split(text.strip(" .()[]*-–—")) if part]
        whole = self._parsed("//".join(parts)) if parts else None
        if whole is not None:
            return whole
        words = " ".join(parts).split()
        if not words or len(words) > _MOST_WORDS:
            return None
        for cut in range(len(words), -1, -1):
            level = " ".join(words[:cut]) or self._policy.lowest.level.code
            rest = " ".join(words[cut:])
            found = self._parsed(f"{level}//{rest}" if rest else level)
            if found is not None:
                return found
        return None

    def _parsed(self, text: str) -> Marking | None:
        try:
            return self._policy.parse(text)
        except BadMarking:
            return None


def suggested(policy: Policy, written: Iterable[Written]) -> Marking:
    """The least marking that all of them are within."""
    return Marking.join_all(policy.lowest, (found.marking for found in written))


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in text)
