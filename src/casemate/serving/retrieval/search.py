"""Searching the shards that a reader opened: by words and by meaning, as one.

Rules. Nothing is read but the shards given; what filters keep out is never a candidate. The best by words and the best
by meaning are candidates; each gets both scores, exactly, and one order (fusion.py), ties by name. Of near-duplicates
the best stays. The same passages, query and embedder give the same hits and scores, however they are spread.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from casemate.errors import BadInput
from casemate.serving.retrieval.acronyms import capitals, spelled_out
from casemate.serving.retrieval.confidence import Facts, confidence
from casemate.serving.retrieval.embedding import Embedder, Reranker
from casemate.serving.retrieval.fusion import CANDIDATES, Fusion, Match
from casemate.serving.retrieval.near_duplicates import distinct
from casemate.serving.retrieval.passages import Filters, Hit, Passage

if TYPE_CHECKING:
    from casemate.serving.retrieval.dense import Dense
    from casemate.serving.retrieval.lexical import Found, Lexical
    from casemate.serving.retrieval.segments import Bools
    from casemate.serving.retrieval.shard import Part, Shard

QUERY_CHARACTERS_MAX = 10_000
LIMIT_MAX = 1000
_RERANKED = 50
_EVERYTHING = Filters()


@dataclass(frozen=True)
class _Scored:
    """A candidate: its exact BM25, and how it matches."""

    part: int
    row: int
    name: bytes
    lexical: float
    match: Match


def search(
    shards: Sequence[Shard],
    query: str,
    *,
    embedder: Embedder | None = None,
    filters: Filters | None = None,
    limit: int = 10,
    reranker: Reranker | None = None,
) -> tuple[Hit, ...]:
    """The passages that answer `query` best, in order; none of what `filters` keeps out takes part in the ranking.

    BadInput for an empty query or one of more than QUERY_CHARACTERS_MAX, and for a limit out of bounds.
    """
    _check(query, limit)
    from casemate.serving.retrieval.lexical import Lexical

    owners = [(shard, part) for shard in shards for part in shard.parts]
    lexical = Lexical(query, [part for _, part in owners])
    shown = _shown(owners, filters or _EVERYTHING)
    wanted = max(CANDIDATES, 2 * limit)
    by_words = lexical.best(wanted, shown)
    asked = capitals(query)
    telling = replace(lexical, query=asked).best(CANDIDATES, shown) if asked else by_words[:CANDIDATES]
    spelled = _spelled(owners, query, telling)
    if spelled != query:
        lexical = replace(lexical, spelled=spelled)
        by_words = lexical.best(wanted, shown)
    dense = _dense(owners, shown, (query, spelled), embedder)
    by_meaning = dense.nearest(wanted) if dense else []
    places = {(f.part, f.row): f.name for f in by_words} | {(part, row): name for part, row, name, _ in by_meaning}
    scored = _scored(lexical, dense, places)
    fusion = Fusion.of([one.match for one in scored])
    ranked = sorted(scored, key=lambda one: (-fusion.score(one.match), one.name))
    hits: Iterator[Hit] = (_hit(owners, one, fusion) for one in ranked)
    if reranker is not None:
        hits = iter(_reranked(query, reranker, list(islice(hits, max(_RERANKED, limit)))))
    kept = distinct((hit.passage, hit) for hit in hits)
    return tuple(replace(hit, rank=rank) for rank, (_, hit) in enumerate(islice(kept, limit), 1))


def _check(query: str, limit: int) -> None:
    if not query.strip():
        raise BadInput("query", expected="some words", found="none")
    if len(query) > QUERY_CHARACTERS_MAX:
        raise BadInput("query", expected=f"at most {QUERY_CHARACTERS_MAX} characters", found=len(query))
    if not 1 <= limit <= LIMIT_MAX:
        raise BadInput("limit", expected=f"from 1 to {LIMIT_MAX} passages", found=limit)


def _shown(owners: Sequence[tuple[Shard, Part]], filters: Filters) -> list[Bools | None]:
    """The rows of each part that are alive and that the filters let pass."""
    from casemate.serving.retrieval.filtering import allowed

    shown = []
    for shard, part in owners:
        mask = allowed(part.segment, filters, shard.projects)
        shown.append(part.alive if mask is None else mask if part.alive is None else mask & part.alive)
    return shown


def _spelled(owners: Sequence[tuple[Shard, Part]], query: str, best: Sequence[Found]) -> str:
    """The query with its acronyms spelled out as some passages that have them do."""
    texts = []
    for one in best:
        shard, part = owners[one.part]
        passage = shard.passage(part, one.row)
        texts.append(f"{passage.title}\n{passage.heading}\n{passage.text}")
    return spelled_out(query, texts)[:QUERY_CHARACTERS_MAX]


def _dense(
    owners: Sequence[tuple[Shard, Part]],
    shown: Sequence[Bools | None],
    readings: tuple[str, str],
    embedder: Embedder | None,
) -> Dense | None:
    """The mean of the meanings of a query's readings; None without an embedder, or where it says nothing of them."""
    if embedder is None:
        return None
    from casemate.serving.retrieval.dense import Dense, DensePart

    query_D = embedder.embed([readings[0]], query=True)[0]
    if readings[1] != readings[0]:
        query_D = query_D + embedder.embed([readings[1]], query=True)[0]  # its length is nobody's concern
    held = {id(shard): shard.vectors(embedder.name) for shard, _ in owners}
    vectors = [held[id(shard)] for shard, _ in owners]
    if not query_D.any() or not any(vectors):
        return None
    parts = [
        DensePart(part.segment, there, mask) if there else None
        for (_, part), there, mask in zip(owners, vectors, shown, strict=True)
    ]
    return Dense(query_D, parts)


def _scored(lexical: Lexical, dense: Dense | None, places: dict[tuple[int, int], bytes]) -> list[_Scored]:
    import numpy as np

    scored = []
    for part in sorted({part for part, _ in places}):
        rows = sorted(row for owner, row in places if owner == part)
        array = np.array(rows, np.int64)
        columns = (
            lexical.scores(part, array).tolist(),
            dense.cosines(part, rows) if dense else [None] * len(rows),
            lexical.shares(part, array).tolist(),
        )
        for row, words, meaning, share in zip(rows, *columns, strict=True):
            match = Match(words / lexical.attainable if words else 0.0, share, meaning)
            scored.append(_Scored(part, row, places[part, row], words, match))
    return scored


def _hit(owners: Sequence[tuple[Shard, Part]], one: _Scored, fusion: Fusion) -> Hit:
    shard, part = owners[one.part]
    passage: Passage = shard.passage(part, one.row)
    facts = Facts(one.match.share, fusion.words_of(one.match), fusion.meaning_of(one.match))
    return Hit(passage, fusion.score(one.match), confidence(facts), one.lexical, one.match.dense, 0, facts)


def _reranked(query: str, reranker: Reranker, hits: Sequence[Hit]) -> list[Hit]:
    """The hits in the order of a reranker, ties as they were."""
    read = reranker.scores(query, [hit.passage.text for hit in hits])
    scored = [replace(hit, score=float(score)) for hit, score in zip(hits, read, strict=True)]
    return sorted(scored, key=lambda hit: -hit.score)
