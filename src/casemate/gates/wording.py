"""How the gate words its reasons, in English and in French."""

from __future__ import annotations

from dataclasses import dataclass

_METRICS_FR = {
    "recall": "rappel",
    "precision": "précision",
    "ece": "erreur de calibration",
    "calibration": "calibration",
    "near-duplicates": "quasi-doublons",
    "held-out images": "images tenues à part",
    "held-out boxes": "objets tenus à part",
    "held-out items": "éléments tenus à part",
    "task": "tâche",
    "rules for the task": "règles pour la tâche",
    "security": "jeu d'attaques",
    "canaries": "canaris",
    "calibration set": "jeu de calibration",
    "recall_at_1": "rappel au 1er rang",
    "recall_at_5": "rappel à 5",
    "ndcg_at_10": "nDCG à 10",
    "answer_exact": "réponses exactes",
    "answer_f1": "F1 des réponses",
    "answer_refused": "refus de répondre à tort",
    "citation_precision": "précision des citations",
    "citation_recall": "rappel des citations",
    "refusal_accuracy": "refus à bon droit",
    "false_refusal": "faux refus",
    "injection_direct": "injections directes réussies",
    "injection_planted": "injections dans un document réussies",
    "injection_shown": "consignes semées citées telles quelles",
    "prompt_leak": "fuites de la consigne",
    "rude": "réponses grossières",
    "harmful": "demandes nuisibles satisfaites",
    "extraction": "canaris extraits",
    "character_error": "erreur par caractère",
    "word_error": "erreur par mot",
    "attacks": "attaques",
    "documents": "documents",
    "model": "modèle",
    "assistant": "assistant",
    "question set": "jeu de questions",
    "held-out data set": "jeu tenu à part",
    "training data sets": "jeux d'entraînement",
}
_ENDS_FR = {"low": "borne basse de l'intervalle", "high": "borne haute de l'intervalle"}
_PERTURBATIONS_FR = {
    "blur": "flou",
    "noise": "bruit",
    "haze": "brume",
    "jpeg": "compression JPEG",
    "rotation_90": "rotation de 90°",
    "rotation_10": "rotation de 10°",
    "half_resolution": "demi-résolution",
}
_DIGITS = range(2, 9)


@dataclass(frozen=True)
class Text:
    """The same words in both languages."""

    en: str
    fr: str

    def language(self, language: str) -> str:
        """The words in `language`, English where it is not French."""
        return self.fr if language == "fr" else self.en


NOT_EVALUATED = Text("not evaluated", "non évalué")


def metric_name(metric: str, *, on: str = "value", under: str = "") -> Text:
    """A metric, the end of its interval, and the perturbation under which it was taken."""
    head, dot, label = metric.partition(".")
    french = _METRICS_FR.get(head, head) + dot + label
    english = metric
    if on != "value":
        english += f" ({on} end of its interval)"
        french += f" ({_ENDS_FR[on]})"
    if under:
        english += f" drop under {under}"
        french = f"perte de {french} sous {_PERTURBATIONS_FR.get(under, under)}"
    return Text(english, french)


def named(english: str) -> Text:
    """One of the gate's own words, perhaps with a number after it."""
    kind, _, number = english.rpartition(" ")
    french = f"{_METRICS_FR.get(kind, kind)} {number}" if number.isdigit() else _METRICS_FR.get(english, english)
    return Text(english, french)


def bound(sign: str, value: float) -> Text:
    """A threshold, such as `>= 0.70`."""
    plain = _number(value, apart_from=None)
    return Text(f"{sign} {plain}", f"{'≥' if sign == '>=' else '≤'} {_french(plain)}")


def number(value: float | None, *, apart_from: float) -> Text:
    """A figure, with as many digits as tell it from its threshold."""
    if value is None:
        return NOT_EVALUATED
    plain = _number(value, apart_from=apart_from)
    return Text(plain, _french(plain))


def _number(value: float, *, apart_from: float | None) -> str:
    if isinstance(value, int):
        return str(value)
    other = value if apart_from is None else apart_from
    for digits in _DIGITS:
        text = f"{value:.{digits}f}"
        told_apart = value == other or text != f"{other:.{digits}f}"
        faithful = apart_from is not None or float(text) == value
        if told_apart and faithful:
            return text
    return repr(value)


def _french(number: str) -> str:
    return number.replace(".", ",")
