"""French or English, by the small words of a text: what an answer is worded in. Word lists are beside, one a file."""

from __future__ import annotations

import functools
import re
from importlib import resources

_WORD = re.compile(r"[^\W\d_]+")


@functools.lru_cache(maxsize=8)
def word_list(name: str) -> frozenset[str]:
    """The words of a list."""
    file = resources.files("casemate.serving.answers").joinpath("words", f"{name}.txt")
    return frozenset(file.read_text(encoding="utf-8").split())


def language_of(text: str, default: str) -> str:
    """French (fr) or English (en), whichever has more of its small words in the text; `default` where neither has."""
    words = [word.lower() for word in _WORD.findall(text[:20_000])]
    french, english = (sum(w in word_list(name) for w in words) for name in ("french", "english"))
    if french == english:
        return default
    return "fr" if french > english else "en"
