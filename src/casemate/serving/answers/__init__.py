"""Answers that cite: grounded in passages that the reader may read, checked sentence by sentence, marked by a join.

Rules. Documents are data: cleaned, delimited, their instructions set aside and told. Every sentence is tied to its
passages by the application and not by the model's good will, or dropped. Below a calibrated confidence nothing is
answered. The marking of an answer is the join of all that went into it, whatever the engine writes. This room keeps
nothing: what a reader wants to keep becomes an entry of the catalog, made from what it was made from.
"""

from casemate.serving.answers.answering import QUOTE, Grounding, answer
from casemate.serving.answers.context import Question, Turn
from casemate.serving.answers.events import PASTED, Answer, Citation, Done, Event, Note, Passages, Sentence
from casemate.serving.answers.languages import language_of
from casemate.serving.answers.pasting import pasted
from casemate.serving.answers.prompts import Prompts
from casemate.serving.answers.support import Thresholds

__all__ = [
    "PASTED",
    "QUOTE",
    "Answer",
    "Citation",
    "Done",
    "Event",
    "Grounding",
    "Note",
    "Passages",
    "Prompts",
    "Question",
    "Sentence",
    "Thresholds",
    "Turn",
    "answer",
    "language_of",
    "pasted",
]
