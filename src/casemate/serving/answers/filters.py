"""What leaves an engine is text of unknown origin: what may not leave is taken out or the sentence is dropped.

Rules. No control text; no images, tags, or addresses that no cited passage holds as they are, nor any with a query,
because whoever shows them could be made to fetch them; no sentence that repeats the system's prompt; no sentence that
claims a marking for the answer, because the application writes it. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from casemate.markings import Policy
from casemate.serving.answers.facts import folded
from casemate.serving.answers.hostile import clean, neutral

SHINGLE_WORDS = 6
_LEAK_SHARE = 0.5

_IMAGE = re.compile(r"!\[[^\]\n]{0,500}\](?:\([^)\n]{0,2000}\)?|\[[^\]\n]{0,200}\])?")
_LINK = re.compile(r"\[([^\]\n]{0,500})\]\(([^)\n]{0,2000})\)?")
_TAG = re.compile(r"</?[A-Za-z!][^<>\n]{0,2000}>")
_ADDRESS = re.compile(
    r"(?:\b[a-z][a-z0-9+.-]{1,20}:(?://)?|\bwww\.)[^\s<>\"'«»()\[\]]{3,2000}"
    r"|(?<![\w.@-])[\w-]{1,63}(?:\.[\w-]{1,63}){0,6}\.[a-z]{2,24}(?::\d{1,5})?/[^\s<>\"'«»()\[\]]{1,2000}"
    r"|(?<![\w.%+-])[\w.%+-]{1,64}@(?:[\w-]{1,63}\.){1,6}[a-z]{2,24}",
    re.IGNORECASE,
)
_SCHEMES = re.compile(r"^(?:https?|ftp|file|data|javascript|mailto|ws|wss|smb|ssh)\b|^www\.|://|[/@]", re.IGNORECASE)
_WORD = re.compile(r"\w+")
_REMOVED = {"fr": "[adresse retirée]", "en": "[address removed]"}


@dataclass(frozen=True)
class Filtered:
    """A sentence as it may leave; empty where it may not. `found` are the kinds of what was taken out."""

    text: str
    found: frozenset[str] = frozenset()


class Filters:
    """The filters of one answer: what its system prompt is, and which words are markings here."""

    def __init__(self, system: str, policy: Policy, language: str) -> None:
        self._prompt = _shingles(system)
        self._claims = _claims(policy)
        self._language = language

    def apply(self, sentence: str, sources: Sequence[str]) -> Filtered:
        """The sentence as it may leave; `sources` are the texts that it may take addresses from."""
        found: set[str] = set()
        text, hides = clean(sentence)
        text, had_tokens = neutral(text)
        if hides or had_tokens:
            found.add("control text")
        bare = _LINK.sub(lambda m: m[1], _IMAGE.sub("", text))
        bare = _TAG.sub("", bare)
        if bare != text:
            found.add("links or images")
        bare, removed = self._addresses(bare, sources)
        if removed:
            found.add("addresses")
        unmarked = self._claims.sub("", bare)
        if unmarked != bare:
            found.add("claimed markings")
        if self._leaks(unmarked):
            return Filtered("", frozenset({*found, "system prompt"}))
        return Filtered(" ".join(unmarked.split()), frozenset(found))

    def _addresses(self, text: str, sources: Sequence[str]) -> tuple[str, bool]:
        removed = False

        def one(match: re.Match[str]) -> str:
            nonlocal removed
            address = match[0].rstrip(".,;:!?…")
            if not _SCHEMES.search(address):
                return match[0]
            if not re.search(r"[?#]|^data:|^javascript:", address, re.IGNORECASE) and any(
                address in s for s in sources
            ):
                return match[0]
            removed = True
            return _REMOVED["fr" if self._language == "fr" else "en"] + match[0][len(address) :]

        return _ADDRESS.sub(one, text), removed

    def _leaks(self, text: str) -> bool:
        said = _shingles(text)
        return bool(said) and len(said & self._prompt) >= max(1, _LEAK_SHARE * len(said))


def _shingles(text: str) -> frozenset[tuple[str, ...]]:
    words = [folded(word) for word in _WORD.findall(text)]
    return frozenset(tuple(words[i : i + SHINGLE_WORDS]) for i in range(len(words) - SHINGLE_WORDS + 1))


def _claims(policy: Policy) -> re.Pattern[str]:
    """What looks like a banner or a portion mark of the policy, or says how the answer is marked."""
    codes = [re.escape(level.code) for level in policy.levels]
    names = [name for level in policy.levels for _, name in level.names]
    spelled = "|".join(sorted({re.escape(form) for name in names for form in _forms(name)}, key=len, reverse=True))
    rest = r"(?:\s?//\s?[^)\]\n]{1,80})?"
    capitals = "|".join(
        sorted({re.escape(form.upper()) for name in names for form in _forms(name)}, key=len, reverse=True)
    )
    parts = [
        rf"[(\[]\s?(?:{'|'.join(codes)}|{capitals}){rest}\s?[)\]]",
        rf"(?i:\b(?:classification|marking|marquage|mention|niveau)\s?[:=]\s?(?:{'|'.join(codes)}|{spelled}){rest}\b\.?)",
        rf"(?i:\b(?:this|the)\s(?:answer|document|text|response)\sis\s(?:{spelled}|unclassified|public)\b[^.\n]{{0,80}}\.?)",
        rf"(?i:\b(?:cette|la)\sréponse\sest\s(?:{spelled}|non\sclassifiée?|publique)\b[^.\n]{{0,80}}\.?)",
        r"(?i:\b(?:ce|le)\s(?:document|texte)\sest\s(?:non\sclassifié|non\sprotégé|public)\b[^.\n]{0,80}\.?)",
        rf"^\s*(?:{capitals})(?:\s?//\s?[A-Z ,]{{1,80}})?\s*$",
    ]
    return re.compile("|".join(parts), re.MULTILINE)


def _forms(name: str) -> set[str]:
    plain = "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))
    return {name, plain, f"{name}e", f"{plain}e"} if name.endswith("é") else {name, plain}
