"""Answers without a model: the best sentences of the best passages, as they stand, with their citations.

Rules. Deterministic: the same hits give the same sentences. A sentence is scored by how much of the question it holds
and how early its passage came; what a passage says to a model is never quoted. A row of a table is scored with the head
of its table, which says what its columns are, and is quoted after it, with the rows that are as near; what follows a
row is another matter. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from casemate.serving.answers.context import Source
from casemate.serving.answers.events import Sentence
from casemate.serving.answers.facts import Facts, facts
from casemate.serving.answers.filters import Filters
from casemate.serving.answers.hostile import CUT
from casemate.serving.answers.sentences import sentences

MOST_SENTENCES = 4
LONGEST = 700
_HEADING_WORDS = 6
_CELLS = " | "
_RANK_DISCOUNT, _OTHER_PASSAGES, _LEAST_SHARE = 0.15, 2, 0.5


@dataclass(frozen=True)
class _Candidate:
    source: Source
    place: int
    text: str
    score: float
    head: str = ""

    @property
    def is_row(self) -> bool:
        """Whether it is a row of a table."""
        return _CELLS in self.text


def quote(question: str, sources: Sequence[Source], filters: Filters) -> Iterator[Sentence]:
    """The sentences to quote: the nearest of the first passage with the one after it, then the nearest of others."""
    asked = facts(question)
    chosen: list[_Candidate] = []
    for rank, source in enumerate(sources[: 1 + _OTHER_PASSAGES]):
        found = _candidates(asked, source, rank)
        if not found:
            continue
        best = max(found, key=lambda candidate: (candidate.score, -candidate.place))
        if rank and best.score * (1 + _RANK_DISCOUNT * rank) < _LEAST_SHARE:
            continue
        chosen.append(best)
        chosen.extend(c for c in found if best.head and c.head == best.head and c != best and c.score == best.score)
        chosen.extend(c for c in found if c.place == best.place + 1 and _goes_on(best, rank))
    texts = [source.citation.text for source in sources]
    seen: set[str] = set()
    for candidate in chosen[:MOST_SENTENCES]:
        for text in filter(None, (candidate.head, candidate.text)):
            kept = filters.apply(text, texts).text
            if kept and kept not in seen:
                apart = "\n" if candidate.is_row else " "
                yield Sentence(kept, (candidate.source.citation.number,), 1.0, before=apart if seen else "")
                seen.add(kept)


def _goes_on(best: _Candidate, rank: int) -> bool:
    """Whether the next sentence belongs to the answer: that of the first passage, or what a question or colon opens."""
    return not best.is_row and (rank == 0 or best.text.endswith(("?", ":")))


def _candidates(asked: Facts, source: Source, rank: int) -> list[_Candidate]:
    found: list[_Candidate] = []
    head = ""
    for place, cut in enumerate(sentences(source.citation.text)):
        text = " ".join(cut.text.split())
        is_row = _CELLS in text
        head = (head or text) if is_row and CUT not in text else head if is_row else ""
        if not text or CUT in text:
            continue
        above = head if is_row and head != text else ""
        score = _score(asked, text, above) / (1 + _RANK_DISCOUNT * rank)
        found.append(_Candidate(source, place, text[:LONGEST], score, above[:LONGEST]))
    return [candidate for candidate in found if not _is_heading(candidate.text)] or found


def _is_heading(text: str) -> bool:
    """Whether a line is a few words that no full stop ends: a title says what is asked, and answers nothing."""
    return len(text.split()) <= _HEADING_WORDS and text[-1].isalnum() and "|" not in text


def _score(asked: Facts, text: str, head: str) -> float:
    """How much of the question a sentence holds, or a row with its head: a row that holds none of it is not for it."""
    own = facts(text)
    alone = _share(asked, own)
    return _share(asked, own.joined(facts(head))) if head and alone else alone


def _share(asked: Facts, said: Facts) -> float:
    """How much of the question a sentence holds; a number or a name counts like two words."""
    total = len(asked.stems) + len(asked.numbers) + len(asked.names)
    held = len(asked.stems & said.stems) + len(asked.numbers & said.numbers) + len(asked.names & said.names)
    return held / total if total else 0.0
