"""Answers: citation precision and recall, and refusals, on real questions; which thresholds do what.

    python bench/answers.py [--data DIR] [--only CASE] [--embedder PACK] [--chat PACK --few N] [--calibrate]

Data (README of the data folder): `text_fr_cnil` (506 documents, 54 questions of people with the document expected),
`text_fr_servicepublic` (titles that are questions about other matters), `text_en_xquad` (240 paragraphs in 48 articles;
half of the articles are held, the questions of the other half have no answer here). The reference in the same run is
"plain": the first hit of the search, always cited and never refused.

- precision: of the passages that sentences cite, how many are of the expected document (paragraph for xquad).
- recall: of the questions with an answer here, how many get a citation of it.
- refusals: of the questions without an answer here, how many are refused; false refusals: of those with one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.markings import Policy
from casemate.modalities import find
from casemate.serving.answers import Answer, Done, Grounding, Prompts, Question, Thresholds, answer
from casemate.serving.answers.sentences import sentences
from casemate.serving.engines import Engine, Sampling
from casemate.serving.retrieval import Hit, Passage, search
from casemate.serving.retrieval.shard import open_shard
from casemate.serving.retrieval.writing import Source, update_shard

POLICY = Policy.shipped("fr")
ENTRY = "a" * 26
DATA_WORDS = (
    "donnée", "fichier", "internet", "cnil", "informatique", "vidéo", "spam", "téléph", "casier", "banque", "photo",
    "image", "électronique", "ligne", "numéri", "démarch", "vote", "élect",
)  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """A question; `expected` is the document that answers it, empty where none here does."""

    text: str
    expected: str


@dataclass(frozen=True)
class Case:
    name: str
    language: str
    passages: tuple[Passage, ...]
    questions: tuple[Asked, ...]


def passage(document: str, number: int, title: str, text: str, language: str) -> Passage:
    return Passage(
        id=f"{document}-{number:05d}", document=document, number=number, title=title, heading="", text=text,
        language=language, page=1, boxes=(), kind="text", date="", entry=ENTRY, project="bench", marking=POLICY.lowest,
    )  # fmt: skip


def pieces(text: str, words: int = 180) -> Iterator[str]:
    held = ""
    for cut in sentences(text):
        if held and len((held + cut.text).split()) > words:
            yield held.strip()
            held = ""
        held += cut.text + cut.tail
    if held.strip():
        yield held.strip()


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def cnil(data: Path) -> Case:
    documents = lines(data / "text_fr_cnil" / "docs.jsonl")
    passages = tuple(
        passage(f"cnil{d['id']}", n, d["title"], piece, "fr")
        for d in documents
        for n, piece in enumerate(pieces(d["text"]))
    )
    asked = [
        Asked(q["question"], f"cnil{q['expected_doc_id']}")
        for q in lines(data / "text_fr_cnil" / "dev_questions.jsonl")
    ]
    titles = [d["title"] for d in lines(data / "text_fr_servicepublic" / "docs.jsonl")]
    foreign = [Asked(title, "") for title in titles if title.endswith("?") and not about_data(title)][:150]
    return Case("cnil (fr)", "fr", passages, (*asked, *foreign))


def about_data(title: str) -> bool:
    """Titles that the CNIL's documents may well answer."""
    return any(word in title.lower() for word in DATA_WORDS)


def xquad(data: Path) -> Case:
    raw = json.loads((data / "text_en_xquad" / "xquad.en.json").read_text(encoding="utf-8"))["data"]
    passages, asked = [], []
    for place, article in enumerate(raw):
        held = place % 2 == 0
        for number, paragraph in enumerate(article["paragraphs"]):
            identifier = f"xq{place}p{number}"
            if held:
                title = article.get("title", "").replace("_", " ")
                passages.append(passage(identifier, 0, title, paragraph["context"], "en"))
            asked += [Asked(q["question"], identifier if held else "") for q in paragraph["qas"]]
    here = [q for q in asked if q.expected][::4]
    foreign = [q for q in asked if not q.expected][::4]
    return Case("xquad (en)", "en", tuple(passages), (*here, *foreign))


def found(case: Case, embedder: Any, folder: Path, limit: int) -> list[tuple[Hit, ...]]:
    update_shard(folder, {ENTRY: Source("sha256:0", "bench", lambda: iter(case.passages))}, embedder=embedder)
    shard = open_shard(folder, POLICY.lowest)
    return [search([shard], asked.text, embedder=embedder, limit=limit) for asked in case.questions]


