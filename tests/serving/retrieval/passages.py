"""What the tests of retrieval share: passages, an embedder that needs no model, and shards written from them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from casemate.markings import Marking, Policy
from casemate.serving.retrieval import Hit, Passage
from casemate.serving.retrieval.shard import Shard, open_shard
from casemate.serving.retrieval.writing import Source, update_shard

FRENCH = Policy.shipped("fr")
MARKING = FRENCH.parse("DR")
EMBEDDER = "e" * 64


def passage(number: int, text: str, *, entry: str = "set", marking: Marking = MARKING, **facts: str) -> Passage:
    """A passage whose identifier follows from its number alone, in whatever entry it is."""
    document = f"{number // 3:032x}"
    given = {"title": "", "heading": "", "language": "fr", "kind": "pdf", "date": "", **facts}
    project = given.pop("project", "harbour")
    return Passage(
        id=f"{document}-{number:05}", document=document, number=number, text=text, page=1, boxes=(), entry=entry,
        project=project, marking=marking, **given,
    )  # fmt: skip


@dataclass
class Words:
    """An embedder: a text is the sum of its words' vectors, which follow from their digests."""

    name: str = EMBEDDER
    dim: int = 16
    asked: list[str] = field(default_factory=list)

    def embed(self, texts: Sequence[str], *, query: bool) -> npt.NDArray[np.float32]:
        self.asked += [f"query: {text}" if query else text for text in texts]
        return np.array([self._one(text) for text in texts], np.float32).reshape(len(texts), self.dim)

    def _one(self, text: str) -> npt.NDArray[np.float64]:
        digests = [hashlib.sha256(word[:5].encode()).digest() for word in text.casefold().split()]
        said = np.array([list(digest[: self.dim]) for digest in digests], np.float64).reshape(len(digests), self.dim)
        total = (said - 127.5).sum(axis=0)
        return total / (float(np.linalg.norm(total)) or 1)


def sources(passages: Iterable[Passage]) -> dict[str, Source]:
    """The document sets in which passages are."""
    held: dict[str, list[Passage]] = {}
    for one in passages:
        held.setdefault(one.entry, []).append(one)
    return {entry: source(entry, found) for entry, found in held.items()}


def source(entry: str, found: Sequence[Passage]) -> Source:
    text = "".join(f"{p.name}{p.title}{p.text}" for p in found)
    project = found[0].project if found else "harbour"
    return Source(hashlib.sha256(text.encode()).hexdigest(), project, lambda: iter(found))


def shard(
    folder: Path, passages: Iterable[Passage], embedder: Words | None = None, *, marking: Marking = MARKING
) -> Shard:
    """The shard of these passages and no others, written and opened."""
    update_shard(folder, sources(passages), embedder=embedder)
    return open_shard(folder, marking)


def told(hits: Sequence[Hit]) -> list[Mapping[str, object]]:
    """Everything that a hit says, but for where its passage lies."""
    return [
        {
            "id": hit.passage.id, "text": hit.passage.text, "rank": hit.rank, "score": hit.score.hex(),
            "confidence": hit.confidence.hex(), "lexical": hit.lexical.hex(),
            "dense": None if hit.dense is None else hit.dense.hex(),
        }
        for hit in hits
    ]  # fmt: skip
