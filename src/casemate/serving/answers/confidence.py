"""How sure an answer can be before an engine is asked: by the passages that were found, and nothing else.

Rules. The search says how likely its hits answer; in a small collection, where every word of a question that no
document holds weighs much, it is too modest, and in a large one a passage may hold all words of a question about
something else. So the share of the question's own content that the best passages hold is asked as well, question words
aside, and a name or a number that no passage holds counts against it. Calibrated by `bench/answers.py --calibrate`.
Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from casemate.serving.answers.facts import all_words, facts
from casemate.serving.retrieval.passages import Hit

LOOKED_AT = 3
_NAME_WEIGHT = 2.0


def held(question: str, hit: Hit) -> float:
    """The share of the question's stems, names and numbers that a passage holds with its title."""
    asked = facts(question)
    passage = hit.passage
    whole = f"{passage.title}\n{passage.heading}\n{passage.text}"
    there, words = facts(whole), all_words(whole)
    weights = [(1.0, stem in there.stems) for stem in asked.stems]
    weights += [(_NAME_WEIGHT, name in words) for name in asked.names]
    weights += [(_NAME_WEIGHT, number in there.numbers) for number in asked.numbers]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, is_there in weights if is_there) / total if total else 0.0


def sure(question: str, hits: Sequence[Hit]) -> float:
    """How sure an answer can be, in [0, 1]; 0 without hits."""
    if not hits:
        return 0.0
    return max(0.5 * hit.confidence + 0.5 * held(question, hit) for hit in hits[:LOOKED_AT])
