"""The verbs that turn texts into vectors, and texts into an order of their nearness to a query, by a released embedder.

Rules. The release is asked for at each call whether it holds; its model is opened once its bytes were verified, and
kept open for that release. The answer's marking is the join of what was declared for the texts and of the release. The
journal has their number and nothing of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from casemate.catalog import Entry
from casemate.errors import BadInput
from casemate.factory import models, serving
from casemate.factory.desk import Desk
from casemate.markings import Marking
from casemate.modalities import find
from casemate.serving.retrieval import Embedder

MOST_CHARACTERS = 2_000_000
_OPEN_MAX = 4
_OPEN: dict[tuple[str, str], Embedder] = {}  # by release and model; whether a release holds is asked before


@dataclass(frozen=True)
class Vectors:
    """Vectors of texts, one row each (float32, unit length), with the marking and the release that they carry."""

    rows: Any
    marking: Marking
    release: str


@dataclass(frozen=True)
class Order:
    """Places of texts, the nearest to the query first, with their cosine; marking and release as above."""

    ranked: tuple[tuple[int, float], ...]
    marking: Marking
    release: str


def embed(desk: Desk, model: str, texts: Sequence[str], *, marking: Marking, query: bool = False) -> Vectors:
    """The vectors of texts, as passages or (`query`) as queries."""
    with desk.act("embed", f"release {model}"):
        entry, embedder, joined, release = _ready(desk, model, texts, marking)
        rows = embedder.embed(list(texts), query=query)
        desk.note("embed", f"{len(texts)} texts", about=entry, marking=joined, facts={"release": release})
        return Vectors(rows, joined, release)


def rerank(desk: Desk, model: str, query: str, texts: Sequence[str], *, marking: Marking) -> Order:
    """The texts in the order of their nearness to a query; ties as they were."""
    with desk.act("rerank", f"release {model}"):
        entry, embedder, joined, release = _ready(desk, model, [query, *texts], marking)
        cosines_N = embedder.embed(list(texts), query=False) @ embedder.embed([query], query=True)[0]
        ranked = sorted(enumerate(float(value) for value in cosines_N), key=lambda pair: (-pair[1], pair[0]))
        desk.note("rerank", f"{len(texts)} texts", about=entry, marking=joined, facts={"release": release})
        return Order(tuple(ranked), joined, release)


def _ready(desk: Desk, model: str, texts: Sequence[str], marking: Marking) -> tuple[Entry, Embedder, Marking, str]:
    characters = sum(map(len, texts))
    if characters > MOST_CHARACTERS:
        raise BadInput("texts", expected=f"at most {MOST_CHARACTERS} characters in all", found=characters)
    entry = desk.view.find(model, kind="release")
    task = models.task_of(desk, entry)
    if task != models.EMBEDDINGS:
        expected = f"one of a model for {models.EMBEDDINGS}"
        raise BadInput(f"release {model}", expected=expected, found=task or "a model for no task")
    held, digest = serving.standing(desk, entry)
    joined = Marking.join_all(marking, [desk.site.policy.parse(held.marking), entry.marking])
    desk.catalog.site.admit_from(joined, desk.reader, thing="answer")
    return entry, _opened(desk, entry, (str(digest), held.model.hex)), joined, str(digest)


def _opened(desk: Desk, entry: Entry, key: tuple[str, str]) -> Embedder:
    if key not in _OPEN:
        model = models.in_force(desk, models.EMBEDDINGS, entry.id)
        if model is None:
            raise RuntimeError(f"release {entry.id} was in force")
        embedder: Embedder = find("language").predict.embedder(model.folder)
        while len(_OPEN) >= _OPEN_MAX:
            _OPEN.pop(next(iter(_OPEN)), None)
        _OPEN[key] = embedder
    return _OPEN[key]
