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
    "model": "modèle",
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
    """One of the gate's own words."""
    return Text(english, _METRICS_FR[english])


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
