"""Whether a passage supports a sentence: the application's own check of every citation.

Rules. Every number and every name of the sentence stands in the passage; enough of its content stems do, within a few
neighbouring sentences of it; a closer meaning (by the embedder) makes up for some stems and for no number or name. What
the nearest sentence of the passage denies while the answer affirms it, or the other way round, is a contradiction; so
is another number in an otherwise equal sentence. Lexical and cautious: a right paraphrase may be dropped, and then the
passages are quoted. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from casemate.serving.answers.facts import Facts, all_words, bare, facts
from casemate.serving.answers.hostile import CUT
from casemate.serving.answers.sentences import sentences
from casemate.serving.retrieval.embedding import Embedder

WINDOW_SENTENCES = 3

_CLAUSE = re.compile(
    r"[,;:()–—]|\b(?:et|mais|ou|car|donc|sauf|alors|bien|lorsque|quand|si|qui|and|but|or|unless|except|because|which|when|if)"
    r"\b",
    re.IGNORECASE,
)
_CLOSE_CLAUSE = 0.6


@dataclass(frozen=True)
class Thresholds:
    """How much is enough, in [0, 1]; calibrated by `bench/answers.py`, which prints what each value does."""

    stems: float = 0.8
    stems_with_meaning: float = 0.6
    meaning: float = 0.75
    contradiction: float = 0.8
    confidence: float = 0.25


class Verdict(Enum):
    """What the check of one sentence says."""

    SUPPORTED = "supported"
    UNSUPPORTED = "unsupported"
    CONTRADICTED = "contradicted"
    EMPTY = "empty"


@dataclass(frozen=True)
class Support:
    """The verdict, the places of the passages that support the sentence (best first), and how well."""

    verdict: Verdict
    places: tuple[int, ...] = ()
    score: float = 0.0
    why: str = ""


@dataclass(frozen=True)
class _Window:
    facts: Facts
    words: frozenset[str]


@dataclass(frozen=True)
class _Single:
    """One sentence of a passage, and its clauses: a denial counts in its own clause."""

    text: str
    facts: Facts
    clauses: tuple[Facts, ...]


@dataclass(frozen=True)
class Ground:
    """A passage, prepared for checks: windows of neighbouring sentences, and each sentence for what it denies."""

    text: str
    windows: tuple[_Window, ...]
    singles: tuple[_Single, ...]


def ground(text: str, title: str = "") -> Ground:
    """A passage prepared for checks; its title counts with every window, for that is what its sentences are about."""
    parts = [cut.text for cut in sentences(text) if cut.text.strip() and CUT not in cut.text]
    about = facts(title)
    about = Facts(about.stems, about.numbers, about.names, denies=False)
    windows = []
    for start in range(max(1, len(parts) - WINDOW_SENTENCES + 1)):
        joined = "\n".join(parts[start : start + WINDOW_SENTENCES])
        windows.append(_Window(facts(joined).joined(about), all_words(joined) | all_words(title)))
    return Ground(text, tuple(windows), tuple(_single(part) for part in parts))


def check(
    sentence: str, grounds: Sequence[Ground], thresholds: Thresholds, *, embedder: Embedder | None = None
) -> Support:
    """How the passages support a sentence."""
    said = bare(sentence)
    claim = facts(said)
    if claim.empty:
        return Support(Verdict.EMPTY)
    scored = sorted(((_score(claim, g), -place) for place, g in enumerate(grounds)), reverse=True)
    candidates = [(score, -place) for score, place in scored if score >= thresholds.stems_with_meaning]
    near = _meaning(said, [grounds[place] for _, place in candidates[:3]], embedder)
    good = [
        (score, place)
        for rank, (score, place) in enumerate(candidates)
        if score >= thresholds.stems or (rank < len(near) and near[rank] >= thresholds.meaning)
    ]
    against = _contradiction(claim, [grounds[place] for _, place in (good or candidates)], thresholds)
    if against:
        return Support(Verdict.CONTRADICTED, why=against)
    if good:
        best = good[0][0]
        return Support(Verdict.SUPPORTED, tuple(place for score, place in good if score >= best)[:3], best)
    return _together(claim, grounds, thresholds) or _refused(claim, grounds, thresholds)


def _single(text: str) -> _Single:
    return _Single(text, facts(text), tuple(facts(clause) for clause in _CLAUSE.split(text) if clause.strip()))


def _score(claim: Facts, passage: Ground) -> float:
    """The best window's share of the stems; 0 where it lacks a number or a name."""
    return max((_share(claim, window) for window in passage.windows), default=0.0)


