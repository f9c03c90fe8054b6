"""A text that a person pastes: passages of their own, beside those that a search found.

Rules. It carries the marking that the person declares, is data like any document, and is cited as pasted text; it is an
entry of nothing. How likely a piece answers is the share of the question that it holds, because one text has no
statistics to compare with. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator

from casemate.errors import BadInput
from casemate.markings import Marking
from casemate.serving.answers.events import PASTED
from casemate.serving.answers.facts import facts
from casemate.serving.answers.sentences import sentences
from casemate.serving.retrieval.passages import Hit, Passage

MAX_CHARACTERS = 1_000_000
_WORDS, _MOST = 180, 8


def pasted(text: str, question: str, marking: Marking, *, title: str, language: str) -> tuple[Hit, ...]:
    """The pieces of a pasted text that hold most of the question, best first."""
    if len(text) > MAX_CHARACTERS:
        raise BadInput("pasted text", expected=f"at most {MAX_CHARACTERS} characters", found=len(text))
    asked = facts(question).stems
    scored = []
    for number, piece in enumerate(_pieces(text), 1):
        share = len(asked & facts(piece).stems) / len(asked) if asked else 0.0
        passage = Passage(
            id=f"{PASTED}-{number:05d}", document=PASTED, number=number, title=title, heading="", text=piece,
            language=language, page=0, boxes=(), kind="text", date="", entry=PASTED, project="", marking=marking,
        )  # fmt: skip
        scored.append((-share, number, passage))
    ranked = sorted(scored, key=lambda one: one[:2])[:_MOST]
    return tuple(Hit(p, -share, -share, -share, None, rank) for rank, (share, _, p) in enumerate(ranked, 1))


def _pieces(text: str) -> Iterator[str]:
    held: list[str] = []
    words = 0
    for cut in sentences(text):
        length = len(cut.text.split())
        if held and words + length > _WORDS:
            yield "".join(held).strip()
            held, words = [], 0
        held.append(cut.text + cut.tail)
        words += length
    if whole := "".join(held).strip():
        yield whole
