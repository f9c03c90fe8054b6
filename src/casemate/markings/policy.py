"""A policy of markings: the ladder, compartments and releasability sets that a site knows, read from TOML.

Text form: the level first, then parts after `//`, in any order: compartments separated by commas, and at most one
releasability (`REL TO FRA,DEU`, or a caveat that the policy names, such as SPÉCIAL FRANCE). Case and accents do not
matter when reading; printing is canonical, so parse∘print is the identity.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput, BadMarking
from casemate.markings.marking import Clearance, Level, Marking

_T = TypeVar("_T")
_NATIONALITY = re.compile(r"[A-Z]{3}")
_COMPARTMENT = re.compile(r"[A-Z0-9][A-Z0-9 _-]{0,63}")


class _LevelToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    code: str
    names: dict[str, str]
    aliases: list[str] = []
    mention: bool = False


class _CaveatToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    nationalities: list[str]
    names: dict[str, str]
    aliases: list[str] = []


class _PolicyToml(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    name: str
    nationality: str
    levels: list[_LevelToml] = Field(min_length=1)
    compartments: dict[str, dict[str, str]] = {}
    caveats: list[_CaveatToml] = []


@dataclass(frozen=True)
class Policy:
    """The words that a site knows; everything else is refused."""

    name: str
    home_nationality: str
    levels: tuple[Level, ...]
    compartments: frozenset[str]
    caveats: tuple[tuple[frozenset[str], tuple[tuple[str, str], ...]], ...]
    _level_words: Mapping[str, Level]
    _caveat_words: Mapping[str, frozenset[str]]
    text: str = ""

    @classmethod
    def from_toml(cls, text: str, *, source: str = "policy of markings") -> Policy:
        """Read a policy; unknown keys, repeated words and ill-formed codes are errors that name `source`."""
        try:
            raw = _PolicyToml.model_validate(tomllib.loads(text))
        except (tomllib.TOMLDecodeError, ValidationError) as why:
            raise BadInput(source, expected="a policy of markings in TOML", found=why) from why
        level_words: dict[str, Level] = {}
        levels = []
        for rank, item in enumerate(raw.levels):
            level = Level(rank, item.code, tuple(sorted(item.names.items())), item.mention)
            levels.append(level)
            _claim(level_words, [item.code, *item.names.values(), *item.aliases], level, source)
        caveat_words: dict[str, frozenset[str]] = {}
        for caveat in raw.caveats:
            nations = frozenset(_matching(_NATIONALITY, n, source) for n in caveat.nationalities)
            _claim(caveat_words, [*caveat.names.values(), *caveat.aliases], nations, source)
        compartments = frozenset(_matching(_COMPARTMENT, fold(c), source) for c in raw.compartments)
        caveats = tuple((frozenset(c.nationalities), tuple(sorted(c.names.items()))) for c in raw.caveats)
        home = _matching(_NATIONALITY, raw.nationality, source)
        return cls(raw.name, home, tuple(levels), compartments, caveats, level_words, caveat_words, text)

    @classmethod
    def shipped(cls, name: str) -> Policy:
        """One of the policies that come with Casemate, by name."""
        if name not in shipped_policies():
            raise BadMarking(f"policy of markings {name}", expected=" or ".join(shipped_policies()), found=name)
        file = resources.files("casemate.markings").joinpath("policies", f"{name}.toml")
        return cls.from_toml(file.read_text(encoding="utf-8"), source=f"{name}.toml")

    @property
    def lowest(self) -> Marking:
        """The marking that everybody may read."""
        return Marking(self.levels[0])

    def parse(self, text: str) -> Marking:
        """A marking from its text."""
        head, *parts = text.split("//")
        compartments: set[str] = set()
        releasable: frozenset[str] | None = None
        for part in parts:
            nations = self._releasability(part, text)
            if nations is None:
                compartments |= self._compartments(part, text)
            elif releasable is None:
                releasable = nations
            else:
                raise BadMarking(f"marking {text}", expected="one releasability", found="two")
        return Marking(self._level(head, text), frozenset(compartments), releasable)

    def parse_clearance(self, text: str) -> Clearance:
        """A clearance from its text, `LEVEL//COMPARTMENT,…//NATIONALITY`; the nationality is the policy's if absent."""
        head, *parts = text.split("//")
        compartments: set[str] = set()
        nationality: str | None = None
        for part in parts:
            word = fold(part)
            if _NATIONALITY.fullmatch(word) and word not in self.compartments and nationality is None:
                nationality = word
            else:
                compartments |= self._compartments(part, text)
        return Clearance(self._level(head, text), frozenset(compartments), nationality or self.home_nationality)

    def wording(self, marking: Marking, language: str = "en") -> str:
        """The marking as pages show it, in `language`."""
        parts = [marking.level.name(language).upper()]
        parts += sorted(marking.compartments)
        if marking.releasable_to is not None:
            named = {nations: dict(names).get(language) for nations, names in self.caveats}
            listed = "REL TO " + ", ".join(sorted(marking.releasable_to))
            parts.append((named.get(marking.releasable_to) or listed).upper())
        return " – ".join(parts)

    def _level(self, word: str, text: str) -> Level:
        level = self._level_words.get(fold(word))
        if level is None:
            known = ", ".join(n.code for n in self.levels)
            raise BadMarking(f"marking {text}", expected=f"a level ({known})", found=repr(word))
        return level

    def _releasability(self, part: str, text: str) -> frozenset[str] | None:
        word = fold(part)
        if word in self._caveat_words:
            return self._caveat_words[word]
        if not word.startswith("REL TO "):
            return None
        nations = [n.strip() for n in word.removeprefix("REL TO ").split(",")]
        if nations == ["NONE"]:
            return frozenset()
        for nation in nations:
            if not _NATIONALITY.fullmatch(nation):
                raise BadMarking(f"marking {text}", expected="three-letter nationalities", found=repr(nation))
        return frozenset(nations)

    def _compartments(self, part: str, text: str) -> frozenset[str]:
        words = frozenset(fold(w) for w in part.split(","))
        unknown = sorted(words - self.compartments)
        if unknown:
            known = ", ".join(sorted(self.compartments)) or "none in this policy"
            expected = f"a compartment ({known}) or a releasability"
            raise BadMarking(f"marking {text}", expected=expected, found=repr(unknown[0]))
        return words


def shipped_policies() -> list[str]:
    """Names of the policies that come with Casemate."""
    files = resources.files("casemate.markings").joinpath("policies").iterdir()
    return sorted(f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))


def fold(word: str) -> str:
    """Upper case, without accents or surplus spaces: how words are compared."""
    plain = unicodedata.normalize("NFKD", word)
    return " ".join("".join(c for c in plain if not unicodedata.combining(c)).upper().split())


def _claim(words: dict[str, _T], spellings: list[str], meaning: _T, source: str) -> None:
    for spelling in spellings:
        if words.setdefault(fold(spelling), meaning) != meaning or "//" in spelling or "," in spelling:
            raise BadInput(source, expected="each word to have one meaning, without // or commas", found=repr(spelling))


def _matching(pattern: re.Pattern[str], word: str, source: str) -> str:
    if not pattern.fullmatch(word):
        raise BadInput(source, expected=f"a word like {pattern.pattern}", found=repr(word))
    return word
