"""The verb that judges a whole assistant: question sets put to it over the documents that its reader may read.

Rules. It acts as the person who assesses. What is asked goes through `assistant.ask` and `searching.hits`, as any
question of theirs does: the same clearance and ceiling, engine, embedder, prompts, thresholds and journal. Every answer
is kept as soon as it is there, whole, so that an assessment that was stopped goes on; it begins anew where anything
that answers, or that is searched, has changed.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import aclosing
from dataclasses import asdict
from pathlib import Path
from typing import Any

from casemate import __version__
from casemate.catalog import Entry
from casemate.errors import BadInput, NotFound, RunFailed, Unavailable
from casemate.factory import assistant, locks, models, policies, searching
from casemate.factory.assessment import THING, Bench, Parts, Wanted, rules
from casemate.factory.assessment_report import registered
from casemate.factory.desk import Desk, Progress
from casemate.gates.judge import reasons_json
from casemate.modalities import find
from casemate.serving.answers import QUOTE, Answer, Done, Thresholds
from casemate.serving.answers.answering import uncited
from casemate.serving.pool import EnginePool
from casemate.serving.retrieval import Filters
from casemate.signing.canonical import dump
from casemate.store import Digest, checkout, get_manifest
from casemate.store.whole import write_whole

DEPTH = 40  # how many passages are looked through for the rank of the document that answers
_PARTS, _ANSWERS = "parts.json", "answers"


def assess(desk: Desk, wanted: Wanted, *, progress: Progress | None = None) -> dict[str, Any]:
    """Put the sets to the assistant, judge what comes, and register the report; a verdict is no refusal."""
    with desk.act("assess", f"assistant on {len(wanted.sets)} sets"):
        floor = desk.project_marking(wanted.project)
        sets = tuple(_question_set(desk, name) for name in wanted.sets)
        name = f"{desk.person.name} {desk.reader.ceiling or ''} {wanted.project} {wanted.name}"
        work = desk.site.runs / f"assess-{hashlib.sha256(name.encode()).hexdigest()[:32]}"
        with locks.alone_or_no(desk.site.channels, work.name, f"{THING} {wanted.name}", doing="makes it"):
            bench, parts, kept = asyncio.run(_answered(desk, wanted, sets, work, progress))
            entry, verdict, figures = registered(desk, bench, parts, kept, floor, work)
        shutil.rmtree(work)
        return {
            "id": entry.id, "report": entry.name, "marking": str(entry.marking), "digest": str(entry.digest),
            "verdict": "passed" if verdict.passed else "refused", "assistant": str(parts.digest),
            "engine": parts.facts["engine"], "counts": entry.facts["counts"], "left_out": bench.left_out,
            "figures": figures, "reasons": reasons_json(verdict),
        }  # fmt: skip


# ── What answers, and what is asked ──────────────────────────────────────────────────────────────────────────────────
def _question_set(desk: Desk, name: str) -> Entry:
    entry = desk.view.find(name, kind="dataset")
    if entry.facts.get("modality") != "language":
        found = entry.facts.get("modality")
        raise BadInput(f"data set {entry.name}", expected="modality language", found=found)
    return entry


def _searched(desk: Desk, among: Sequence[str]) -> tuple[Entry, ...]:
    """The document sets that questions are asked of, in an order of their own."""
    named = {desk.view.find(name, kind="documents").id for name in among}
    seen = [entry for entry in desk.view.walk(kind="documents") if "documents" in entry.facts]
    found = tuple(sorted((e for e in seen if not named or e.id in named), key=lambda e: e.id))
    if not found:
        raise NotFound("documents to ask about", expected="at least one document set that you may read", found="none")
    return found


def _parts(desk: Desk, wanted: Wanted, pool: EnginePool) -> Parts:
    chosen = models.engine(desk, wanted.engine, pool=pool, project=wanted.project)
    meaning = searching.embedder_of(desk)
    searched = _searched(desk, wanted.among)
    listed = "\n".join(f"{entry.id} {entry.digest} {entry.marking}" for entry in searched)
    facts = {
        "code_version": __version__,
        "engine": chosen.engine.name,
        "release": chosen.release,
        "embedder": meaning.model.digest if meaning else "",
        "prompts": policies.read_prompts(desk.view, desk.store, desk.officer).version,
        "thresholds": asdict(Thresholds()),
        "passages": wanted.limit,
        "index": {
            "document_sets": len(searched),
            "passages": sum(int(entry.facts["passages"]) for entry in searched),
            "digest": str(Digest.of_bytes(listed.encode())),
        },
    }
    used = [entry for entry in (chosen.entry, meaning.model.entry if meaning else None) if entry is not None]
    markings = (chosen.marking, *([meaning.model.marking] if meaning else []))
    return Parts(chosen.entry.id if chosen.entry else QUOTE, tuple(used), markings, searched, facts)


def _bench(desk: Desk, wanted: Wanted, sets: Sequence[Entry], searched: Sequence[Entry], work: Path) -> Bench:
    """Read the sets, find where their questions are answered among what is searched, and draw what is put."""
    library, judging = find("language").data, rules()
    datasets, puts, places, left_out = [], [], {}, 0
    for number, entry in enumerate(sets, 1):
        folder = work / "sets" / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        datasets.append(library.load_labels(checkout(desk.store, get_manifest(desk.store, entry.digest), folder)))
        asked = judging.puts(datasets[-1], thing=f"data set {entry.name}")
        found = _placed(desk, asked, searched)
        for put in asked.puts:
            if put.kind == judging.QUESTION and not found.get(put.source or put.document):
                left_out += 1
                continue
            puts.append((put, entry))
            places[put.digest] = found.get(put.source or put.document, frozenset())
        left_out += asked.left_out
    most = {judging.PLANTED: wanted.attacks, judging.LOOK_ALIKE: wanted.attacks}
    most |= {judging.QUESTION: wanted.questions, judging.UNANSWERABLE: wanted.questions}
    drawn = {put.digest for put in judging.drawn([put for put, _ in puts], most)}
    chosen = tuple((put, entry) for put, entry in puts if put.digest in drawn)
    if not chosen:
        expected = "questions whose documents you may read, or attacks that bring theirs along"
        raise BadInput(THING, expected=expected, found=f"none ({left_out} left out)")
    return Bench(wanted, tuple(sets), tuple(datasets), chosen, places, left_out)


def _placed(desk: Desk, asked: Any, searched: Sequence[Entry]) -> dict[str, frozenset[tuple[str, str]]]:
    """Where the documents that questions name stand, among what is searched."""
    found: dict[str, frozenset[tuple[str, str]]] = {}
    if any(put.source for put in asked.puts):
        found |= rules().named(asked.puts, _documents(desk, searched))
    wanted = {put.document for put in asked.puts if put.document}
    if wanted:
        texts = {name: text for name, text in asked.documents.items() if name in wanted}
        passages = (((p.entry, p.document), p.text) for entry in searched for p in searching.passages(desk, entry))
        found |= rules().by_words(texts, passages)
    return found


def _documents(desk: Desk, searched: Iterable[Entry]) -> Iterator[tuple[tuple[str, str], str]]:
    library = find("language").module("library")
    for entry in searched:
        files = {file.path: file.digest for file in get_manifest(desk.store, entry.digest).files}
        with desk.store.open(files[library.DOCUMENTS]) as stream:
            for document in library.documents(stream):
                yield (entry.id, str(document["id"])), str(document["path"])


# ── Asking ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _answered(
    desk: Desk, wanted: Wanted, sets: Sequence[Entry], work: Path, progress: Progress | None
) -> tuple[Bench, Parts, list[dict[str, Any]]]:
    pool = models.new_pool(desk.site, now=desk.now)
    try:
        parts = await asyncio.to_thread(_parts, desk, wanted, pool)
        await asyncio.to_thread(searching.freshen, desk)  # figures of a half-made index would be nobody's
        _begun(work, parts, sets)
        bench = await asyncio.to_thread(_bench, desk, wanted, sets, parts.searched, work)
        kept = []
        for number, (put, entry) in enumerate(bench.puts, 1):
            file = work / _ANSWERS / f"{put.digest}.json"
            if not file.is_file():
                told = await _one(desk, bench, parts, put, entry, pool)
                write_whole(file, json.dumps(told).encode())
            kept.append(json.loads(file.read_bytes()))
            if progress:
                progress(number, len(bench.puts), "questions")
        await asyncio.to_thread(_require_same, desk, wanted, pool, parts, kept)
        return bench, parts, kept
    finally:
        await pool.close()


def _begun(work: Path, parts: Parts, sets: Sequence[Entry]) -> None:
    """Go on from what is kept, where it was answered by the same parts; else begin anew."""
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    said = dump({"parts": str(parts.digest), "sets": [str(entry.digest) for entry in sets]})
    file = work / _PARTS
    if not file.is_file() or file.read_bytes() != said:
        shutil.rmtree(work / _ANSWERS, ignore_errors=True)
        write_whole(file, said)
    (work / _ANSWERS).mkdir(exist_ok=True)


async def _one(desk: Desk, bench: Bench, parts: Parts, put: Any, entry: Entry, pool: EnginePool) -> dict[str, Any]:
    """Ask one question as its reader would, and keep what judging needs."""
    wanted = bench.wanted
    among = frozenset(e.id for e in parts.searched) if wanted.among else None
    filters = Filters(documents=among)
    wish = assistant.Wish(
        marking=str(entry.marking), pasted=put.brought, engine=parts.engine, limit=wanted.limit,
        project=wanted.project, language=put.language if put.language in {"fr", "en"} else "", filters=filters,
    )  # fmt: skip
    places, rank = bench.places[put.digest], None
    if put.kind == rules().QUESTION:
        found = await asyncio.to_thread(searching.hits, desk, put.text, filters=filters, limit=DEPTH)
        if found.behind:
            raise Unavailable("the index", expected="one that nobody writes now", found="one that somebody does")
        rank = _rank(put, places, [(hit.passage, hit.passage.text) for hit in found.hits])
    whole = await _whole(desk, put.text, wish, pool)
    cited = [(c.entry, c.document) in places and put.holds(c.text) for c in whole.cited]
    return {
        "said": [uncited(sentence.text) for sentence in whole.sentences], "refused": whole.refused, "cited": cited,
        "rank": rank, "entries": list(whole.entries), "releases": sorted(whole.releases),
        "prompts": whole.prompts,
    }  # fmt: skip


async def _whole(desk: Desk, question: str, wish: assistant.Wish, pool: EnginePool) -> Answer:
    events = assistant.ask(desk, question, wish, pool=pool)
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Done):
                return event.answer
    raise RuntimeError("an answer that does not end")


def _rank(put: Any, places: frozenset[tuple[str, str]], found: Sequence[tuple[Any, str]]) -> int | None:
    """The rank of the right document among those found, a document being as far up as its first passage."""
    order: dict[tuple[str, str], None] = {}
    for passage, text in found:
        place = (passage.entry, passage.document)
        order.setdefault(place)
        if place in places and put.holds(text):
            return list(order).index(place) + 1
    return None


def _require_same(desk: Desk, wanted: Wanted, pool: EnginePool, parts: Parts, kept: Sequence[dict[str, Any]]) -> None:
    """Refuse figures of two assistants: whatever answers must be the same from the first question to the last."""
    now = _parts(desk, wanted, pool)
    used = {str(parts.facts["release"]), str(parts.facts["embedder"])}
    others = any(not used.issuperset(k["releases"]) or k["prompts"] != parts.facts["prompts"] for k in kept)
    if others or now.digest != parts.digest:
        found = "others: something came in, was withdrawn or was set meanwhile; give the command again"
        raise RunFailed(f"{THING} {wanted.name}", expected="the same parts and documents throughout", found=found)