def _share(claim: Facts, window: _Window) -> float:
    if claim.numbers - window.facts.numbers or claim.subjects - window.facts.stems:
        return 0.0
    if not all(_is_named(name, window.words) for name in claim.names):
        return 0.0
    if not claim.stems:
        return 1.0
    return len(claim.stems & window.facts.stems) / len(claim.stems)


def _is_named(name: str, words: frozenset[str]) -> bool:
    if any(map(str.isdigit, name)):  # an identifier is one fact, and no sum of its parts
        return name in words
    return name in words or all(part in words for part in name.split("-"))


def _meaning(said: str, grounds: Sequence[Ground], embedder: Embedder | None) -> list[float]:
    """Cosine of the sentence with the nearest sentence of each passage; nothing without an embedder."""
    if embedder is None or not grounds:
        return []
    vector = embedder.embed([said], query=False)[0]
    found = []
    for passage in grounds:
        rows = embedder.embed([single.text for single in passage.singles] or [passage.text], query=False)
        found.append(float((rows @ vector).max()))
    return found


def _contradiction(claim: Facts, grounds: Sequence[Ground], thresholds: Thresholds) -> str:
    """Why the sentence that is nearest in words says otherwise; empty if none does.

    A sentence that says the same anywhere in the passages excuses one that seems to say the contrary.
    """
    said: set[bool] = set()
    best = thresholds.contradiction
    for single in (single for passage in grounds for single in passage.singles):
        score = _overlap(claim, single.facts)
        clauses = [clause for clause in single.clauses if _overlap(claim, clause) >= _CLOSE_CLAUSE]
        if score < best or not clauses:
            continue
        said = {clause.denies for clause in clauses} | (said if score == best else set())
        best = score
    return "negation" if said and claim.denies not in said else ""


def _overlap(claim: Facts, single: Facts) -> float:
    return len(claim.stems & single.stems) / len(claim.stems) if claim.stems else 0.0


def _together(claim: Facts, grounds: Sequence[Ground], thresholds: Thresholds) -> Support | None:
    """Two passages that support a sentence only together, each with something of its own."""
    partial = sorted(
        ((len(claim.stems & w.facts.stems) + len(claim.numbers & w.facts.numbers), -place, w)
         for place, passage in enumerate(grounds) for w in passage.windows),
        key=lambda item: item[:2], reverse=True,
    )  # fmt: skip
    if not partial or not claim.stems:
        return None
    _, first_place, first = partial[0]
    for _, place, window in partial[1:20]:
        if place == first_place:
            continue
        both = _Window(first.facts.joined(window.facts), first.words | window.words)
        score = _share(claim, both)
        if score >= thresholds.stems:
            return Support(Verdict.SUPPORTED, tuple(sorted((-first_place, -place))), score)
    return None


def _refused(claim: Facts, grounds: Sequence[Ground], thresholds: Thresholds) -> Support:
    """Unsupported; contradicted where only numbers differ from what a passage says."""
    for passage in grounds:
        for single in (single.facts for single in passage.singles):
            same = _overlap(claim, single) >= thresholds.contradiction
            if same and claim.numbers and single.numbers and claim.numbers - single.numbers:
                return Support(Verdict.CONTRADICTED, why="numbers")
    return Support(Verdict.UNSUPPORTED)
