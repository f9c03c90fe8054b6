"""How well an embedder finds the document that answers: recall and nDCG, exact and by brute force.

Rules. Each question is compared with every piece of every document of the set (about 120 words, the title before each);
a document is as near as its nearest piece. The same questions by words alone (BM25) stand beside, as the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from math import log2
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Question, Text
from casemate.modalities.language.evaluation.figures import Figure, mean
from casemate.modalities.language.evaluation.lexical import Bm25, chunks
from casemate.modalities.language.evaluation.task import Found, Sample, Task

_BATCH = 16


class Embedder(Protocol):
    """Texts as vectors of unit length."""

    def embed(self, texts: Sequence[str], *, query: bool) -> NDArray[np.float32]:
        """One row a text."""


def evaluate(task: Task, open_embedder: Callable[[Task], Any]) -> Found:
    """Recall at 1 and 5 and nDCG at 10, of all questions and by language."""
    asked = [q for q in task.dataset.questions if q.document is not None]
    questions = task.drawn(asked, task.asked.questions)
    if not questions:
        raise BadInput("evaluation set", expected="questions that name the document which answers", found="none")
    documents = task.dataset.texts
    pieces = [(n, f"{doc.title}\n{piece}".strip()) for n, doc in enumerate(documents) for piece in chunks(doc.text)]
    task.total = len(pieces) + len(questions)
    by_vector = _by_vector(task, open_embedder(task), questions, pieces, len(documents))
    by_words = _by_words(questions, pieces, len(documents))
    found = Found(counts={"documents": len(documents), "questions": len(questions)})
    ranks = _ranks(questions, documents, by_vector)
    found.metrics = _figures(task, ranks, "")
    found.metrics |= _figures(task, _ranks(questions, documents, by_words), ".bm25")
    languages = Counter(q.language for q in questions if q.language)
    for language in sorted(languages) if len(languages) > 1 else ():
        chosen = [rank for rank, q in zip(ranks, questions, strict=True) if q.language == language]
        found.metrics |= _figures(task, chosen, f".{language}")
    found.samples = list(_samples(task, questions, documents, by_vector, ranks))
    return found


def _by_vector(
    task: Task, embedder: Embedder, questions: Sequence[Question], pieces: Sequence[tuple[int, str]], documents: int
) -> NDArray[np.float64]:
    rows = []
    for start in range(0, len(pieces), _BATCH):
        batch = [text for _, text in pieces[start : start + _BATCH]]
        rows.append(embedder.embed(batch, query=False))
        for _ in batch:
            task.step()
    vectors = np.concatenate(rows)
    scores = np.empty((len(questions), documents))
    for i, question in enumerate(questions):
        asked = embedder.embed([question.question], query=True)[0]
        scores[i] = _nearest(vectors @ asked, pieces, documents)
        task.step()
    return scores


def _by_words(questions: Sequence[Question], pieces: Sequence[tuple[int, str]], documents: int) -> NDArray[np.float64]:
    words = Bm25([text for _, text in pieces])
    return np.array([_nearest(np.array(words.scores(q.question)), pieces, documents) for q in questions])


def _nearest(scores: NDArray[Any], pieces: Sequence[tuple[int, str]], documents: int) -> NDArray[np.float64]:
    """Of each document, the score of its best piece."""
    best = np.full(documents, -np.inf)
    np.maximum.at(best, [n for n, _ in pieces], scores)
    return best


def _ranks(questions: Sequence[Question], documents: Sequence[Text], scores: NDArray[np.float64]) -> list[int]:
    """The rank of each question's document, 1 the best; a tie counts against it."""
    place = {doc.id: n for n, doc in enumerate(documents)}
    right = [place[str(q.document)] for q in questions]
    return [int((row >= row[at]).sum()) for row, at in zip(scores, right, strict=True)]


def _figures(task: Task, ranks: Sequence[int], label: str) -> dict[str, Figure]:
    def figure(values: Iterable[float]) -> Figure:
        return mean(list(values), resamples=task.asked.resamples, seed=task.seed)

    return {
        f"recall_at_1{label}": figure(float(rank <= 1) for rank in ranks),
        f"recall_at_5{label}": figure(float(rank <= 5) for rank in ranks),
        f"ndcg_at_10{label}": figure(1 / log2(rank + 1) if rank <= 10 else 0.0 for rank in ranks),
    }


def _samples(
    task: Task,
    questions: Sequence[Question],
    documents: Sequence[Text],
    scores: NDArray[np.float64],
    ranks: Sequence[int],
) -> Iterable[Sample]:
    """The questions that went worst, then the first ones."""
    order = sorted(range(len(questions)), key=lambda i: (-ranks[i], i))[: task.asked.samples]
    for i in order:
        first = documents[int(scores[i].argmax())]
        good, told = (
            ranks[i] == 1,
            (f"the right document is number {ranks[i]}", f"le bon document est au rang {ranks[i]}"),
        )
        yield Sample("question", questions[i].question, first.title or first.text[:200], *told, good)
