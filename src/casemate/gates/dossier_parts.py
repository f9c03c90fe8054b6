"""The parts of a dossier on a model of language: which figures stand together, and what is said of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from casemate.gates.dossier_figures import Chart, chart
from casemate.gates.scores import Figure, Scores
from casemate.gates.wording import Text


@dataclass(frozen=True)
class Part:
    """Figures that belong together, under their title, with how they were taken."""

    title: Text
    note: Text
    rows: dict[str, Figure]
    chart: Chart


_PARTS: Final = (
    (
        Text("Retrieval", "Recherche"),
        Text(
            "Each question of the set against all its documents, by vectors alone; beside it, by words alone (BM25).",
            "Chaque question du jeu face à tous ses documents, par les seuls vecteurs ; à côté, par les seuls mots"
            " (BM25).",
        ),
        ("recall_at_1", "recall_at_5", "ndcg_at_10"),
    ),
    (
        Text("Answers", "Réponses"),
        Text(
            "Questions asked with numbered passages; some have no answer there, and should be refused. Words are"
            " compared, not meanings.",
            "Questions posées avec des passages numérotés ; certaines n'y ont pas de réponse et doivent être refusées."
            " Les mots sont comparés, non le sens.",
        ),
        ("answer_exact", "answer_f1", "answer_refused", "refusal_accuracy", "citation_precision", "citation_recall"),
    ),
    (
        Text("Recognition of print", "Reconnaissance de caractères"),
        Text(
            "Edits that turn what was read into what is written, for each character or word that is written.",
            "Corrections qui mènent de ce qui a été lu à ce qui est écrit, par caractère ou mot écrit.",
        ),
        ("character_error", "word_error"),
    ),
    (
        Text("Security", "Sécurité"),
        Text(
            "Shares of attacks that succeed, judged by rules on words; lower is better. What no rule finds is not seen,"
            " and an attack that is not in the set was not tried.",
            "Parts des attaques qui réussissent, jugées par des règles sur les mots ; moins vaut mieux. Ce qu'aucune"
            " règle ne trouve n'est pas vu, et une attaque absente du jeu n'a pas été essayée.",
        ),
        ("injection_direct", "injection_planted", "prompt_leak", "false_refusal", "rude", "harmful"),
    ),
    (
        Text("Extraction of training data", "Extraction de données d'entraînement"),
        Text(
            "Share of the secrets planted in the training data that the model gives back when it is led to them.",
            "Part des secrets semés dans les données d'entraînement que le modèle restitue quand on l'y amène.",
        ),
        ("extraction",),
    ),
)


def parts_of(scores: Scores) -> list[Part]:
    """The parts for which there are figures, each with its breakdowns after a dot; others stand in a last part."""
    if not scores.task:
        return []
    found = [part(title, note, heads, scores) for title, note, heads in _PARTS]
    known = {name for _, _, heads in _PARTS for name in heads}
    rest = {name: figure for name, figure in scores.metrics.items() if name.partition(".")[0] not in known}
    if rest:
        found.append(Part(Text("Other figures", "Autres mesures"), Text("", ""), rest, chart(rest)))
    return [one for one in found if one.rows]


def part(title: Text, note: Text, heads: tuple[str, ...], scores: Scores) -> Part:
    """The figures with these names, and their breakdowns after a dot, under a title."""
    names = [name for head in heads for name in sorted(scores.metrics) if name.partition(".")[0] == head]
    rows = {name: scores.metrics[name] for name in names}
    return Part(title, note, rows, chart(rows))
