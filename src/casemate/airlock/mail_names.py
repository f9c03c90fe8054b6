"""Names of what is attached to a mail: plain, each once, whatever the mail says. Pure."""

from __future__ import annotations

import unicodedata

_MOST = 120


class AttachedNames:
    """The names of one mail so far."""

    def __init__(self) -> None:
        """Begin with none."""
        self._seen: set[str] = set()

    def place(self, said: str) -> str:
        """A name for the next file."""
        last = said.replace("\\", "/").rpartition("/")[2]
        plain = "".join(c for c in last if c.isprintable() and unicodedata.category(c) != "Cf" and c != ":")
        plain = unicodedata.normalize("NFC", plain).strip(" .")
        stem, dot, end = plain.rpartition(".")
        plain = f"{stem[:_MOST]}{dot}{end[:16]}" if stem else plain[:_MOST]
        plain = plain or "attachment"
        stem, dot, end = plain.rpartition(".")
        unlike, number = plain, 2
        while unlike.casefold() in self._seen:
            unlike = f"{stem} ({number}){dot}{end}" if stem else f"{plain} ({number})"
            number += 1
        self._seen.add(unlike.casefold())
        return unlike
