"""In which language a text is, by py3langid, as a two-letter code; nothing where there is too little to tell."""

from __future__ import annotations

from functools import cache
from typing import Any

ENOUGH_WORDS = 6
ENOUGH_WORDS_TO_DIFFER = 20
_MOST_CHARACTERS = 4000


def language_of(text: str) -> str:
    """The language of a text."""
    if sum(any(map(str.isalpha, word)) for word in text.split()) < ENOUGH_WORDS:
        return ""
    return str(_identifier().classify(text[:_MOST_CHARACTERS])[0])


def language_within(text: str, document: str) -> str:
    """The language of a passage: its document's, unless it is long and plainly in another."""
    if len(text.split()) < ENOUGH_WORDS_TO_DIFFER:
        return document
    found, sure = _identifier().classify(text[:_MOST_CHARACTERS])
    return str(found) if sure > 0.98 else document


@cache
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
