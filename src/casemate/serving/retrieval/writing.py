"""Writing a shard: exactly the wanted document sets, added and removed by steps, put in force at once.

Rules. What is written beside the generation in force is nobody's until the head names it, so a writer that is killed
leaves what was there, and the next one sweeps what it left. Vectors are kept by the digest of the piece of text that
they stand for, per embedder: a text that comes again is not embedded again. Before vectors change the head forgets that
they are complete, so that whoever finds a killed writer's vectors reconciles them with the passages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from casemate.errors import BadInput, CasemateError
from casemate.serving.retrieval.embedding import Embedder
from casemate.serving.retrieval.mapped import write_array
from casemate.serving.retrieval.passages import Passage
from casemate.serving.retrieval.segments import Bools, blocks, open_segment, write_merged, write_segment
from casemate.serving.retrieval.shard import alive_rows
from casemate.serving.retrieval.shard_head import (
    Head,
    ListedEntry,
    ListedSegment,
    sweep,
    write_head,
    writing,
)
from casemate.serving.retrieval.vector_upkeep import reconcile
from casemate.store.staging import full_disk_named

BLOCK_ROWS = 20_000
SMALL_SEGMENTS_MAX = 8
MERGED_ROWS_MAX = 200_000
DEAD_SHARE_MAX = 0.25


@dataclass(frozen=True)
class Source:
    """A document set as it should be in a shard; `passages` reads it."""

    digest: str
    project: str
    passages: Callable[[], Iterator[Passage]]


def is_fresh(head: Head, wanted: Mapping[str, Source], embedder: str | None) -> bool:
    """Whether a generation holds exactly what is wanted, with all its vectors."""
    held = {entry: (listed.digest, listed.project) for entry, listed in head.entries.items()}
    if held != {entry: (source.digest, source.project) for entry, source in wanted.items()}:
        return False
    return embedder is None or not head.entries or embedder in head.embedded


def update_shard(
    folder: Path,
    wanted: Mapping[str, Source],
    *,
    embedder: Embedder | None = None,
    afresh: bool = False,
    wait: bool = True,
) -> Head:
    """Put a generation in force that holds exactly `wanted`; Unavailable while somebody else writes (unless `wait`).

    `afresh` reads every document set again and checks the bytes of all vectors.
    """
    with writing(folder, wait=wait) as found, full_disk_named(folder):
        held = found
        if not afresh and is_fresh(held, wanted, embedder.name if embedder else None):
            return held
        base = Head(generation=held.generation) if afresh else held
        new = _with_passages(folder, base, wanted)
        if new.entries != held.entries or embedder is not None:
            forgotten = held.model_copy(update={"embedded": {}, "generation": held.generation + 1})
            write_head(folder, forgotten)
        new = new.model_copy(update={"generation": held.generation + 2})
        known = {embedder.name: embedder} if embedder else {}
        embedded = reconcile(folder, new, known, among=held.embedded, check=afresh)
        new = new.model_copy(update={"embedded": embedded})
        write_head(folder, new)
        sweep(folder, new)
        return new


def _with_passages(folder: Path, held: Head, wanted: Mapping[str, Source]) -> Head:
    number = held.generation + 1
    kept = {e: listed for e, listed in held.entries.items() if e in wanted and listed.digest == wanted[e].digest}
    segments = _without(folder, number, held, set(held.entries) - set(kept))
    entries = {e: listed.model_copy(update={"project": wanted[e].project}) for e, listed in kept.items()}
    for listed, rows in _added(folder, number, {e: s for e, s in wanted.items() if e not in kept}, entries):
        segments.append(ListedSegment(name=listed, rows=rows))
    return Head(
        generation=number,
        entries=dict(sorted(entries.items())),
        segments=tuple(_merged(folder, number, segments)),
        embedded=held.embedded,
    )


def _added(
    folder: Path, number: int, sources: Mapping[str, Source], entries: dict[str, ListedEntry]
) -> Iterator[tuple[str, int]]:
    """Write the passages of new document sets; the name and rows of each segment. Counts go into `entries`."""

    def passages() -> Iterator[Passage]:
        for entry, source in sorted(sources.items()):
            entries[entry] = _read_through(source)
            if not entries[entry].unreadable:
                yield from source.passages()

    for place, block in enumerate(blocks(passages(), BLOCK_ROWS)):
        name = f"segment-{number:08}-{place}"
        (folder / name).mkdir(mode=0o700)
        write_segment(folder / name, block)
        yield name, len(block)


def _read_through(source: Source) -> ListedEntry:
    """What a document set holds, read once to its end: one bad set must not keep the others from being found."""
    facts = {"digest": source.digest, "project": source.project}
    seen: set[str] = set()
    try:
        for passage in source.passages():
            if passage.id in seen:
                raise BadInput(f"passages of {passage.entry}", expected="each identifier once", found=passage.id)
            seen.add(passage.id)
    except CasemateError as no:
        return ListedEntry(**facts, passages=0, unreadable=str(no)[:500])
    return ListedEntry(**facts, passages=len(seen))


def _without(folder: Path, number: int, held: Head, gone: set[str]) -> list[ListedSegment]:
    """The segments with the rows of `gone` listed as dead."""
    if not gone:
        return list(held.segments)
    sought = np.array(sorted(entry.encode() for entry in gone))
    kept = []
    for place, listed in enumerate(held.segments):
        segment, alive = open_segment(folder / listed.name), alive_rows(folder, listed)
        struck = np.isin(segment.columns["entries"], sought)
        if alive is not None:
            struck |= ~alive
        rows = np.flatnonzero(struck).astype("<i4")
        if len(rows) == listed.rows:
            continue
        if len(rows) > listed.dead_rows:
            name = f"dead-{number:08}-{place}.npy"
            write_array(folder / name, rows)
            kept.append(listed.model_copy(update={"dead": name, "dead_rows": len(rows)}))
        else:
            kept.append(listed)
    return kept


def _merged(folder: Path, number: int, segments: Sequence[ListedSegment]) -> list[ListedSegment]:
    """The segments with those that are much dead, or too many and small, written as few."""
    much_dead = [s for s in segments if s.dead_rows > DEAD_SHARE_MAX * s.rows]
    small = [s for s in segments if s not in much_dead and s.rows - s.dead_rows < MERGED_ROWS_MAX // 2]
    chosen = much_dead + (small if len(small) > SMALL_SEGMENTS_MAX else [])
    kept = [s for s in segments if s not in chosen]
    for place, group in enumerate(_groups(chosen)):
        name = f"segment-{number:08}-{BLOCK_ROWS + place}"
        (folder / name).mkdir(mode=0o700)
        parts: list[tuple[object, Bools | None]] = [
            (open_segment(folder / s.name), alive_rows(folder, s)) for s in group
        ]
        write_merged(folder / name, parts)  # type: ignore[arg-type]
        kept.append(ListedSegment(name=name, rows=sum(s.rows - s.dead_rows for s in group)))
    return kept


def _groups(segments: Sequence[ListedSegment]) -> Iterator[list[ListedSegment]]:
    """Segments in groups of at most MERGED_ROWS_MAX rows, the smallest together."""
    group: list[ListedSegment] = []
    for segment in sorted(segments, key=lambda s: (s.rows - s.dead_rows, s.name)):
        if group and sum(s.rows - s.dead_rows for s in (*group, segment)) > MERGED_ROWS_MAX:
            yield group
            group = []
        group.append(segment)
    if group:
        yield group
