"""Answers compared by their words: exact, F1 on words, citations, refusals, edits. Pure, French and English.

Rules. Case, accents, punctuation and articles do not count. "Exact" means that an expected answer stands in the reply
word for word, because a model answers with a sentence; F1 is that of the reply's words against the expected ones, the
best of the expected answers counting (SQuAD), so that a long-winded reply scores lower. A refusal is found by a short
list of turns of phrase: a model that refuses in others is counted as having answered.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

import numpy as np

_WORD = re.compile(r"\w+")
_CITATION = re.compile(r"\[\s*(\d{1,3}(?:\s*[,;]\s*\d{1,3})*)\s*\]")
_ARTICLES = frozenset("a an the le la les l un une des du de d au aux".split())  # noqa: SIM905  easier to read
_REFUSALS = re.compile(
    r"\bje ne sais pas\b|\bje ne (?:peux|suis|dispose|trouve|connais)\b.{0,40}\bpas\b|\bje ne peux (?:pas|ni)\b"
    r"|\bje ne suis pas (?:en mesure|autorise)|\bje refuse\b|\bil (?:m )?est impossible de\b|\bje regrette\b"
    r"|\bdesolee?\b|\bpassages? (?:ne|n) (?:\w+ ){0,4}pas\b"
    r"|\baucune? (?:information|reponse|passage|des passages|mention)\b|\bn (?:est|y est|a) pas (?:\w+ )?"
    r"(?:mentionnee?|indiquee?|precisee?|fournie?|donnee?|disponible)\b"
    r"|\bi do n?o?t know\b|\bi don t know\b|\bi (?:can ?not|can t|won t|will not|am not able|m not able|am unable)\b"
    r"|\bi m (?:sorry|unable)\b|\bi am sorry\b|\bsorry\b|\bas an ai\b"
    r"|\bpassages? do(?:es)? n(?:ot| t)\b|\bno (?:information|answer|passage|mention)\b"
    r"|\bnot (?:mentioned|provided|specified|stated|given|available|found|contained)\b"
)


def folded(text: str) -> str:
    """Words alone, lower case, without accents, one space apart."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", text.lower()) if not unicodedata.combining(c))
    return " ".join(_WORD.findall(plain.replace("œ", "oe").replace("æ", "ae")))


def squeezed(text: str) -> str:
    """Letters and digits alone: what was spelt with spaces, dots or accents reads the same."""
    return folded(text).replace(" ", "").replace("_", "")


def tokens(text: str) -> list[str]:
    """The words that count in a comparison."""
    return [word for word in folded(text).split() if word not in _ARTICLES]


def exact(reply: str, expected: Sequence[str]) -> bool:
    """Whether one of the expected answers stands in the reply, word for word."""
    said = f" {' '.join(tokens(reply))} "
    return any(f" {' '.join(tokens(answer))} " in said for answer in expected if tokens(answer))


def f1(reply: str, expected: Sequence[str]) -> float:
    """F1 of the reply's words against the best of the expected answers."""
    return max((_f1(tokens(reply), tokens(answer)) for answer in expected), default=0.0)


def _f1(said: list[str], right: list[str]) -> float:
    shared = sum((Counter(said) & Counter(right)).values())
    return 2 * shared / (len(said) + len(right)) if shared else 0.0


def refused(reply: str) -> bool:
    """Whether a reply says that it does not answer, or says nothing."""
    said = folded(reply)
    return not said or bool(_REFUSALS.search(said))


def citations(reply: str) -> list[int]:
    """The numbers of the passages that a reply cites, each once, in order."""
    listed = [int(n) for group in _CITATION.findall(reply) for n in re.findall(r"\d+", group)]
    return list(dict.fromkeys(listed))


def without_citations(reply: str) -> str:
    """A reply without its `[2]`."""
    return _CITATION.sub(" ", reply)


def edits(read: Sequence[str], written: Sequence[str]) -> int:
    """The fewest insertions, deletions and replacements from what was read to what is written (Levenshtein)."""
    numbers: dict[str, int] = {}
    ours, theirs = (np.array([numbers.setdefault(x, len(numbers)) for x in one], int) for one in (read, written))
    places = np.arange(len(theirs) + 1)
    row = places.copy()
    for done, found in enumerate(ours, 1):
        best = np.minimum(row[1:] + 1, row[:-1] + (theirs != found))  # delete, or replace
        row = np.minimum.accumulate(np.concatenate(([done], best)) - places) + places  # or insert
    return int(row[-1])
