"""Everyday functions over text: synthesis, translation, redaction, a likely marking, minutes. One file each.

Rules. The same as for answers: text is data, what an engine says is checked and tied to what it came from, and the
marking of what comes out is the join of what went in. What needs an engine says so where there is none; what can be
done without one is deterministic. Nothing is kept here.
"""

from casemate.serving.functions.classification import Suggestion, suggest
from casemate.serving.functions.minutes import Minutes, minutes
from casemate.serving.functions.redaction import KINDS, Redacted, redact
from casemate.serving.functions.synthesis import Synthesis, summarise
from casemate.serving.functions.translation import Translation, translate

__all__ = [
    "KINDS",
    "Minutes",
    "Redacted",
    "Suggestion",
    "Synthesis",
    "Translation",
    "minutes",
    "redact",
    "suggest",
    "summarise",
    "translate",
]
