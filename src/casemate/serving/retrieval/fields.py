"""The fields of a passage that are searched by words, and the pieces of it that are embedded.

Rules. Pure, and part of an index's format: whoever changes what is here changes FORMAT, and indexes are rebuilt. The
field `all` is the passage with its title and heading, without small words; `head` is title and heading once more, with
their small words, which tell « La CNIL, c'est quoi ? » from other titles that name it; `begins` is the first letters of
the words of `head`, unstemmed, where « médecins » meets « médicales » and most misspellings meet what they mean.
The first piece is title and heading alone; the others are whole sentences, at most PIECE_WORDS words of them, after the
title, so that each says what it is about.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from casemate.serving.retrieval.analysis import beginnings, query_terms, terms
from casemate.serving.retrieval.passages import Passage

FORMAT = "casemate-index/1"
PIECE_WORDS = 80
_SENTENCE = re.compile(r"(?<=[.!?…;])\s+|\n+")


def _all(passage: Passage) -> list[str]:
    return terms(f"{passage.title}\n{passage.heading}\n{passage.text}", passage.language)


def _head(passage: Passage) -> list[str]:
    return terms(f"{passage.title}\n{passage.heading}", passage.language, small=True)


def _begins(passage: Passage) -> list[str]:
    return beginnings(f"{passage.title}\n{passage.heading}")


def _query_all(query: str) -> list[str]:
    return query_terms(query)


def _query_head(query: str) -> list[str]:
    return query_terms(query, small=True)


def _query_begins(query: str) -> list[str]:
    return sorted(set(beginnings(query)))


@dataclass(frozen=True)
class Field:
    """One field: the terms that a passage has in it, and those by which a query looks for it (sorted, each once)."""

    passage: Callable[[Passage], list[str]]
    query: Callable[[str], list[str]]


FIELDS = {
    "all": Field(_all, _query_all),
    "head": Field(_head, _query_head),
    "begins": Field(_begins, _query_begins),
}


def pieces(passage: Passage) -> list[str]:
    """What is embedded of a passage: title and heading, then each piece of its text after them."""
    head = "\n".join(part for part in (passage.title, passage.heading) if part)
    return [head, *(f"{head}\n{body}".strip() for body in _bodies(passage.text))]


def piece_digest(text: str) -> bytes:
    """What names a piece among vectors: 32 hexadecimal digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32].encode()


def _bodies(text: str) -> Iterator[str]:
    """The text in runs of whole sentences of at most PIECE_WORDS words; a longer sentence is cut."""
    held: list[str] = []
    for sentence in _SENTENCE.split(text):
        words = sentence.split()
        if held and len(held) + len(words) > PIECE_WORDS:
            yield " ".join(held)
            held = []
        held += words
        while len(held) > PIECE_WORDS:
            yield " ".join(held[:PIECE_WORDS])
            held = held[PIECE_WORDS:]
    if held:
        yield " ".join(held)
