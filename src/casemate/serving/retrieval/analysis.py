"""From text to terms: Unicode folding, elisions, stop words and stems of French and English.

Rules. Pure: the same text and language give the same terms on every machine. Invisible characters (zero-width spaces,
soft hyphens, marks of direction) separate nothing and are dropped, so that nothing hides from a search behind them.
Accents go after stemming, which needs them, so that « cloturer » finds « clôturer ». A passage is analysed in its
language, a query in its own, or in both where it does not say. Terms are stems, not words: they are for matching only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache
from typing import Any

LANGUAGES = {"fr": "french", "en": "english"}
MAX_TERM = 40
_BEGINNING = 6
_WORD = re.compile(r"(?:[^\W_]\.){2,}|[^\W_]+(?:'[^\W_]+)*")
_ELISION = re.compile(r"(?:[ldjmtsnc]|qu|jusqu|lorsqu|puisqu|quoiqu|presqu|quelqu)'")
_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‘": "'", "′": "'", "`": "'"})
_STOP_FRENCH = """
a à afin ai ainsi alors après as au aucun aucune aujourd aura aurait aussi autre autres aux avaient avait avant avec
avez avoir avons ayant c ça car ce ceci cela celle celles celui cependant ces cet cette ceux chacun chaque chez ci
comme comment d dans de des depuis dès deux doit doivent donc dont du elle elles en encore entre es est et étaient
était étant été être eu eux faire fais fait faut font hors hui ici il ils j je l la là laquelle le lequel les
lesquelles lesquels leur leurs lors lui m ma mais me même mêmes mes mon n ne ni non nos notre nous on ont ou où par
parce pas pendant peu peut peuvent peux plus plusieurs pour pourquoi pouvez qu quand que quel quelle quelles quels qui
quoi s sa sans se selon sera seront ses si soit son sont sous suis sur t ta te tel telle telles tels tes toi ton tous
tout toute toutes très tu un une va vers voici voir vos votre vous y
"""
_STOP_ENGLISH = """
a about above after again all also am an and any are as at be because been before being below between both but by can
could did do does doing down during each few for from further had has have having he her here hers him his how i if in
into is it its itself just me more most my no nor not of off on once only or other our ours out over own same she should
so some such than that the their theirs them then there these they this those through to too under until up very was we
were what when where which while who whom why will with would you your yours s t
"""
_STOP = {"fr": frozenset(_STOP_FRENCH.split()), "en": frozenset(_STOP_ENGLISH.split())}


def words(text: str) -> list[str]:
    """The words of a text, folded to lower case and composed characters, in order."""
    folded = unicodedata.normalize("NFKC", text).translate(_APOSTROPHES).casefold()
    if not folded.isascii():
        for invisible in [c for c in set(folded) if unicodedata.category(c) == "Cf"]:
            folded = folded.replace(invisible, "")
    return [word.replace(".", "") for word in _WORD.findall(folded)]


def terms(text: str, language: str, *, small: bool = False) -> list[str]:
    """The terms of a text in a language, in order, `small` words too where they are asked for.

    A language that has no analyser keeps its words, unstemmed.
    """
    found = (_term(word, language, small) for word in words(text))
    return [term for term in found if term]


def query_terms(query: str, *, small: bool = False) -> list[str]:
    """The terms of a query, each once, sorted: in the query's language, or in both; `small` words too if asked for."""
    spoken = languages_of(query)
    found = {_term(word, language, small) for word in words(query) for language in spoken}
    return sorted(found - {""})


def beginnings(text: str) -> list[str]:
    """The first letters of the words of a text, without accents and elisions, in order."""
    return [without_accents(_ELISION.sub("", word))[:_BEGINNING] for word in words(text)]


def languages_of(query: str) -> tuple[str, ...]:
    """The languages in which a query may be, by its small words and accents; both where they do not tell."""
    heard = words(query)
    french = sum(_spoken(word, "fr") for word in heard) + any(c in "éèêàùçôîûœ" for word in heard for c in word)
    english = sum(_spoken(word, "en") for word in heard)
    if french > english:
        return ("fr",)
    return ("en",) if english > french else ("fr", "en")


def is_small(word: str) -> bool:
    """Whether a word is a small one (an article, a pronoun, …) in any language that is known."""
    return any(word.casefold() in stop for stop in _STOP.values())


def without_accents(word: str) -> str:
    """A word without its accents."""
    if word.isascii():
        return word
    return "".join(c for c in unicodedata.normalize("NFKD", word) if not unicodedata.combining(c))


def _spoken(word: str, language: str) -> bool:
    stop, other = _STOP[language], _STOP["en" if language == "fr" else "fr"]
    return (word in stop and word not in other) or (language == "fr" and _ELISION.match(word) is not None)


@lru_cache(maxsize=200_000)
def _term(word: str, language: str, small: bool) -> str:
    """The term of a word; empty for a small word, unless those are asked for."""
    bare = _ELISION.sub("", word) if language == "fr" else word.removesuffix("'s")
    bare = bare.replace("'", "")
    if not bare or (not small and bare in _STOP.get(language, frozenset())):
        return ""
    stemmed = _stemmer(language).stemWord(bare) if language in LANGUAGES else bare
    return without_accents(stemmed)[:MAX_TERM]


@cache
def _stemmer(language: str) -> Any:
    import Stemmer

    return Stemmer.Stemmer(LANGUAGES[language])
