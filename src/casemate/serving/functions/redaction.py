"""Personal data and secrets in a text, masked by kind, so that it can be shown to others.

Rules. What is found is what `airlock/personal` claims to find and no more: names only after a title, no postal
addresses. So a redacted text is for a person to read again, and the report says how many of each kind were masked and
never which. The same value gets the same number, so that the text can still be followed. The marking of the text does
not change: masking lowers nothing. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from casemate.airlock.personal import find
from casemate.airlock.personal.people import PERSONAL
from casemate.airlock.personal.secrets import SECRETS
from casemate.errors import BadInput

MAX_CHARACTERS = 5_000_000
KINDS = tuple(sorted({pattern.kind for pattern in (*PERSONAL, *SECRETS)}))
_FRENCH = {
    "AWS key": "CLÉ", "GitHub token": "JETON", "IBAN": "IBAN", "IP address": "ADRESSE IP", "NIR": "NIR",
    "SIREN": "SIREN", "SIRET": "SIRET", "e-mail address": "COURRIEL", "name after a title": "NOM", "npm token": "JETON",
    "password": "MOT DE PASSE", "password in an address": "MOT DE PASSE", "payment card": "CARTE BANCAIRE",
    "private key": "CLÉ PRIVÉE", "service token": "JETON", "signed token (JWT)": "JETON", "storage key": "CLÉ",
    "telephone number": "TÉLÉPHONE",
}  # fmt: skip
_ENGLISH = {
    "e-mail address": "E-MAIL", "name after a title": "NAME", "payment card": "CARD", "telephone number": "TELEPHONE",
    "password in an address": "PASSWORD", "signed token (JWT)": "TOKEN",
}  # fmt: skip


@dataclass(frozen=True)
class Redacted:
    """The masked text, and how many of each kind were masked."""

    text: str
    counts: Mapping[str, int]

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-ready facts."""
        return {"text": self.text, "counts": dict(self.counts)}


def redact(text: str, *, kinds: Collection[str] | None = None, language: str = "en") -> Redacted:
    """A text with personal data and secrets of these kinds (None: all) masked; BadInput for a kind that is none."""
    if len(text) > MAX_CHARACTERS:
        raise BadInput("text to redact", expected=f"at most {MAX_CHARACTERS} characters", found=len(text))
    for kind in sorted(kinds or ()):
        if kind not in KINDS:
            raise BadInput("kind of personal data", expected=f"one of {', '.join(KINDS)}", found=repr(kind))
    parts: list[str] = []
    numbers: dict[tuple[str, str], int] = {}
    counts: Counter[str] = Counter()
    after = 0
    for found in find(text):
        if kinds is not None and found.kind not in kinds:
            continue
        label, value = _label(found.kind, language), " ".join(text[found.start : found.end].split())
        number = numbers.setdefault((label, value), 1 + sum(known == label for known, _ in numbers))
        parts += [text[after : found.start], f"[{label} {number}]"]
        after = found.end
        counts[found.kind] += 1
    return Redacted("".join([*parts, text[after:]]), dict(sorted(counts.items())))


def _label(kind: str, language: str) -> str:
    return _FRENCH.get(kind, kind.upper()) if language == "fr" else _ENGLISH.get(kind, kind.upper())
