"""One kind of personal data or secret: an expression, what its match must satisfy, and where it is worth looking.

Expressions are slow and most text holds nothing, so a pattern is tried only around its anchors, or around numbers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

# Runs of digits and of what may stand between them, not after a decimal point. Its first digit stands first because
# such expressions are fast; the run is then looked at more closely.
_NUMBERS = re.compile(r"[0-9](?<![0-9.][0-9])(?:[0-9 ()\u00a0/-]{4,}|[0-9]{0,3}(?:\.[0-9]{1,4}){2,})")
_LEAST_DIGITS, _LEAST_IN_A_ROW = 6, 9
_BEFORE_NUMBER, _AFTER_NUMBER = 64, 40
_CHARS_AN_ANCHOR = 200  # where anchors are closer than that, the whole text is gone through


@dataclass(frozen=True)
class Pattern:
    """A kind: the whole match counts, or its group `it`; `holds` checks it.

    It is tried near numbers if `near` says so, else around its anchors (`before` and `after` characters), one of which
    every match holds: words, or what an expression finds. Such an expression should begin with a character or a small
    set of them, and that with a rare one: the search for it is then nearly as fast as for a word.
    """

    kind: str
    expression: re.Pattern[str]
    holds: Callable[[str], bool] | None = None
    near: Literal["numbers", "anchors"] = "anchors"
    anchors: tuple[str, ...] | re.Pattern[str] = ()
    before: int = 8
    after: int = 300

    def spans(self, text: str, numbers: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
        """Where it stands in a text, of which `numbers` are the places worth looking for numbers."""
        for start, end in numbers if self.near == "numbers" else self._around(text):
            for match in self.expression.finditer(text, start, end):
                group = "it" if "it" in match.re.groupindex else 0
                if self.holds is None or self.holds(match[group]):
                    yield match.span(group)

    def _around(self, text: str) -> list[tuple[int, int]]:
        windows = []
        for start, end in self._places(text):
            windows.append((max(0, start - self.before), end + self.after))
            if len(windows) * _CHARS_AN_ANCHOR >= len(text):
                return [(0, len(text))]
        return merged(sorted(windows))

    def _places(self, text: str) -> Iterator[tuple[int, int]]:
        """Where the anchors stand."""
        if isinstance(self.anchors, re.Pattern):
            yield from (match.span() for match in self.anchors.finditer(text))
            return
        for anchor in self.anchors:
            at = text.find(anchor)
            while at >= 0:
                yield at, at + len(anchor)
                at = text.find(anchor, at + 1)


def merged(windows: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Windows in order, those that touch made one."""
    found: list[tuple[int, int]] = []
    for start, end in windows:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def near_numbers(text: str) -> list[tuple[int, int]]:
    """The places of numbers that may be a person's, and some text around each; coordinates and counts are not."""
    return merged(
        (max(0, match.start() - _BEFORE_NUMBER), match.end() + _AFTER_NUMBER)
        for match in _NUMBERS.finditer(text)
        if _may_be_a_persons(match[0], text[match.end() : match.end() + 1])
    )


def _may_be_a_persons(run: str, following: str) -> bool:
    if run.isdecimal():
        return len(run) >= _LEAST_IN_A_ROW or (following in {"A", "B", "a", "b"} and len(run) >= _LEAST_DIGITS)
    return len(digits(run)) >= _LEAST_DIGITS


def digits(value: str) -> str:
    """The decimal digits of a value."""
    return "".join(c for c in value if c in "0123456789")


def luhn(value: str) -> bool:
    """Whether the last digit checks the others (ISO/IEC 7812-1, annex B)."""
    total = 0
    for i, c in enumerate(reversed(digits(value))):
        n = int(c) * (2 if i % 2 else 1)
        total += n - 9 if n > 9 else n
    return total % 10 == 0
