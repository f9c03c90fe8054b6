"""How well a chat model answers from given passages: words, citations, and refusals where there is no answer.

Rules. With each question go the piece of its document that holds the answer and the likeliest pieces of other documents
(BM25), in an order drawn from its id. A question that cannot be answered gets the likeliest pieces alone, and should be
refused. What a refusal is, and what an answer is worth, is in `words`.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from casemate.errors import BadInput
from casemate.modalities.language.corpus import Question, Text
from casemate.modalities.language.evaluation import prompts, words
from casemate.modalities.language.evaluation.asking import Ask, Chat, ask_all
from casemate.modalities.language.evaluation.figures import Figure, mean, ratio, share
from casemate.modalities.language.evaluation.lexical import Bm25, chunks
from casemate.modalities.language.evaluation.task import Found, Sample, Task

_LENGTH_OF_A_SET = 10_000  # documents beyond which picking distractors would take longer than asking


@dataclass(frozen=True)
class Posed:
    """A question with its passages; `right` is the number of the one that answers, 0 where none does."""

    question: Question
    passages: tuple[str, ...]
    right: int

    @property
    def ask(self) -> Ask:
        """What is put before the model."""
        q = self.question
        told = prompts.user(q.question, self.passages, q.language)
        return Ask(q.id, told, prompts.system(q.language), prompts.examples(q.language))


def pose(task: Task) -> list[Posed]:
    """The questions of the set that are asked, each with its passages."""
    questions = task.drawn(task.dataset.questions, task.asked.questions)
    documents = task.dataset.texts[:_LENGTH_OF_A_SET]
    if not questions or not documents:
        raise BadInput("evaluation set", expected="questions.jsonl and documents.jsonl", found="a set without them")
    pieces = [(doc, f"{doc.title}. {piece}" if doc.title else piece) for doc in documents for piece in chunks(doc.text)]
    ranked = Bm25([text for _, text in pieces])
    return [_posed(q, pieces, ranked, task.asked.passages) for q in questions]


def evaluate(task: Task, chat: Chat, posed: Sequence[Posed]) -> Found:
    """Ask, and count."""
    replies = ask_all(task, chat, [p.ask for p in posed])
    pairs = list(zip(posed, replies, strict=True))
    found = Found(counts={"questions": len(posed), "documents": len(task.dataset.texts)})
    found.metrics = dict(_figures(task, pairs, ""))
    languages = Counter(p.question.language for p in posed if p.question.language)
    for language in sorted(languages) if len(languages) > 1 else ():
        chosen = [(p, reply) for p, reply in pairs if p.question.language == language]
        found.metrics |= dict(_figures(task, chosen, f".{language}"))
    found.samples = list(_samples(task, pairs))
    return found


def _posed(question: Question, pieces: Sequence[tuple[Text, str]], ranked: Bm25, most: int) -> Posed:
    scores = ranked.scores(question.question)
    order = sorted(range(len(pieces)), key=lambda i: (-scores[i], i))
    gold = _gold(question, pieces, order)
    others = [i for i in order if question.document is None or pieces[i][0].id != question.document]
    chosen = [*others[: most - 1], gold] if gold is not None else others[:most]
    chosen.sort(key=lambda i: hashlib.sha256(f"{question.id} {i}".encode()).digest())
    return Posed(question, tuple(pieces[i][1] for i in chosen), chosen.index(gold) + 1 if gold is not None else 0)


def _gold(question: Question, pieces: Sequence[tuple[Text, str]], order: Sequence[int]) -> int | None:
    """The piece that answers: the likeliest of the question's document that holds an answer, else its likeliest."""
    if not question.answerable or question.document is None:
        return None
    own = [i for i in order if pieces[i][0].id == question.document]
    holding = [i for i in own if words.exact(pieces[i][1], question.answers)]
    return (holding or own)[0]


def _figures(task: Task, pairs: Sequence[tuple[Posed, str]], label: str) -> Iterator[tuple[str, Figure]]:
    def draws(values: Sequence[float], wholes: Sequence[float] | None = None) -> Figure:
        how = {"resamples": task.asked.resamples, "seed": task.seed}
        return mean(values, **how) if wholes is None else ratio(values, wholes, **how)

    with_answer = [(p, reply) for p, reply in pairs if p.question.answerable]
    without = [reply for p, reply in pairs if not p.question.answerable]
    spans = [(p, words.without_citations(reply)) for p, reply in with_answer if p.question.answers]
    answered = [(p, words.citations(reply)) for p, reply in with_answer if p.right and not words.refused(reply)]
    yield f"answer_exact{label}", share(sum(words.exact(r, p.question.answers) for p, r in spans), len(spans))
    yield f"answer_f1{label}", draws([words.f1(r, p.question.answers) for p, r in spans])
    refused = sum(words.refused(reply) for _, reply in with_answer)
    yield f"answer_refused{label}", share(refused, len(with_answer))
    yield f"refusal_accuracy{label}", share(sum(map(words.refused, without)), len(without))
    right = [float(p.right in cited) for p, cited in answered]
    yield f"citation_precision{label}", draws(right, [float(len(cited)) for _, cited in answered])
    yield f"citation_recall{label}", draws(right)


def _samples(task: Task, pairs: Sequence[tuple[Posed, str]]) -> Iterator[Sample]:
    with_answer = [(p, reply) for p, reply in pairs if p.question.answerable]
    without = [(p, reply) for p, reply in pairs if not p.question.answerable]
    for p, reply in with_answer[: task.asked.samples]:
        good = words.exact(words.without_citations(reply), p.question.answers)
        expected = " / ".join(p.question.answers) or "–"
        yield Sample("question", p.question.question, reply, f"expected: {expected}", f"attendu : {expected}", good)
    for p, reply in without[: task.asked.samples]:
        good = words.refused(reply)
        told = ("refused", "refusé") if good else ("answered, should be refused", "répondu, devait être refusé")
        yield Sample("unanswerable", p.question.question, reply, *told, good)
