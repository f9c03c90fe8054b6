"""Which languages a set is in, counted by record.

Rules. What a record says of itself counts; others are identified from their first 2,000 characters, at most 500 of them
spread evenly over the set, and the counts are scaled up to all. The same set gives the same counts. A text too short to
tell (20 letters) is counted as "" (unknown).
"""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from typing import Any

from casemate.modalities.language.corpus import LanguageDataset

_SAMPLED = 500
_HEAD = 2000
_LEAST_LETTERS = 20


def count(dataset: LanguageDataset) -> dict[str, int]:
    """Records by language, the most first."""
    told = [
        r.language
        for group in (dataset.texts, dataset.conversations, dataset.questions, dataset.attacks, dataset.pages)
        for r in group
    ]
    found = Counter(code for code in told if code)
    silent = [text for (_, text), code in zip(dataset.contents(), told, strict=True) if not code]
    step = max(1, -(-len(silent) // _SAMPLED))
    sampled = Counter(language_of(text) for text in silent[::step])
    seen = sum(sampled.values())
    for code, number in sampled.items():
        found[code] += round(number * len(silent) / seen)
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))


def language_of(text: str) -> str:
    """The language of a text as its ISO code, or nothing where there is too little of it."""
    head = text[:_HEAD]
    if sum(c.isalpha() for c in head) < _LEAST_LETTERS:
        return ""
    return str(_identifier().classify(head)[0])


@lru_cache(maxsize=1)
def _identifier() -> Any:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE)
