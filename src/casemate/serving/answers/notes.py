"""The wording of notes and refusals, French and English, by their codes.

Rules. A note says what was done and what the reader may do about it; it never quotes a document.
"""

from __future__ import annotations

from typing import Any

from casemate.serving.answers.events import Note

NOTHING = "nothing answers"

_WORDS: dict[str, tuple[str, str]] = {
    NOTHING: ("Rien de ce que vous pouvez lire ne répond à cela.", "Nothing that you may read answers this."),
    "abstained": (
        "Le moteur ne trouve pas la réponse dans les passages ; ils sont listés pour que vous jugiez.",
        "The engine does not find the answer in the passages; they are listed for you to judge.",
    ),
    "left out": (
        "{count} passage(s) ne tenai(en)t pas dans le contexte du moteur et n'ont pas été lus.",
        "{count} passage(s) did not fit into the engine's context and were not read.",
    ),
    "history left out": (
        "{count} message(s) ancien(s) de la conversation ne tenai(en)t pas dans le contexte.",
        "{count} earlier message(s) of the conversation did not fit into the context.",
    ),
    "instructions": (
        "Le passage {number} s'adresse au modèle ({kinds}) : ces phrases ont été écartées.",
        "Passage {number} speaks to the model ({kinds}): those sentences were set aside.",
    ),
    "dropped": (
        "{count} phrase(s) que rien n'appuie dans les passages ont été retirées.",
        "{count} sentence(s) that nothing in the passages supports were dropped.",
    ),
    "contradicted": (
        "{count} phrase(s) contredites par les passages ont été retirées.",
        "{count} sentence(s) that the passages contradict were dropped.",
    ),
    "filtered": (
        "{count} phrase(s) ou élément(s) ont été retirés par les filtres de sortie ({kinds}).",
        "{count} sentence(s) or element(s) were removed by the output filters ({kinds}).",
    ),
    "engine ceiling": (
        "Le moteur est sur une autre machine, dont le plafond n'admet pas ce qui a été lu : rien ne lui a été envoyé.",
        "The engine is on another machine, whose ceiling does not admit what was read: nothing was sent to it.",
    ),
    "engine stopped": (
        "Le moteur s'est arrêté avant la fin ; ce qui précède a été vérifié.",
        "The engine stopped before the end; what stands above was checked.",
    ),
    "cut": (
        "La réponse dépassait la longueur permise et a été coupée.",
        "The answer was longer than allowed and was cut.",
    ),
    "tool refused": (
        "Le moteur a demandé un outil ; aucun n'est permis ici.",
        "The engine asked for a tool; none is allowed here.",
    ),
    "quoted instead": (
        "Aucune phrase du moteur n'a pu être vérifiée : voici les passages eux-mêmes.",
        "No sentence of the engine could be verified: here are the passages themselves.",
    ),
}


def wording(code: str, language: str, **facts: Any) -> str:
    """The text of a note."""
    french, english = _WORDS[code]
    return (french if language == "fr" else english).format(**facts)


def note(code: str, language: str, **facts: Any) -> Note:
    """A note with its wording and its facts."""
    return Note(code, wording(code, language, **facts), facts)
