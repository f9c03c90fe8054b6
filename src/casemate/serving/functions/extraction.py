"""Extraction: the sentences of long documents that hold most of what these speak of, without a model.

Rules. Deterministic and in bounded memory: stems that are said seldom are forgotten, and only the best sentences are
held. A sentence that repeats another is left out; what speaks to a model is never taken. Pure.
"""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from casemate.serving.answers.context import Source
from casemate.serving.answers.events import Citation
from casemate.serving.answers.facts import facts
from casemate.serving.answers.hostile import CUT
from casemate.serving.answers.sentences import sentences

MOST_STEMS = 20_000
HELD = 400  # so that what repeats the best does not crowd out what differs
_LEAST_CHARACTERS, _MOST_CHARACTERS = 30, 600


@dataclass(frozen=True)
class Kept:
    """A sentence that may be in the synthesis, with where it stands and its citation."""

    text: str
    place: int
    citation: Citation
    score: float = 0.0


def spoken_of(sources: Iterator[Source]) -> Counter[str]:
    """How often each stem is said, of the stems that are said most."""
    counts: Counter[str] = Counter()
    for source in sources:
        for text in texts(source):
            counts.update(facts(text).stems)
        if len(counts) > MOST_STEMS:
            counts = Counter(dict(counts.most_common(MOST_STEMS // 2)))
    return counts


def extract(sources: Iterator[Source], counts: Counter[str], subject: str, most: int) -> list[Kept]:
    """The sentences that hold most of what is spoken of, in the order of the documents."""
    wanted = facts(subject).stems
    best: list[tuple[float, int, Kept]] = []
    place = 0
    for source in sources:
        for text in texts(source):
            place += 1
            score = _centrality(text, counts, wanted)
            # Of equals, the earlier one stays: the heap lets the last go first.
            heapq.heappush(best, (score, -place, Kept(text, place, source.citation, score)))
            if len(best) > HELD:
                heapq.heappop(best)
    return different([kept for _, _, kept in sorted(best, key=lambda item: (-item[0], -item[1]))], most)


def best_of(kept: Sequence[Kept], most: int) -> list[Kept]:
    """The best of what was kept, in its order."""
    return sorted(sorted(kept, key=lambda one: (-one.score, one.place))[:most], key=lambda one: one.place)


def texts(source: Source) -> Iterator[str]:
    """The sentences of a passage that can stand alone."""
    for cut in sentences(source.citation.text):
        text = " ".join(cut.text.split())
        if _LEAST_CHARACTERS <= len(text) <= _MOST_CHARACTERS and CUT not in text and " | " not in text:
            yield text


def _centrality(text: str, spoken_of: Counter[str], subject: frozenset[str]) -> float:
    stems = facts(text).stems
    if len(stems) < 3:
        return 0.0
    weight = sum(math.log1p(spoken_of[stem] - 1) for stem in sorted(stems) if spoken_of[stem] > 1)
    bonus = 1.0 + len(stems & subject)
    return round(bonus * weight / math.sqrt(len(stems)), 9)


def different(ranked: Sequence[Kept], count: int) -> list[Kept]:
    """The first `count` that do not repeat one another, in the order of the documents."""
    chosen: list[tuple[Kept, frozenset[str]]] = []
    for kept in ranked:
        stems = facts(kept.text).stems
        if len(chosen) < count and all(len(stems & s) <= 0.6 * min(len(stems), len(s)) for _, s in chosen):
            chosen.append((kept, stems))
    return sorted((kept for kept, _ in chosen), key=lambda kept: kept.place)
