"""What acronyms of a query stand for, by what passages say: « délégué à la protection des données (DPO) ».

Source: Schwartz and Hearst, "A Simple Algorithm for Identifying Abbreviation Definitions in Biomedical Text" (2003):
the shortest run of words before the bracket that has the acronym's letters in order and begins with the first. Rules.
Pure: the same query and texts give the same reading, in whatever order the texts come. A word of a query is an acronym
where some text puts it in brackets, in capitals; one that the query has in small letters must be a small-letter word
nowhere in the texts (« vie » is not VIE). Of several meanings the most often written is taken, then the first by
spelling.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence

from casemate.serving.retrieval.analysis import is_small, without_accents, words

_BRACKETED = re.compile(r"\(\s?[«\"“]?\s?([A-Z][A-Z0-9]{1,9})\s?[»\"”]?\s?[),;]")
_WORD = re.compile(r"\b[A-Za-z][A-Za-z0-9]{1,9}\b")
_BREAK = re.compile(r"[.;:!?()\n]")
_REACH = 200  # characters before the bracket in which its meaning is sought


def capitals(query: str) -> str:
    """The words of a query that are in capitals, which by themselves find the passages that tell what they mean."""
    return " ".join(dict.fromkeys(word for word in _WORD.findall(query) if word.isupper()))


def spelled_out(query: str, texts: Sequence[str]) -> str:
    """The query with what its acronyms stand for in their place; the query itself where the texts say of none."""
    asked = {word.upper() for word in _WORD.findall(query) if word.isupper() or not is_small(word)}
    asked -= {acronym for acronym, _ in _defined(query, asked)}  # those that the query spells out itself
    said: dict[str, Counter[str]] = {}
    for text in texts:
        for acronym, meaning in set(_defined(text, asked)):
            said.setdefault(acronym, Counter())[meaning] += 1
    heard = set(words(query))
    told = {}
    for acronym, counts in said.items():
        meaning = _most(counts)
        known = set(words(meaning)) <= heard
        if not known and (re.search(rf"\b{acronym}\b", query) or not _ordinary(acronym.lower(), texts)):
            told[acronym] = meaning
    return _WORD.sub(lambda found: told.get(found[0].upper(), found[0]), query) if told else query


def _most(counts: Counter[str]) -> str:
    return min(counts, key=lambda meaning: (-counts[meaning], meaning))


def _ordinary(word: str, texts: Sequence[str]) -> bool:
    """Whether the texts have a word in small letters."""
    whole = re.compile(rf"\b{word}\b")
    return any(whole.search(text) for text in texts)


def _defined(text: str, asked: set[str]) -> Iterator[tuple[str, str]]:
    """Those of the acronyms that the text spells out just before it puts them in brackets, each with its meaning."""
    for found in _BRACKETED.finditer(text):
        if found[1] in asked:
            before = _BREAK.split(text[max(0, found.start() - _REACH) : found.start()])[-1]
            meaning = _meaning(found[1], " ".join(_before(before, len(found[1]))))
            if meaning:
                yield found[1], meaning


def _before(text: str, letters: int) -> list[str]:
    """The last words of a text among which the meaning of an acronym of so many letters is sought."""
    return text.casefold().split()[-min(2 * letters + 3, letters + 8) :]


def _meaning(acronym: str, said: str) -> str:
    """The end of `said` that has the acronym's letters in order and begins with its first; empty where none has."""
    letters = [without_accents(character)[:1] for character in said]
    at = len(said)
    for place in range(len(acronym) - 1, -1, -1):
        at -= 1
        while at >= 0 and (letters[at] != acronym[place].lower() or (place == 0 and _inside(said, at))):
            at -= 1
        if at < 0:
            return ""
    meaning = said[at:].strip(" «»\"“”'’")
    return meaning if len(meaning.split()) > 1 else ""


def _inside(text: str, at: int) -> bool:
    """Whether a character is within a word, and not its first."""
    return at > 0 and text[at - 1].isalnum()
