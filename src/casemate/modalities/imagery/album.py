"""All pictures of an evaluation, with their captions in English and French.

Rules. What cannot be shown (no confusion because there is one class, no change tried) is left out and not drawn empty.
A caption says what is shown and, where there is one, the figure that matters; numbers follow each language's usage.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path

from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.matching import AREAS
from casemate.modalities.imagery.metrics import Interval, curve
from casemate.modalities.imagery.outcomes import Confusion
from casemate.modalities.imagery.pictures import (
    LEVEL_FR,
    Picture,
    confusion_table,
    interval_bars,
    precision_recall,
    reliability_diagram,
    robustness_bars,
)
from casemate.modalities.imagery.robustness import CHANGES
from casemate.modalities.imagery.scores import Evidence
from casemate.modalities.imagery.showcase import Scene, choose_samples, gallery, mistakes, sample

FOLDER = "pictures"
MOST_CURVES = 6
_SIZES = {
    "small": "small: below 32² px · petits",
    "medium": "medium: to 96² px · moyens",
    "large": "large · grands",
}


@dataclass(frozen=True)
class Shown:
    """What there is to show: evidence, its figures, robustness by change and the name of no change, confusion."""

    found: Evidence
    figures: Mapping[str, Interval]
    robustness: Mapping[str, Mapping[str, Interval]]
    unchanged: str
    confusion: Confusion


def album(outputs: Path, shown: Shown, scene: Scene, *, samples: int) -> list[Picture]:
    """Draw everything under `outputs`/pictures."""
    pictures = [
        _precision_recall(outputs, shown),
        _reliability(outputs, shown),
        _classes(outputs, shown),
        *_robustness(outputs, shown),
        _confusion(outputs, shown),
        *_gallery(outputs, scene),
    ]
    for number, image in enumerate(choose_samples(scene.images, samples), start=1):
        pictures.append(_sample(outputs, scene, image, number))
    return pictures


def _precision_recall(outputs: Path, shown: Shown) -> Picture:
    path = f"{FOLDER}/precision-recall.png"
    found, within = shown.found, shown.found.within
    by_count = sorted(within.classes, key=lambda node: -int(found.matches[node].positives[0].sum()))
    curves = {
        within.nodes.names[node]: (
            curve(found.matches[node], most=found.most_per_image),
            shown.figures[f"ap50.{within.nodes.names[node]}"],
        )
        for node in by_count[:MOST_CURVES]
        if node
    }
    recall, precision = shown.figures["recall"].value, shown.figures["precision"].value
    known = not (isnan(recall) or isnan(precision))
    any_class = curve(found.matches[0], most=found.most_per_image), shown.figures[f"ap50.{within.nodes.names[0]}"]
    precision_recall(outputs / path, curves, any_class, (recall, precision) if known else None)
    ap50 = shown.figures["ap50"]
    return Picture(
        path,
        f"Precision over recall at IoU 0.5. AP50 {english(ap50)}.",
        f"Précision selon le rappel à IoU 0,5. AP50 {french(ap50)}.",
    )


def _reliability(outputs: Path, shown: Shown) -> Picture:
    path = f"{FOLDER}/reliability.png"
    fitted = shown.found.fitted
    reliability_diagram(outputs / path, fitted.before, fitted.after)
    levels = [level for level in LEVELS if fitted.after[level].count.sum()]
    gaps = [(level, fitted.before[level].error, fitted.after[level].error) for level in levels]
    words = ", ".join(f"{level} {before:.3f} → {after:.3f}" for level, before, after in gaps)
    mots = ", ".join(f"{LEVEL_FR[level]} {before:.3f} → {after:.3f}" for level, before, after in gaps)
    return Picture(
        path,
        f"Reliability: stated probability against the share that was right. Expected calibration error: {words}.",
        "Fiabilité : probabilité annoncée et part de réponses justes. "
        f"Erreur de calibration attendue : {mots.replace('.', ',')}.",
    )


def _classes(outputs: Path, shown: Shown) -> Picture:
    path = f"{FOLDER}/classes-and-sizes.png"
    within, figures = shown.found.within, shown.figures
    names = within.nodes.names
    groups = {
        "levels · niveaux": {
            level if LEVEL_FR[level] == level else f"{level} · {LEVEL_FR[level]}": figures[f"ap50.level.{level}"]
            for level in LEVELS
            if f"ap50.level.{level}" in figures
        },
        "classes": {names[node]: figures[f"ap50.{names[node]}"] for node in within.classes},
        "sizes · tailles": {_SIZES[area]: figures[f"ap50_{area}"] for area in AREAS[1:]},
    }
    interval_bars(outputs / path, groups, title="AP50 with 95 % intervals · avec intervalles à 95 %", axis="AP50")
    return Picture(
        path,
        "AP50 by level of the taxonomy, by class and by size of object, with 95 % bootstrap intervals over images.",
        "AP50 par niveau de la taxonomie, par classe et par taille d’objet, intervalles à 95 % par rééchantillonnage "
        "des images.",
    )


def _robustness(outputs: Path, shown: Shown) -> list[Picture]:
    tried = [change for change in CHANGES if change.name in shown.robustness]
    if not tried:
        return []
    path = f"{FOLDER}/robustness.png"
    rows = [
        (
            f"{change.english}\n{change.french}" if change.english != change.french else change.english,
            shown.robustness[change.name]["ap50"],
            shown.robustness[change.name]["drop"],
        )
        for change in tried
    ]
    robustness_bars(outputs / path, rows, shown.robustness[shown.unchanged]["ap50"])
    worst = max(tried, key=lambda change: shown.robustness[change.name]["drop"].value)
    drop = shown.robustness[worst.name]["drop"].value
    return [
        Picture(
            path,
            f"AP50 on worse pictures of the same ground; the largest drop is {drop:.2f}, by {worst.english}.",
            f"AP50 sur des images dégradées des mêmes lieux ; la plus forte baisse est de {drop:.2f}".replace(".", ",")
            + f" ({worst.french}).",
        )
    ]


def _confusion(outputs: Path, shown: Shown) -> Picture:
    path = f"{FOLDER}/confusion.png"
    confusion_table(outputs / path, shown.confusion)
    return Picture(
        path,
        "Answers by true label, in objects; an answer above the true label is an abstention, not a mistake.",
        "Réponses par classe vraie, en nombre d’objets ; une réponse au-dessus de la classe vraie est une abstention, "
        "non une erreur.",
    )


def _gallery(outputs: Path, scene: Scene) -> list[Picture]:
    worst = mistakes(scene)
    if not any(worst):
        return []
    path = f"{FOLDER}/mistakes.png"
    gallery(outputs / path, scene, worst)
    alarms, misses, wrong = (len(tiles) for tiles in worst)
    return [
        Picture(
            path,
            f"The worst mistakes: {alarms} false alarms, {misses} misses, {wrong} wrong answers. Dashed: answered; "
            "dotted: true.",
            f"Les pires erreurs : {alarms} fausses alertes, {misses} objets manqués, {wrong} réponses fausses. "
            "Tirets : répondu ; pointillés : vrai.",
        )
    ]


def _sample(outputs: Path, scene: Scene, image: int, number: int) -> Picture:
    path = f"{FOLDER}/samples/{number}.png"
    hits, false, lost = sample(outputs / path, scene, image)
    name = scene.images[image].path
    return Picture(
        path,
        f"{name}: {hits} right (solid), {false} wrong (dashed), {lost} missed (dotted).",
        f"{name} : {hits} justes (trait plein), {false} fausses (tirets), {lost} manqués (pointillés).",
    )


def english(figure: Interval) -> str:
    """A figure with its bounds, as English writes it."""
    bounds = "" if isnan(figure.low) else f" (95 %: {figure.low:.2f} to {figure.high:.2f})"
    return f"{figure.value:.2f}{bounds}"


def french(figure: Interval) -> str:
    """A figure with its bounds, as French writes it."""
    return english(figure).replace(".", ",").replace(" to ", " à ").replace(" %:", " % :")
