"""Sentences of French and English text: of a whole text, or as it comes.

Rules. A sentence ends at a full stop, question mark, exclamation mark or ellipsis that is followed by a space and by
something that begins a sentence, or at the end of a line. Abbreviations, initials, decimals and list numbers do not end
one. Joining every `text + tail` gives the text back. A sentence without end is cut at 1,500 characters. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from casemate.serving.answers.languages import word_list

LONGEST = 1500
_AHEAD = 64  # more than a blank is long, so that pieces of any size are cut at the same places

_END = re.compile(
    r"(?:[.!?…]++[\"'”’»)\]⟧]*+(?:[ \u00a0\u202f]?»)?+(?:[ ]?\[\d{1,3}\])*+|(?=[ \t]{0,8}\n))(?P<tail>\s{1,50})"
)
_LAST_WORD = re.compile(r"([^\s(\"«“’']+)\.$")
_LIST_NUMBER = re.compile(r"\s*(?:\d{1,3}|[a-zA-Z])\.")
_BEGINS = re.compile(r"[A-ZÀ-ÖØ-Þ0-9\"“«'‘’(\[⟦*•\-–—¿¡#…]")


@dataclass(frozen=True)
class Cut:
    """A sentence and the blank after it."""

    text: str
    tail: str


def sentences(text: str) -> Iterator[Cut]:
    """The sentences of a whole text."""
    stream = Sentences()
    yield from stream.feed(text)
    yield from stream.end()


class Sentences:
    """Text that comes in pieces, given out a sentence at a time."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, text: str) -> Iterator[Cut]:
        """The sentences that are known to be whole now that `text` has come."""
        self._held += text
        start = 0
        while True:
            end = _ending(self._held, start)
            if end is None:
                break
            text_end, tail_end = end
            yield Cut(self._held[start:text_end], self._held[text_end:tail_end])
            start = tail_end
        self._held = self._held[start:]

    def end(self) -> Iterator[Cut]:
        """What is left."""
        held, self._held = self._held, ""
        if held:
            text = held.rstrip()
            yield Cut(text, held[len(text) :])

    def drop(self) -> bool:
        """Forget what is held; whether there was anything."""
        held, self._held = self._held, ""
        return bool(held.strip())


def _ending(text: str, start: int) -> tuple[int, int] | None:
    """Where the first whole sentence from `start` ends, without and with its blank."""
    for match in _END.finditer(text, start, start + LONGEST + _AHEAD):
        tail_start, tail_end = match.span("tail")
        if tail_end == len(text) or tail_start - start > LONGEST:
            break  # what follows decides, and it is not here yet; or it is too long
        if "\n" in match["tail"] or _is_end(text, start, tail_start, tail_end):
            return tail_start, tail_end
    if len(text) - start > LONGEST + _AHEAD:
        cut = text.rfind(" ", start, start + LONGEST)
        at = cut if cut > start else start + LONGEST
        return at, at + 1 if cut > start else at
    return None


def _is_end(text: str, start: int, end: int, following: int) -> bool:
    if not _BEGINS.match(text, following):
        return False
    if end - start < 12 and _LIST_NUMBER.fullmatch(text[start:end]):
        return False
    word = _LAST_WORD.search(text[max(start, end - 40) : end])
    if word is None:
        return True
    last = word[1].lower()
    return not (last in word_list("abbreviations") or (len(word[1]) == 1 and word[1].isupper()))
