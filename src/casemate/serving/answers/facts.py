"""What a sentence claims, as far as it can be read without understanding it: stems, numbers, names, negation.

Rules. Numbers are compared by value ("1 234,5" and "1,234.5" are one), spelled-out numbers up to sixty as digits, names
and acronyms by their letters without accents. An identifier of letters and digits ("A320", "RGPD-32b", "L.121-3") is
one name, and its digits are no numbers; a quantity with its unit ("10km", "9h30") is a number. Stems are Snowball's,
French and English both, because a site holds both. What carries no content (articles, connectives, what introduces a
quotation) claims nothing. Pure.
"""

from __future__ import annotations

import functools
import itertools
import re
import unicodedata
from dataclasses import dataclass

import Stemmer

from casemate.serving.answers.languages import word_list

_WORD = re.compile(r"[^\W\d_]+(?:[-][^\W\d_]+)*|\d[\d\w]*", re.UNICODE)
_NUMBER = re.compile(r"(?<![\w.,])\d{1,3}(?:[ \u00a0\u202f.,']\d{3})+(?:[.,]\d{1,9})?(?![\w])|\d+(?:[.,]\d+)?")
_TOKEN = re.compile(r"(?<![\w@])[^\W_]\w*+(?:[-./][^\W_]\w*+)*+")
_ARTICLE = re.compile(  # of a code: L.121-3, "R. 57", "L 121-3"
    r"(?<!\w)[LRD](?:\.[ \u00a0\u202f]?\d{1,4}(?:-\d{1,4})*+|[ \u00a0\u202f]\d{1,4}(?:-\d{1,4})++)(?!\w)"
)
_APART = re.compile(r"(?<!\w)([^\W\d_]{1,12})[ \u00a0\u202f-](\d{1,9}(?:-\d{1,9})*+)(?!\w)")  # Boeing 747, A 320
_PLATE = re.compile(r"\d++[A-Z]++\d\w*+(?:[-./]\w++)*+")  # begins with a digit and is no quantity: 2A04
_TIMED = re.compile(r"\d{1,2}[hH]\d{0,2}")
_BETWEEN = re.compile(r"(?<!\d)[-./\s](?=.)|[-./\s](?!\d)")  # what does not stand between two digits
_LONGEST_IDENTIFIER = 40
_GROUPED = re.compile(r"\d{1,3}(?:[.,]\d{3})+")
_ACRONYM = re.compile(r"[A-ZÀ-Þ][A-ZÀ-Þ0-9]+")
_TITLE = re.compile(r"\b(?:M|MM|Me|Dr|Pr|Mr|Mrs|Ms|St|[A-Z])\.$")
_CITED = re.compile(r"\[\s?\d{1,3}(?:\s?[,;]\s?\d{1,3})*\s?\]")
_LEAD = re.compile(
    r"^\W*(?:(?:selon|d['’]après|dans|according to|as stated in|in)\s+(?:(?:le|la|les|ce|cet|the|this)\s+)?"
    r"(?:passages?|documents?|extraits?|textes?|sources?|excerpts?|text)(?:\s+(?:\d{1,3}|fournis?|provided|above))?\s*[,:]\s*"
    r"|(?:le|the)\s+(?:passage|document)\s+(?:\d{1,3}\s+)?(?:indique|précise|dit|states|says)\s+(?:que\s|qu['’]|that\s)\s*)",
    re.IGNORECASE,
)
_CONTRACTED = re.compile(r"\b(?:n['’](?=\w)|\w{2,7}n['’]t\b)", re.IGNORECASE)
# "ne … que" restricts and does not deny. Possessive: a long word is read in one way and not in all of them.
_ONLY = re.compile(r"\bn(?:e\s|['’])\W*+\w++(?:\W++\w++){0,5}?\W++que\b", re.IGNORECASE)
_SPELLED = {
    word: value
    for value, words in {
        2: "deux two", 3: "trois three", 4: "quatre four", 5: "cinq five", 6: "six", 7: "sept seven", 8: "huit eight",
        9: "neuf nine", 10: "dix ten", 11: "onze eleven", 12: "douze twelve", 13: "treize thirteen",
        14: "quatorze fourteen", 15: "quinze fifteen", 16: "seize sixteen", 20: "vingt twenty", 30: "trente thirty",
        40: "quarante forty", 50: "cinquante fifty", 60: "soixante sixty", 100: "cent hundred", 1000: "mille thousand",
    }.items()
    for word in words.split()
}  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """What a text claims: content stems, values of numbers, names (folded), and whether it denies.

    `subjects` are the stems of what begins its sentences with a capital: it may be a name, so it must be there.
    """

    stems: frozenset[str]
    numbers: frozenset[str]
    names: frozenset[str]
    denies: bool
    subjects: frozenset[str] = frozenset()

    @property
    def empty(self) -> bool:
        """Whether nothing is claimed that could be checked."""
        return not (self.stems or self.numbers or self.names)

    def joined(self, other: Facts) -> Facts:
        """What two texts claim together."""
        return Facts(
            self.stems | other.stems, self.numbers | other.numbers, self.names | other.names,
            self.denies or other.denies, self.subjects | other.subjects,
        )  # fmt: skip


def bare(text: str) -> str:
    """A sentence without citations of the engine's own and without what introduces a quotation."""
    return _LEAD.sub("", _CITED.sub("", text), count=1)


