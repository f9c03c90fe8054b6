"""Retrieval of passages against plain BM25 and against each of its halves, in the same run.

    python bench/retrieval.py [--model FOLDER] [--work FOLDER] [--only SET] [--documents N] [--words N] [--calibrate]

SET is one of `retrieval_sets.py`, which says what they are. FOLDER is an embedder's (a pack, such as `embeddings-e5`);
indexes are kept in --work, so that a second run does not embed again. A document is found at the rank of its best
passage. `plain BM25` is one field (title and text), words in lower case, k1 1.2, b 0.75. Figures are shares of
questions found first and in five, and nDCG@10, with 95 % intervals (Wilson) of the first. With --calibrate the
constants of `confidence.py` are fitted, on questions whose document is there and on the same questions with it taken
away, and judged by leaving out one document's questions at a time.
"""

from __future__ import annotations

import argparse
import math
import re
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from retrieval_sets import SETS, Asked, Doc, sampled

from casemate.markings import Policy
from casemate.serving.retrieval import Embedder, Filters, Hit, Passage, search
from casemate.serving.retrieval.shard import Shard, open_shard
from casemate.serving.retrieval.writing import Source, update_shard

MARKING = Policy.shipped("fr").lowest
PASSAGE_WORDS = 200


def passages(docs: Sequence[Doc]) -> Iterator[Passage]:
    for doc in docs:
        words = doc.text.split(" ")
        for number, at in enumerate(range(0, max(1, len(words)), PASSAGE_WORDS)):
            text = " ".join(words[at : at + PASSAGE_WORDS])
            yield Passage(f"{doc.id}-{number:05}", doc.id, number, doc.title, "", text, doc.language, 0, (), "text", "",
                          "set", "bench", MARKING)  # fmt: skip


def ranks(hits_of: Sequence[Sequence[str]], asked: Sequence[Asked]) -> np.ndarray:
    """The rank of each question's document, counted from 0; 999 where it is not among the hits."""
    found = []
    for hits, one in zip(hits_of, asked, strict=True):
        order = list(dict.fromkeys(hits))
        found.append(order.index(one.expected) if one.expected in order else 999)
    return np.array(found)


def told(name: str, found: np.ndarray, seconds: float) -> None:
    first, five = float((found < 1).mean()), float((found < 5).mean())
    ndcg = float(np.where(found < 10, 1 / np.log2(np.minimum(found, 10) + 2.0), 0).mean())
    low, high = wilson(first, len(found))
    print(f"  {name:<28} first {first:6.1%} [{low:.0%}-{high:.0%}]  in five {five:6.1%}  nDCG@10 {ndcg:.3f}"
          f"  {1000 * seconds / len(found):6.1f} ms a question")  # fmt: skip


def wilson(share: float, n: int) -> tuple[float, float]:
    z = 1.96
    centre, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (centre - half) / (1 + z * z / n), (centre + half) / (1 + z * z / n)


def plain_bm25(docs: Sequence[Doc], asked: Sequence[Asked]) -> list[list[str]]:
    counts = [Counter(re.findall(r"\w+", f"{d.title} {d.text}".lower())) for d in docs]
    lengths = np.array([sum(c.values()) for c in counts])
    frequency = Counter(word for c in counts for word in c)
    norm = 1.2 * (1 - 0.75 + 0.75 * lengths / lengths.mean())
    ranked = []
    for one in asked:
        total = np.zeros(len(docs))
        for word in set(re.findall(r"\w+", one.question.lower())):
            times = np.array([c[word] for c in counts])
            idf = math.log(1 + (len(docs) - frequency[word] + 0.5) / (frequency[word] + 0.5))
            total += idf * times * 2.2 / (times + norm)
        ranked.append([docs[n].id for n in np.argsort(-total, kind="stable")[:100]])
    return ranked


def by_meaning(hits: Sequence[Hit]) -> list[str]:
    """Hits in the order of their cosines alone."""
    ranked = sorted((h for h in hits if h.dense is not None), key=lambda h: -(h.dense or 0))
    return [h.passage.document for h in ranked]


