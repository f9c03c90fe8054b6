"""Searching documents: the index kept in line with the catalog, marking by marking, as far as the reader sees.

Rules. Only the shards of markings of which the reader sees document sets are opened, read or written, in the order of
their markings; the folder of shards is never listed. A shard holds exactly the document sets at its marking; one that
is being written by somebody else is searched as it was, less what the reader's view does not show any more. An embedder
is a released model: it serves a shard only where its marking is within the shard's, so that no vector says anything
of a model that a reader of the shard may not know. A shard whose files are damaged is made again. A query is in no
journal and in no log.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from casemate.catalog import Entry
from casemate.errors import BadInput, NotAllowed, NotFound, Revoked, Unavailable
from casemate.factory import models, serving
from casemate.factory.desk import Desk, Progress
from casemate.markings import Marking
from casemate.modalities import find
from casemate.serving.retrieval import Embedder, Filters, Hit, Passage, read_passages
from casemate.serving.retrieval import search as found_in
from casemate.store import get_manifest

if TYPE_CHECKING:
    from casemate.serving.retrieval.shard import Shard
    from casemate.serving.retrieval.writing import Source

PASSAGES_FILE = "passages.jsonl"
_DOCUMENTS = "documents"


@dataclass(frozen=True)
class Held:
    """A marking of which the reader sees document sets: its shard's folder, and those sets."""

    marking: Marking
    folder: Path
    entries: Mapping[str, Entry]


@dataclass(frozen=True)
class Meaning:
    """The embedder that serves a search: its release, and the model, opened."""

    model: models.Model
    embedder: Embedder


@dataclass(frozen=True)
class Hits:
    """What a search found, and by which embedder.

    `behind` says that somebody is writing a shard, so that what came in a moment ago may be missing.
    """

    hits: tuple[Hit, ...]
    meaning: Meaning | None
    behind: bool

    @property
    def embedder(self) -> models.Model | None:
        """The release whose embedder was used."""
        return self.meaning.model if self.meaning else None


def search(
    desk: Desk,
    query: str,
    *,
    projects: Sequence[str] = (),
    kinds: Sequence[str] = (),
    languages: Sequence[str] = (),
    documents: Sequence[str] = (),
    since: str | None = None,
    until: str | None = None,
    limit: int = 10,
    within: str | None = None,
) -> dict[str, Any]:
    """The passages that answer a query best, as facts; `documents` names document sets or documents.

    `within` is the identifier of a project beyond which nothing is found, a namesake at another marking included.
    """
    with desk.act("search", f"query of {len(query)} characters"):
        filters = Filters(
            _some(projects), _some(kinds), _some(languages), since, until, _some(_documents(desk, documents))
        )
        found = hits(desk, query, filters=filters, limit=limit, within=within)
        facts = {"hits": len(found.hits), "embedder": found.embedder.digest if found.embedder else ""}
        for about in dict.fromkeys(hit.passage.entry for hit in found.hits) or ("",):  # a spill asks who was told
            desk.catalog.journal.append(
                desk.reader, "search", f"query of {len(query)} characters", about=about, facts=facts, sign=desk.sign
            )
        marking = Marking.join_all(desk.site.policy.lowest, _markings(found))
        rows = [_row(hit) for hit in found.hits]
        return {"marking": str(marking), "embedder": facts["embedder"], "behind": found.behind, "hits": rows}


def hits(desk: Desk, query: str, *, filters: Filters | None = None, limit: int = 10, within: str | None = None) -> Hits:
    """The passages that answer a query best; the index is brought up to date first."""
    held = _held(desk)
    meaning = _meaning(desk, held)
    opened = [_shard(desk, one, meaning) for one in held]
    shards, behind = [shard for shard, _ in opened], [not fresh for _, fresh in opened]
    embedder = meaning.embedder if meaning else None
    if within is not None:
        own = frozenset(entry.id for entry in desk.view.walk(kind=_DOCUMENTS, project=within))
        filters = replace(filters or Filters(), entries=own)
    found = found_in(shards, query, embedder=embedder, filters=filters, limit=limit)
    return Hits(found, meaning, any(behind))


def embedder_of(desk: Desk) -> Meaning | None:
    """The embedder that serves this reader's searches; None where there is none."""
    return _meaning(desk, _held(desk))