def folded(word: str) -> str:
    """A word in small letters, without accents."""
    if word.isascii():
        return word.lower()
    return "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))


def facts(text: str) -> Facts:
    """What a text claims."""
    identifiers, text = _identifiers(text)
    words = [(match[0], match.start()) for match in _WORD.finditer(text)]
    content = [word for word, _ in words if _is_content(word)]
    stems = frozenset(stem for word in content if len(word) > 1 for stem in _stems(word))
    spelled = {str(_SPELLED[key]) for word, _ in words if (key := folded(word)) in _SPELLED}
    names = {folded(word) for word, at in words if _is_name(word, at, text)}
    subjects = {_stems(words[0][0])[0]} if words and _is_subject(words[0][0]) else set()
    return Facts(stems, _numbers(text) | spelled, identifiers | names, denies(text), frozenset(subjects))


def denies(text: str) -> bool:
    """Whether a text denies something."""
    plain = _ONLY.sub(" ", text)
    return bool(_CONTRACTED.search(plain)) or any(m[0].lower() in _negations() for m in _WORD.finditer(plain))


def all_words(text: str) -> frozenset[str]:
    """Every word of a text, folded, and whatever may be an identifier: where a name is looked for."""
    words = {part for m in _WORD.finditer(text) for part in (folded(m[0]), *folded(m[0]).split("-"))}
    mixed = (m[0] for m in _TOKEN.finditer(text) if _is_mixed(m[0]))
    apart = (f"{m[1]}{m[2]}" for m in _APART.finditer(text))
    articles = (m[0] for m in _ARTICLE.finditer(text))
    return frozenset(words) | {identifier(one) for group in (mixed, apart, articles) for one in group}


def identifier(written: str) -> str:
    """An identifier in small letters, without what separates its letters from its digits: "L. 121-3" is "l121-3"."""
    return _BETWEEN.sub("", folded(written))


@functools.lru_cache(maxsize=1)
def empty_words() -> frozenset[str]:
    """Words that claim nothing, French and English."""
    return word_list("empty")


@functools.lru_cache(maxsize=1)
def _negations() -> frozenset[str]:
    return word_list("negations")


@functools.lru_cache(maxsize=2)
def _stemmer(language: str) -> Stemmer.Stemmer:
    return Stemmer.Stemmer(language)


def _stems(word: str) -> tuple[str, ...]:
    """One stem that both languages agree on as far as they can: French of the English, of the folded word."""
    plain = word.lower()
    return tuple(folded(_stemmer("french").stemWord(part)) for part in plain.split("-") if _says(part))


def _is_content(word: str) -> bool:
    return not (word[0].isdigit() or word.lower() in empty_words() or folded(word) in _SPELLED)


def _is_subject(word: str) -> bool:
    return len(word) > 2 and word[0].isupper() and _is_content(word) and bool(_stems(word))


def _says(part: str) -> bool:
    return len(part) > 1 and part not in empty_words()


def _is_name(word: str, at: int, text: str) -> bool:
    if len(word) < 2 or not word[0].isupper():
        return False
    if _ACRONYM.fullmatch(word):
        return True
    before = text[:at].rstrip(" \u00a0\"“«‘'’(")
    begins = not before or (not _TITLE.search(before) and before[-1] in ".!?…:;•-–—\n|]")
    return not begins and word.lower() not in empty_words()


def _identifiers(text: str) -> tuple[frozenset[str], str]:
    """The identifiers of a text, and the text with blanks in their places."""
    found: set[str] = set()

    def blank(match: re.Match[str]) -> str:
        if match.re is _TOKEN and not _is_identifier(match[0]):
            return match[0]
        found.add(identifier(match[0]))
        return " " * len(match[0])

    plain = _TOKEN.sub(blank, _ARTICLE.sub(blank, text))
    return frozenset(found), plain


def _is_mixed(token: str) -> bool:
    return len(token) <= _LONGEST_IDENTIFIER and any(map(str.isdigit, token)) and any(map(str.isalpha, token))


def _is_identifier(token: str) -> bool:
    """Whether letters and digits are one name: A320, RGPD-32b, v2; not 10km, 9h30, mi-2024, Boeing-747, art.5."""
    if not _is_mixed(token):
        return False
    head = "".join(itertools.takewhile(str.isalpha, token))
    if not head:
        return bool(_PLATE.fullmatch(token)) and not _TIMED.fullmatch(token)
    rest = token[len(head) :]
    if rest[0] not in "-./":
        return True
    return head.isupper() and (len(head) < 3 or any(map(str.isalpha, rest)))


def _numbers(text: str) -> frozenset[str]:
    return frozenset(_value(match[0]) for match in _NUMBER.finditer(text))


def _value(written: str) -> str:
    """The number's value as one text: no marks between thousands, a point, no noughts that say nothing.

    1.234 and 1,234 are read as thousands, in sentence and passage alike, which is what matters.
    """
    plain = re.sub(r"[ \u00a0\u202f']", "", written).lstrip("+")
    if _GROUPED.fullmatch(plain):
        plain = re.sub(r"[.,]", "", plain)
    head, _, tail = plain.replace(",", ".").rpartition(".") if re.search(r"[.,]", plain) else (plain, "", "")
    whole, part = re.sub(r"\D", "", head).lstrip("0") or "0", tail.rstrip("0")
    return f"{whole}.{part}" if part else whole
