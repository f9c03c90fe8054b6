"""What the scores themselves say that a model does not do well. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from casemate.gates.dossier_words import count, figure, metric, perturbation
from casemate.gates.scores import Figure, Scores
from casemate.gates.wording import Text

_FEW_IMAGES = 30
_FEW_ITEMS = 100


def known_limits(scores: Scores) -> list[Text]:
    """Sentences that anyone could draw from the scores: how much was measured, what is weakest, what hurts most."""
    if scores.task:
        return [*_asked(scores), *not_evaluated(scores), *_unknown_training(scores)]
    return [*_measured(scores), *not_evaluated(scores), *_weakest(scores), *_hurt(scores), *_overlap(scores)]


def _asked(scores: Scores) -> Iterator[Text]:
    few = (scores.items or 0) < _FEW_ITEMS
    en, fr = (count(scores.items or 0, lang) for lang in ("en", "fr"))
    yield Text(
        f"Measured on {en} questions or pages{': few, so the figures say little of others' if few else ''}.",
        f"Mesuré sur {fr} questions ou pages{' : peu, les mesures disent donc peu des autres' if few else ''}.",
    )


def _unknown_training(scores: Scores) -> Iterator[Text]:
    if scores.near_duplicates is None:
        yield Text(
            "What the model learned from is not known here: it may have seen questions and documents like these.",
            "Ce dont le modèle a appris n'est pas connu ici : il peut avoir vu des questions et documents semblables.",
        )


def _measured(scores: Scores) -> Iterator[Text]:
    en, fr = (f"{count(scores.images, lang)} images, {count(scores.boxes, lang)} " for lang in ("en", "fr"))
    few = scores.images < _FEW_IMAGES
    yield Text(
        f"Measured on {en}objects{': few, so the intervals may still be too narrow' if few else ''}.",
        f"Mesuré sur {fr}objets{' : peu, donc les intervalles peuvent être encore trop étroits' if few else ''}.",
    )


def not_evaluated(scores: Scores) -> Iterator[Text]:
    """The figures that there are not, by name."""
    absent = sorted(name for name, f in scores.metrics.items() if f.value is None)
    if absent:
        yield Text(
            f"Not evaluated: {', '.join(metric(n, 'en') for n in absent)}.",
            f"Non évalué : {', '.join(metric(n, 'fr') for n in absent)}.",
        )


def _weakest(scores: Scores) -> Iterator[Text]:
    labels = {n: f for n, f in scores.metrics.items() if n.startswith("ap50.") and n.count(".") == 1}
    known = {name: f for name, f in labels.items() if f.value is not None}
    if len(known) > 1:
        name, f = min(known.items(), key=lambda item: (item[1].value, item[0]))
        yield Text(
            f"The weakest label is {name.removeprefix('ap50.')}: AP50 {_with_ends(f, 'en')}.",
            f"L'étiquette la plus faible est {name.removeprefix('ap50.')} : AP50 {_with_ends(f, 'fr')}.",
        )


def _hurt(scores: Scores) -> Iterator[Text]:
    drops = {name: row["drop"] for name, row in scores.robustness.items() if row.get("drop") is not None}
    if drops:
        name, drop = max(drops.items(), key=lambda item: (item[1] or 0.0, item[0]))
        yield Text(
            f"It loses most under this change: {perturbation(name, 'en')}, {figure(drop, 'en')}.",
            f"La modification qui lui coûte le plus : {perturbation(name, 'fr')}, perte de {figure(drop, 'fr')}.",
        )
    else:
        yield Text("Robustness was not evaluated.", "La robustesse n'a pas été évaluée.")


def _overlap(scores: Scores) -> Iterator[Text]:
    if scores.near_duplicates is None:
        yield Text(
            "Near-duplicates between training and held-out images were not looked for.",
            "Les quasi-doublons entre images d'entraînement et images tenues à part n'ont pas été recherchés.",
        )


def _with_ends(f: Figure, language: str) -> str:
    if f.low is None or f.high is None:
        return figure(f.value, language)
    to = "à" if language == "fr" else "to"
    return f"{figure(f.value, language)} ({figure(f.low, language)} {to} {figure(f.high, language)})"