def passages(desk: Desk, entry: Entry) -> Iterator[Passage]:
    """The passages of a document set; NotFound for an entry without them, BadInput for lines that are not passages."""
    files = {file.path: file for file in get_manifest(desk.store, entry.digest).files}
    listed = files.get(PASSAGES_FILE)
    if listed is None:
        raise NotFound(f"document set {entry.name}", expected=PASSAGES_FILE, found="none")
    with desk.store.open(listed.digest) as stream:
        yield from read_passages(iter(stream), entry=entry.id, project=entry.project, marking=entry.marking)


def index_status(desk: Desk) -> list[dict[str, Any]]:
    """For each marking of which this person sees document sets: what its shard holds, and whether that is all."""
    from casemate.serving.retrieval.shard_head import read_head
    from casemate.serving.retrieval.writing import is_fresh

    held = _held(desk)
    meaning = _meaning(desk, held)
    rows = []
    for one in held:
        head = read_head(one.folder)
        embedder = _serving(meaning, one)
        shown = [listed for entry, listed in head.entries.items() if entry in one.entries]
        rows.append({
            "marking": str(one.marking),
            "document_sets": len(one.entries),
            "passages": sum(listed.passages for listed in shown),
            "unreadable": sum(bool(listed.unreadable) for listed in shown),
            "up_to_date": is_fresh(head, _sources(desk, one), embedder.name if embedder else None),
            "embedder": meaning.model.entry.name if meaning and embedder else "",
        })  # fmt: skip
    return rows


