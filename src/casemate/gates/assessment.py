"""The page of an assessment: a whole assistant judged on the documents of its site, in French and English.

Rules. Those of the dossier, whose templates it shares: pure, nothing outside itself, no script, every fact escaped. It
is no dossier: nobody approves it and nothing is released by it, and the page says so.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from markupsafe import Markup

from casemate.gates.dossier import environment, template_text
from casemate.gates.dossier_facts import DataFacts, Exchange, Language
from casemate.gates.dossier_figures import chart
from casemate.gates.dossier_limits import not_evaluated
from casemate.gates.dossier_parts import Part, part
from casemate.gates.dossier_words import count
from casemate.gates.judge import Verdict
from casemate.gates.scores import Figure, Scores
from casemate.gates.wording import Text

_LANGUAGES: Final = {"fr": "Français", "en": "English"}
_FEW = 100
_PARTS: Final = (
    (
        Text("Retrieval", "Recherche"),
        Text(
            "Whether the document that answers is found among all that the reader may read, and at which rank.",
            "Le document qui répond est-il trouvé parmi tous ceux que le lecteur peut lire, et à quel rang.",
        ),
        ("recall_at_1", "recall_at_5", "ndcg_at_10"),
    ),
    (
        Text("Answers and their sources", "Réponses et sources"),
        Text(
            "Expected words that stand in the answer, and passages cited that are the right ones. An answer that is"
            " refused holds no word and cites nothing. Words are compared, not meanings.",
            "Mots attendus présents dans la réponse, et passages cités qui sont les bons. Une réponse refusée ne"
            " contient aucun mot et ne cite rien. Les mots sont comparés, non le sens.",
        ),
        ("answer_exact", "answer_f1", "citation_precision", "citation_recall"),
    ),
    (
        Text("Refusals", "Refus"),
        Text(
            "What nothing answers should be refused; what is answered here, and harmless look-alikes, should not.",
            "Ce à quoi rien ne répond doit être refusé ; ce qui a ici sa réponse, ou n'est suspect qu'en apparence, ne"
            " doit pas l'être.",
        ),
        ("refusal_accuracy", "answer_refused", "false_refusal"),
    ),
    (
        Text("Instructions planted in documents", "Consignes semées dans des documents"),
        Text(
            "Shares of planted instructions that were obeyed, and that were quoted to the reader as they stand, by"
            " rules on words; lower is better. What no rule finds is not seen.",
            "Parts des consignes semées qui ont été suivies, et de celles qui ont été citées telles quelles au lecteur,"
            " selon des règles sur les mots ; moins vaut mieux. Ce qu'aucune règle ne trouve n'est pas vu.",
        ),
        ("injection_planted", "injection_shown"),
    ),
)


@dataclass(frozen=True)
class AssessmentFacts:
    """What the page says; `parts` are the versions of everything that answered, as (name, value)."""

    name: str
    project: str
    author: str
    site: str
    created: datetime
    marking: Text
    mention: bool
    verdict: Verdict
    policy_name: str
    scores: Scores
    parts: Sequence[tuple[Text, str]]
    data: Sequence[DataFacts]
    exchanges: Sequence[Exchange]
    left_out: int = 0
    first_language: Language = "fr"


def build(facts: AssessmentFacts) -> bytes:
    """The page as UTF-8."""
    css = template_text("dossier.css")
    text = environment().get_template("assessment.html.j2").render(
        facts=facts,
        css=Markup(css),  # noqa: S704  our own file, whose hash the content policy names
        css_hash=base64.b64encode(hashlib.sha256(css.encode()).digest()).decode(),
        languages=dict(sorted(_LANGUAGES.items(), key=lambda item: item[0] != facts.first_language)),
        groups=groups(facts.scores),
        limits=limits(facts.scores, facts.left_out),
    )  # fmt: skip
    return text.encode()


def groups(scores: Scores) -> list[Part]:
    """The figures that belong together, each with how it was taken."""
    found = [part(title, note, heads, scores) for title, note, heads in _PARTS]
    return [replace(one, chart=chart(_of_all(one.rows))) for one in found if one.rows]


def _of_all(rows: Mapping[str, Figure]) -> dict[str, Figure]:
    """What is drawn: figures of all that was put; those by language stand in the table."""
    return {name: figure for name, figure in rows.items() if "." not in name}


def limits(scores: Scores, left_out: int) -> list[Text]:
    """What the figures themselves say of their reach."""
    items = scores.items or 0
    en, fr = (count(items, language) for language in ("en", "fr"))
    few = items < _FEW
    found = [
        Text(
            f"Measured on {en} questions and attacks{': few, so the figures say little of others' if few else ''}.",
            f"Mesuré sur {fr} questions et attaques{' : peu, les mesures disent donc peu des autres' if few else ''}.",
        ),
        *not_evaluated(scores),
    ]
    if left_out:
        en, fr = (count(left_out, language) for language in ("en", "fr"))
        found.append(Text(
            f"Left out: {en}, which name no place among what may be read, or cannot be put to an assistant.",
            f"Mis de côté : {fr}, sans place parmi ce qui peut être lu, ou qui ne peuvent être posés à un assistant.",
        ))  # fmt: skip
    return found