def run(name: str, shard: Shard, docs: Sequence[Doc], asked: Sequence[Asked], embedder: Embedder | None) -> None:
    print(f"{name}: {len(docs)} documents, {len(asked)} questions")
    begun = time.perf_counter()
    plain = plain_bm25(docs, asked)
    told("plain BM25", ranks(plain, asked), time.perf_counter() - begun)
    for label, used in (("Casemate, words alone", None), ("Casemate", embedder)):
        if label == "Casemate" and used is None:
            continue
        begun = time.perf_counter()
        found = [search([shard], one.question, embedder=used, limit=100) for one in asked]
        took = time.perf_counter() - begun
        told(label, ranks([[h.passage.document for h in hits] for hits in found], asked), took)
        if used:
            told("meaning alone", ranks([by_meaning(hits) for hits in found], asked), took)


def calibrate(shard: Shard, docs: Sequence[Doc], asked: Sequence[Asked], embedder: Embedder | None) -> None:
    """Fit the curve of confidence on the best hit of each question, with its document there and taken away."""
    everything = frozenset(doc.id for doc in docs)
    rows, right, group = [], [], []
    for one in asked:
        for shown in (everything, everything - {one.expected}):
            hits = search([shard], one.question, embedder=embedder, limit=1, filters=Filters(documents=shown))
            if hits:
                rows.append(facts_of(hits[0]))
                right.append(float(hits[0].passage.document == one.expected))
                group.append(one.expected)
    x, y = np.array(rows), np.array(right)
    print("  weights (offset, share, words, meaning):", np.round(fitted(x, y), 2).tolist())
    guessed = np.empty(len(y))
    for held in sorted(set(group)):
        out = np.array([g == held for g in group])
        guessed[out] = sigmoid(fitted(x[~out], y[~out]), x[out])
    pairs = guessed[y == 1][:, None] - guessed[y == 0][None]
    auc = float((pairs > 0).mean() + (pairs == 0).mean() / 2)
    print(f"  leaving out one document at a time: AUC {auc:.3f}, Brier {np.mean((guessed - y) ** 2):.3f}"
          f" (always {y.mean():.2f}: {np.mean((y.mean() - y) ** 2):.3f})")  # fmt: skip
    for bar in (0.3, 0.4, 0.5, 0.6):
        kept = guessed >= bar
        print(f"  at {bar}: answers {kept[y == 1].mean():.0%} of what it would get right, "
              f"refuses {(~kept)[y == 0].mean():.0%} of what it would get wrong")  # fmt: skip


def facts_of(hit: Hit) -> list[float]:
    assert hit.facts
    return [1.0, hit.facts.share, hit.facts.words, hit.facts.meaning or 0.0]


def sigmoid(weights: np.ndarray, x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x @ weights, -50, 50)))


def fitted(x: np.ndarray, y: np.ndarray, *, ridge: float = 1.0) -> np.ndarray:
    """Logistic regression by Newton's method, the offset free and the weights drawn towards 0."""
    weights, penalty = np.zeros(x.shape[1]), ridge * np.diag([0.0, *[1.0] * (x.shape[1] - 1)])
    for _ in range(50):
        p = sigmoid(weights, x)
        step = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty + 1e-9 * np.eye(len(weights)),
                               x.T @ (y - p) - penalty @ weights)  # fmt: skip
        weights = weights + step
    return weights


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "casemate-bench-retrieval")
    parser.add_argument("--only", choices=list(SETS))
    parser.add_argument("--documents", type=int, help="evenly spaced documents of each set, with their questions")
    parser.add_argument("--words", type=int, help="of each document its first words")
    parser.add_argument("--calibrate", action="store_true")
    given = parser.parse_args()
    embedder = None
    if given.model:
        from casemate.modalities import find

        name = f"{given.model.resolve().name}".replace("-", "") + "0" * 8
        embedder = find("language").predict.embedder(given.model, name=name)
        print("embedder:", given.model.name, embedder.dim)
    for name, read in SETS.items():
        if given.only in {None, name}:
            docs, asked = sampled(read(), given.documents, given.words)
            folder = given.work / "-".join([name, *(str(n) for n in (given.documents, given.words) if n)])
            begun = time.perf_counter()
            update_shard(folder, {"set": Source(name, "bench", lambda d=docs: passages(d))}, embedder=embedder)
            print(f"index: {time.perf_counter() - begun:.1f} s")
            shard = open_shard(folder, MARKING)
            run(name, shard, docs, asked, embedder)
            if given.calibrate:
                calibrate(shard, docs, asked, embedder)


if __name__ == "__main__":
    main()