def freshen(desk: Desk, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Bring the shards of all that this person sees up to date; what `index_status` says then."""
    with desk.act("index.update", "the index"):
        held = _held(desk)
        meaning = _meaning(desk, held)
        for number, one in enumerate(held, 1):
            _shard(desk, one, meaning, wait=True)
            if progress:
                progress(number, len(held), "markings")
        return index_status(desk)


def rebuild_index(desk: Desk, *, progress: Progress | None = None) -> list[dict[str, Any]]:
    """Make the shards of all that this person sees again from the catalog; searches go on meanwhile."""
    with desk.act("index.rebuild", "the index"):
        held = _held(desk)
        meaning = _meaning(desk, held)
        for number, one in enumerate(held, 1):
            _remake(desk, one, meaning)
            if progress:
                progress(number, len(held), "markings")
        return index_status(desk)


def forget(desk: Desk, markings: Iterable[Marking]) -> None:
    """Make the shards of markings that were left by what was raised again, so that no byte of it stays in them."""
    from casemate.serving.retrieval.writing import update_shard

    held = {one.marking: one for one in _held(desk)}
    for marking in sorted(set(markings), key=str):
        folder = shard_folder(desk, marking)
        if folder.is_dir():
            one = held.get(marking, Held(marking, folder, {}))
            update_shard(folder, _sources(desk, one), afresh=True)


def shard_folder(desk: Desk, marking: Marking) -> Path:
    """Where the shard of a marking is."""
    return desk.site.index / hashlib.sha256(str(marking).encode()).hexdigest()


def _held(desk: Desk) -> list[Held]:
    """The markings of which the reader sees document sets, in order."""
    by_marking: dict[Marking, dict[str, Entry]] = {}
    for entry in desk.view.walk(kind=_DOCUMENTS):
        by_marking.setdefault(entry.marking, {})[entry.id] = entry
    ordered = sorted(by_marking.items(), key=lambda pair: str(pair[0]))
    return [Held(marking, shard_folder(desk, marking), entries) for marking, entries in ordered]


def _sources(desk: Desk, held: Held) -> dict[str, Source]:
    from casemate.serving.retrieval.writing import Source

    def source(entry: Entry) -> Source:
        return Source(str(entry.digest), entry.project, lambda: passages(desk, entry))

    return {entry.id: source(entry) for entry in held.entries.values()}


def _shard(desk: Desk, held: Held, meaning: Meaning | None, *, wait: bool = False) -> tuple[Shard, bool]:
    """A shard, and whether it is up to date; one whose files are damaged is made again, for the catalog has it all."""
    from casemate.serving.retrieval.shard import open_shard

    def opened() -> Shard:
        shard = open_shard(held.folder, held.marking, entries=held.entries)
        if embedder := _serving(meaning, held):
            shard.vectors(embedder.name)
        return shard

    try:
        fresh = _fresh(desk, held, meaning, wait=wait)
        return opened(), fresh
    except BadInput:
        _remake(desk, held, meaning)
        return opened(), True


def _fresh(desk: Desk, held: Held, meaning: Meaning | None, *, wait: bool) -> bool:
    """Bring a shard up to date; False where somebody else is writing it, and it can be searched as it was."""
    from casemate.serving.retrieval.shard_head import read_head
    from casemate.serving.retrieval.writing import is_fresh, update_shard

    embedder, sources = _serving(meaning, held), _sources(desk, held)
    head = read_head(held.folder)
    if is_fresh(head, sources, embedder.name if embedder else None):
        return True
    try:
        update_shard(held.folder, sources, embedder=embedder, wait=wait or not head.generation)
    except Unavailable:
        if wait:  # an order to update, which says what kept it from being done
            raise
        return False
    return True


def _remake(desk: Desk, held: Held, meaning: Meaning | None) -> None:
    from casemate.serving.retrieval.writing import update_shard

    update_shard(held.folder, _sources(desk, held), embedder=_serving(meaning, held), afresh=True)


def _serving(meaning: Meaning | None, held: Held) -> Embedder | None:
    """The embedder, where its release's marking is within the shard's."""
    return meaning.embedder if meaning and meaning.model.marking.within(held.marking) else None


def _meaning(desk: Desk, held: Sequence[Held]) -> Meaning | None:
    """The embedder that serves most of these shards, the newest of those that serve as many; None: none serves any."""
    serving_most = sorted(_standing(desk, held), key=lambda one: -one.serves)  # a stable sort: the newest first
    for one in serving_most:
        try:
            return _opened(desk, one)
        except BadInput:  # a model that no runtime here reads; its release says so to whoever names it
            continue
    return None


@dataclass(frozen=True)
class _Standing:
    """A release of an embedder that holds: its marking, what names its bytes, and how many shards it serves."""

    entry: Entry
    marking: Marking
    release: str
    model: str
    serves: int


def _standing(desk: Desk, held: Sequence[Held]) -> Iterator[_Standing]:
    """The releases of embedders that hold and serve any of these shards, newest first."""
    for entry in models.releases(desk, models.EMBEDDINGS):
        try:
            release, digest = serving.standing(desk, entry)
        except (Revoked, NotAllowed):
            continue
        marking = desk.site.policy.parse(release.marking).join(entry.marking)
        serves = sum(marking.within(one.marking) for one in held)
        if serves:
            yield _Standing(entry, marking, str(digest), release.model.hex, serves)


_OPEN: dict[tuple[str, str, str], Meaning] = {}  # by release, entry and model, once their bytes were verified
_OPEN_MAX = 4


def _opened(desk: Desk, one: _Standing) -> Meaning:
    """The embedder of a release, opened once in this process; whether it holds was asked just now."""
    key = (one.release, one.entry.id, one.model)
    if key not in _OPEN:
        model = models.in_force(desk, models.EMBEDDINGS, one.entry.id)
        if model is None:
            raise RuntimeError(f"release {one.entry.id} was in force")
        embedder = find("language").predict.embedder(model.folder, name=one.model)
        if len(_OPEN) >= _OPEN_MAX:
            _OPEN.pop(next(iter(_OPEN)))
        _OPEN[key] = Meaning(model, embedder)
    opened = _OPEN[key]
    return Meaning(replace(opened.model, entry=one.entry, marking=one.marking), opened.embedder)


def _documents(desk: Desk, named: Sequence[str]) -> list[str]:
    """Document sets by their identifiers, however they were named; what names none is a document's identifier."""
    found = []
    for text in named:
        try:
            found.append(desk.view.find(text, kind=_DOCUMENTS).id)
        except NotFound:
            found.append(text)
    return found


def _some(values: Sequence[str]) -> frozenset[str] | None:
    return frozenset(values) if values else None


def _markings(found: Hits) -> list[Marking]:
    """The markings of what an answer shows: its passages, and the embedder that ranked them."""
    return [hit.passage.marking for hit in found.hits] + ([found.embedder.marking] if found.embedder else [])


def _row(hit: Hit) -> dict[str, Any]:
    passage = hit.passage
    return {
        "rank": hit.rank, "passage": passage.name, "marking": str(passage.marking), "project": passage.project,
        "document": passage.document, "title": passage.title, "heading": passage.heading, "text": passage.text,
        "page": passage.page, "boxes": [list(box) for box in passage.boxes], "kind": passage.kind,
        "language": passage.language, "date": passage.date, "score": hit.score, "confidence": hit.confidence,
        "lexical": hit.lexical, "dense": hit.dense,
    }  # fmt: skip