def answers(
    case: Case, hits: Sequence[tuple[Hit, ...]], engine: Engine | None, thresholds: Thresholds, embedder: Any,
    chosen: Sequence[int],
) -> list[Answer]:  # fmt: skip
    async def one(index: int) -> Answer:
        grounding = Grounding(
            POLICY, Prompts.shipped(), f"bench {index}", thresholds=thresholds, embedder=embedder,
            sampling=Sampling(max_tokens=160),
        )  # fmt: skip
        asked = Question(case.questions[index].text, POLICY.lowest, case.language)
        last = [event async for event in answer(asked, hits[index], engine, grounding)][-1]
        assert isinstance(last, Done)
        return last.answer

    async def every() -> list[Answer]:
        return [await one(index) for index in chosen]

    return asyncio.run(every())


def report(name: str, case: Case, made: Sequence[Answer], chosen: Sequence[int]) -> None:
    asked = [case.questions[index] for index in chosen]
    here = [(q, a) for q, a in zip(asked, made, strict=True) if q.expected]
    foreign = [a for q, a in zip(asked, made, strict=True) if not q.expected]
    cited = [
        (c.document == q.expected) for q, a in here for s in a.sentences for c in a.citations if c.number in s.citations
    ]
    right = sum(any(c.document == q.expected for c in a.cited) for q, a in here)
    refused, wrongly = sum(a.refused for a in foreign), sum(a.refused for _, a in here)
    told = f"precision {share(sum(cited), len(cited))}  recall {share(right, len(here))}"
    told += f"  refusals {share(refused, len(foreign))}  false refusals {share(wrongly, len(here))}"
    print(f"{case.name:11} {name:28} {told}")


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} = {part / whole:.2f}" if whole else "none"


def plain(case: Case, hits: Sequence[tuple[Hit, ...]]) -> None:
    here = [(q, h) for q, h in zip(case.questions, hits, strict=True) if q.expected]
    right = sum(bool(h) and h[0].passage.document == q.expected for q, h in here)
    print(
        f"{case.name:11} {'plain: first hit, no refusal':28} precision = recall {share(right, len(here))}  refusals 0"
    )


def calibrate(case: Case, hits: Sequence[tuple[Hit, ...]]) -> None:
    """What each threshold on the confidence of an answer does."""
    from casemate.serving.answers.confidence import sure

    for name, value in (("search", lambda _, h: h[0].confidence), ("answers", lambda q, h: sure(q.text, h))):
        scored = [(value(q, h) if h else 0.0, bool(q.expected)) for q, h in zip(case.questions, hits, strict=True)]
        for step in range(1, 19):
            at = step / 20
            kept = sum(score >= at for score, here in scored if here)
            gone = sum(score < at for score, here in scored if not here)
            yes, no = sum(here for _, here in scored), sum(not here for _, here in scored)
            print(f"{case.name:11} {name:8} threshold {at:.2f}  answered {share(kept, yes)}  refused {share(gone, no)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).parents[2] / "shared" / "data")
    parser.add_argument("--embedder", type=Path)
    parser.add_argument("--chat", type=Path)
    parser.add_argument("--few", type=int, default=10, help="questions of each sort for the chat model")
    parser.add_argument("--passages", type=int, default=6, help="passages that take part")
    parser.add_argument("--calibrate", action="store_true")
    parser.add_argument("--only", choices=["cnil", "xquad"], help="one of the two cases")
    given = parser.parse_args()
    embedder = (
        find("language").predict.embedder(given.embedder, name=given.embedder.name.encode().hex().ljust(64, "0")[:64])
        if given.embedder
        else None
    )
    for case in (made(given.data) for made in (cnil, xquad) if given.only in {None, made.__name__}):
        with tempfile.TemporaryDirectory() as folder:
            began = time.perf_counter()
            hits = found(case, embedder, Path(folder) / "shard", given.passages)
            print(f"{case.name:11} {len(case.passages)} passages, {len(case.questions)} questions, "
                  f"index and searches {time.perf_counter() - began:.1f} s")  # fmt: skip
            if given.calibrate:
                calibrate(case, hits)
            plain(case, hits)
            every = range(len(case.questions))
            report("quote", case, answers(case, hits, None, Thresholds(), embedder, every), every)
            if given.chat:
                here = [i for i in every if case.questions[i].expected][: given.few]
                foreign = [i for i in every if not case.questions[i].expected][: given.few]
                engine = opened(given.chat)
                began = time.perf_counter()
                made = answers(case, hits, engine, Thresholds(), embedder, [*here, *foreign])
                report(f"chat {engine.name}", case, made, [*here, *foreign])
                notes = [n.code for a in made for n in a.notes]
                counted = ", ".join(f"{code} {notes.count(code)}" for code in sorted(set(notes)))
                print(f"{'':11} {time.perf_counter() - began:.0f} s; notes: {counted or 'none'}")
                asyncio.run(engine.close())


def opened(pack: Path) -> Engine:
    from casemate.serving.engines import llamacpp

    engine: Engine = llamacpp.open_engine("bench", pack, context_tokens=4096, slots=1, threads=2)
    return engine


if __name__ == "__main__":
    main()
