"""Markings that stand in a text: banners on lines of their own, and portion markings in brackets. Pure.

Rules. The words are those of the site's policy, and nothing else is one. What is found is a suggestion: it may raise,
and never lowers. A banner is a line, or a part of one between dashes, bars or colons, that is a marking whole: in
capitals, or in any letters (lower case, without accents, spaced out, misread by recognition) where its words are long
enough to mean nothing else. Page numbers beside it and a line broken within it are no matter. What follows a word such
as "Classification:" is one in any letters. A portion marking stands in brackets before or after words, in capitals; or
in small letters where it is more than one. A caveat alone is a marking at the lowest level.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from casemate.errors import BadMarking
from casemate.markings import Marking, Policy
from casemate.markings.policy import fold

_PORTION = re.compile(r"(?<![^\s])[(\[]([^()\[\]\n]{1,60})[)\]](?![^\s.,;:])")
_AT_START = re.compile(r"\s*[(\[]([^()\[\]\n]{1,60})[)\]]")
_TITLE = re.compile(
    r"(?:\b(?:classification|marquage|marking|mention|protection|niveau|level|sensibilité|sensitivity)"
    r"(?: de (?:la )?(?:protection|classification|diffusion))?\s*:|\bclassifi(?:é|ée|és|ées|ed)\b)\s*(.{2,60})$",
    re.IGNORECASE,
)
_PAGE = re.compile(
    r"\b(?:page|p\.?)\s*\d+(?:\s*(?:/|sur|of|de)\s*\d+)?|\b\d+\s*(?:/|sur|of)\s*\d+\b|^\d+\b|\b\d+$", re.IGNORECASE
)
_PARTS = re.compile(r"\s+[-–—•·]\s+|\s*[|:]\s+|\s+\|\s*")
_BETWEEN = re.compile(r"\s*(?://|[/–—|,;•·*_\-])+\s*")
_DEFENCE = re.compile(r"\s+D[ÉE]FENSE$")  # as levels were called before 2021
_LOOKS = str.maketrans("L10", "IIO")
_MOST_WORDS = 12
_MOST_LINE = 100
_MOST_PARTS = 4
_SHORTEST_BANNER = 5  # letters: shorter words in capitals on a line of their own are mostly something else
_SHORTEST_OF_TWO = 4  # a level and a caveat, as DR-SF
_SHORTEST_LOOSE = 8  # letters: shorter words in small letters are too


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
        self._names = _names(policy)
        self._longest = max(map(len, self._names), default=0)

    def find(self, text: str, page: int) -> Iterator[Written]:
        """The markings that are written in a block's text."""
        before = ""  # the line before, where it is no banner itself
        for line in text.split("\n"):
            banners = list(self._banners(line.strip(), page)) if len(line) <= _MOST_LINE else []
            yield from banners
            yield from self._portions(line, page)
            if before and len(before) + len(line) <= _MOST_LINE:
                yield from self._banner(f"{before} {line.strip()}", page)
            before = "" if banners else line.strip()

    def _banners(self, line: str, page: int) -> Iterator[Written]:
        """A line that is a marking whole, or has one between dashes, bars or colons, or after what announces it."""
        whole = list(self._banner(_plain(line), page))
        said = _TITLE.search(line)
        if said and not whole:
            whole = list(self._written(_plain(said[1]).upper(), page))
        parts = _PARTS.split(line)
        if not whole and 1 < len(parts) <= _MOST_PARTS:
            whole = [found for part in parts for found in self._banner(_plain(part), page)]
        yield from whole

    def _banner(self, words: str, page: int) -> Iterator[Written]:
        letters = _letters(words)
        if words.isupper() and letters >= (
            _SHORTEST_OF_TWO if len(_BETWEEN.sub(" ", words).split()) > 1 else _SHORTEST_BANNER
        ):
            found = list(self._written(words, page))
            if found:
                yield from found
                return
        named = self._names.get(_loose(words)) if _SHORTEST_LOOSE <= letters <= self._longest else None
        if named is not None:
            yield Written(" ".join(words.split()), named, page)

    def _portions(self, line: str, page: int) -> Iterator[Written]:
        begins = _AT_START.match(line)
        first = [begins[1]] if begins else []
        after = begins.end() if begins else 0
        for portion in (*first, *(found[1] for found in _PORTION.finditer(line, after))):
            if portion.isupper() or (portion.islower() and _letters(portion) > 1):
                yield from self._written(portion.upper(), page)

    def _written(self, words: str, page: int) -> Iterator[Written]:
        meaning = self._meaning(words)
        if meaning is not None:
            yield Written(" ".join(words.split()), meaning, page)

    def _read(self, text: str) -> Marking | None:
        parts = [part for part in _BETWEEN.split(text.strip(' .()[]*«»"“”-–—')) if part]
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
        older = _DEFENCE.sub("", " ".join(words))
        return self._read(older) if older != " ".join(words) else None

    def _parsed(self, text: str) -> Marking | None:
        try:
            return self._policy.parse(text)
        except BadMarking:
            return None


def suggested(policy: Policy, written: Iterable[Written]) -> Marking:
    """The least marking that all of them are within."""
    return Marking.join_all(policy.lowest, (found.marking for found in written))


def _names(policy: Policy) -> Mapping[str, Marking]:
    """Each level, each caveat and each level with a caveat, by how they look without spaces, accents and capitals."""
    lowest = policy.lowest.level.code
    levels = [*((name, name) for level in policy.levels for name in dict(level.names).values()), ("", lowest)]
    caveats = [name for _, names in policy.caveats for name in dict(names).values()]
    texts = {
        _loose(f"{shown} {caveat}"): f"{level}//{caveat}" if caveat else level
        for shown, level in levels for caveat in ("", *caveats)
    }  # fmt: skip
    return {look: policy.parse(text) for look, text in texts.items() if len(look) >= _SHORTEST_LOOSE}


def _loose(words: str) -> str:
    return "".join(c for c in fold(words) if c.isalnum()).translate(_LOOKS)


def _plain(words: str) -> str:
    return _PAGE.sub(" ", words).strip(' .()[]*«»"“”-–—,;')


def _letters(text: str) -> int:
    return sum(c.isalpha() for c in text)
