"""Sets of documents and questions for `retrieval.py`: people's questions, and questions made from titles.

- cnil: `text_fr_cnil`, questions that people worded.
- servicepublic: titles are the questions, and are left out of the index.
- xquad: `text_en_xquad`, each paragraph a document.
- worded: 200 documents of servicepublic with their titles and their first 120 words; `questions/worded-fr.tsv` asks for
  64 of them as people would, on purpose in other words than the titles; written before any search was made in it.
- untitled: the CNIL's documents without titles, which are the questions.
- topics: the CNIL's titles « topic : question », of which the index keeps the topic; the whole title is the question.

No constant is chosen on `cnil`: it tells what a choice is worth (docs/adr/0009-retrieval.md).
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
WORDED = Path(__file__).parent / "questions" / "worded-fr.tsv"


@dataclass(frozen=True)
class Doc:
    id: str
    title: str
    text: str
    language: str


@dataclass(frozen=True)
class Asked:
    question: str
    expected: str


Set = tuple[list[Doc], list[Asked]]


def cnil() -> Set:
    asked = [Asked(q["question"], q["expected_doc_id"]) for q in lines("text_fr_cnil/dev_questions.jsonl")]
    return titled("text_fr_cnil"), asked


def servicepublic() -> Set:
    return without_titles(titled("text_fr_servicepublic"))


def untitled() -> Set:
    return without_titles(titled("text_fr_cnil"))


def topics() -> Set:
    docs, asked = [], []
    for doc in titled("text_fr_cnil"):
        topic, *question = re.split(r"[\s\xa0]+:[\s\xa0]+", doc.title, maxsplit=1)
        if question and len(question[0].split()) >= 2:
            asked.append(Asked(doc.title, doc.id))
            docs.append(replace(doc, title=topic))
        else:
            docs.append(doc)
    return docs, asked


def worded() -> Set:
    docs = titled("text_fr_servicepublic")
    order = list(range(len(docs)))
    random.Random(11).shuffle(order)  # noqa: S311  which documents take part is no secret
    chosen = [replace(docs[n], text=" ".join(docs[n].text.split(" ")[:120])) for n in order[:200]]
    rows = [line.split("\t") for line in WORDED.read_text(encoding="utf-8").splitlines()]
    return chosen, [Asked(question, document) for document, question in rows]


def xquad() -> Set:
    docs, asked = [], []
    for article in json.loads((DATA / "text_en_xquad" / "xquad.en.json").read_text())["data"]:
        for paragraph in article["paragraphs"]:
            docs.append(Doc(f"p{len(docs)}", "", paragraph["context"], "en"))
            asked += [Asked(q["question"], docs[-1].id) for q in paragraph["qas"]]
    return docs, asked


SETS = {f.__name__: f for f in (cnil, servicepublic, xquad, worded, untitled, topics)}


def sampled(found: Set, documents: int | None, words: int | None) -> Set:
    """Evenly spaced `documents` of a set with their questions, of each its first `words`; None for all."""
    docs, asked = found
    if documents and documents < len(docs):
        docs = [docs[n * len(docs) // documents] for n in range(documents)]
    if words:
        docs = [replace(doc, text=" ".join(doc.text.split(" ")[:words])) for doc in docs]
    kept = {doc.id for doc in docs}
    return docs, [one for one in asked if one.expected in kept]


def without_titles(docs: Sequence[Doc]) -> Set:
    return [replace(doc, title="") for doc in docs], [Asked(doc.title, doc.id) for doc in docs]


def titled(name: str) -> list[Doc]:
    return [Doc(d["id"], d["title"], d["text"], "fr") for d in lines(f"{name}/docs.jsonl")]


def lines(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (DATA / name).read_text(encoding="utf-8").splitlines()]
