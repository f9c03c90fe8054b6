"""Which marking a text probably has: a suggestion for a person, never a decision.

Rules. Two sources: markings that are written in the text (banners and portion marks of the site's policy), and the
markings of documents that the reader may read and that the text resembles. The suggestion is their join with the
marking that the person declared: it never lowers one. A text in which nothing is found gets no suggestion, which is not
the lowest marking. Pure.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from casemate.errors import BadMarking
from casemate.markings import Marking, Policy
from casemate.markings.policy import fold

RESEMBLES = 0.6
_MAX_CHARACTERS = 2_000_000
_PORTION = re.compile(r"[(\[]\s?([A-ZÀ-Þ][A-ZÀ-Þa-zà-ÿ /,'’-]{0,80}?)\s?[)\]]")
_BANNER = re.compile(r"[A-ZÀ-Þ].{1,120}")


@dataclass(frozen=True)
class Reason:
    """Why a marking is suggested: it is `written` so often, or a document `resembles` the text so much."""

    kind: str
    marking: Marking
    count: int = 1
    likeness: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The reason as JSON-ready facts."""
        return {
            "kind": self.kind, "marking": str(self.marking), "count": self.count, "likeness": round(self.likeness, 3),
        }  # fmt: skip


@dataclass(frozen=True)
class Suggestion:
    """The marking suggested (None where nothing speaks for any) and why."""

    marking: Marking | None
    reasons: tuple[Reason, ...]

    def to_json(self) -> dict[str, Any]:
        """The suggestion as JSON-ready facts."""
        return {
            "suggestion": None if self.marking is None else str(self.marking),
            "reasons": [reason.to_json() for reason in self.reasons],
        }  # fmt: skip


def suggest(
    text: str, policy: Policy, *, declared: Marking | None = None, similar: Sequence[tuple[Marking, float]] = ()
) -> Suggestion:
    """The likely marking of a text; `similar` are documents that the reader may read, with a likeness in [0, 1]."""
    counts = Counter(written(text[:_MAX_CHARACTERS], policy))
    reasons = [Reason("written", marking, count) for marking, count in sorted(counts.items(), key=lambda i: str(i[0]))]
    alike: dict[Marking, float] = {}
    for marking, likeness in similar:
        if likeness >= RESEMBLES:
            alike[marking] = max(likeness, alike.get(marking, 0.0))
    reasons += [Reason("resembles", m, 1, likeness) for m, likeness in sorted(alike.items(), key=lambda i: str(i[0]))]
    markings = [reason.marking for reason in reasons]
    if not markings:
        return Suggestion(None, ())
    return Suggestion(Marking.join_all(declared or policy.lowest, markings), tuple(reasons))


def written(text: str, policy: Policy) -> Iterator[Marking]:
    """Every marking that is written in a text: portion marks in brackets, and lines that are a banner."""
    plain = unicodedata.normalize("NFC", text)
    for match in _PORTION.finditer(plain):
        if found := _parsed(match[1], policy):
            yield found
    for raw in plain.split("\n"):
        banner = _undecorated(raw)
        line = " ".join(banner.split())
        if _BANNER.fullmatch(banner) and line == line.upper() and (found := _parsed(line, policy)):
            yield found


def _undecorated(line: str) -> str:
    """A line without what is neither a letter nor a digit at its ends, read once however long it is."""
    first = next((place for place, c in enumerate(line) if c.isalnum()), len(line))
    last = next((place for place in range(len(line), first, -1) if line[place - 1].isalnum()), first)
    return line[first:last]


def _parsed(words: str, policy: Policy) -> Marking | None:
    """A marking as the policy reads it; a caveat alone is one at the lowest level."""
    text = re.sub(r"\s*(?://|/| - | – |, )\s*", "//", words.strip())
    for candidate in (text, f"{policy.lowest}//{text}"):
        try:
            return policy.parse(candidate)
        except BadMarking:
            continue
    levels = sorted((w for level in policy.levels for w in (level.code, *dict(level.names).values())), key=len)
    for word in reversed(levels):  # "SECRET SPÉCIAL FRANCE": a level and then caveats, with nothing between
        if fold(text).startswith(fold(word) + " "):
            try:
                return policy.parse(f"{word}//{text[len(word) + 1 :]}")
            except BadMarking:
                continue
    return None
