"""Text as it is kept: no characters that hide, turn around or control what people and models read.

Rules. Stripped: controls other than tab and line feed, zero-width characters, directions, tags and other invisible
format characters, private use and what stands for nothing. What was stripped is counted and noted, never silent. Ends
of lines are one character; composed letters are composed (NFC).
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter

_LINE_ENDS = re.compile(r"\r\n?|[\u0085\u2028\u2029\x0b\x0c]")
# C0, C1, soft hyphen, zero width and directions, invisible operators, BOM, fillers, interlinear, tags, private use.
_HIDDEN = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff\ue000-\uf8ff\U000e0000-\U000e0fff\U000f0000-\U0010ffff"
    "\ud800-\udfff]"
)
_DIRECTION = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ZERO_WIDTH = frozenset("\u200b\u200c\u200d\u2060\ufeff\u180e")
_SPACES = re.compile(r"[^\S\n]+")
_EMPTY_LINES = re.compile(r" ?\n[ \n]*")


class Stripped:
    """Counts what was stripped from the texts of one document."""

    def __init__(self) -> None:
        """Nothing stripped yet."""
        self.counts: Counter[str] = Counter()

    def clean(self, text: str) -> str:
        """The text without what hides, spaces and ends of lines made plain."""
        text = _LINE_ENDS.sub("\n", text)
        text = _HIDDEN.sub(self._strip, text)
        text = _SPACES.sub(" ", unicodedata.normalize("NFC", text))
        return _EMPTY_LINES.sub("\n", text).strip()

    def notes(self) -> list[str]:
        """What was stripped, in words."""
        return [f"stripped: {count} {name}" for name, count in sorted(self.counts.items())]

    def _strip(self, found: re.Match[str]) -> str:
        character = found[0]
        if character in _DIRECTION:
            self.counts["direction characters"] += 1
        elif character in _ZERO_WIDTH:
            self.counts["zero-width characters"] += 1
        elif character == "\u00ad":  # where a word may be cut: no more than typography
            return ""
        else:
            self.counts["control or invisible characters"] += 1
        return ""
