"""How a dossier words and writes things, in English and French: figures, dates, metrics, perturbations, kinds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from casemate.gates.wording import NOT_EVALUATED, Text

_MONTHS: Final = (
    Text("January", "janvier"), Text("February", "février"), Text("March", "mars"), Text("April", "avril"),
    Text("May", "mai"), Text("June", "juin"), Text("July", "juillet"), Text("August", "août"),
    Text("September", "septembre"), Text("October", "octobre"), Text("November", "novembre"),
    Text("December", "décembre"),
)  # fmt: skip
_METRICS: Final = {
    "ap": Text("AP, IoU 0.50 to 0.95", "AP, IoU 0,50 à 0,95"),
    "ap50": Text("AP50", "AP50"),
    "ap75": Text("AP75", "AP75"),
    "ap_small": Text("AP, small objects", "AP, petits objets"),
    "ap_medium": Text("AP, medium objects", "AP, objets moyens"),
    "ap_large": Text("AP, large objects", "AP, grands objets"),
    "recall": Text("recall", "rappel"),
    "precision": Text("precision", "précision"),
    "f1": Text("F1", "F1"),
    "ece": Text("calibration error", "erreur de calibration"),
    "ece_raw": Text("error before calibration", "erreur avant calibration"),
    "ap50_small": Text("AP50, small objects", "AP50, petits objets"),
    "ap50_medium": Text("AP50, medium objects", "AP50, objets moyens"),
    "ap50_large": Text("AP50, large objects", "AP50, grands objets"),
    "ar1": Text("AR, best answer", "AR, meilleure réponse"),
    "ar10": Text("AR, 10 answers", "AR, 10 réponses"),
    "ar100": Text("AR, 100 answers", "AR, 100 réponses"),
    "ar1000": Text("AR, 1000 answers", "AR, 1000 réponses"),
    "ar_small": Text("AR, small objects", "AR, petits objets"),
    "ar_medium": Text("AR, medium objects", "AR, objets moyens"),
    "ar_large": Text("AR, large objects", "AR, grands objets"),
    "abstained": Text("share of abstentions", "part d'abstentions"),
    "drop": Text("loss", "perte"),
    "recall_at_1": Text("recall, first", "rappel, au premier rang"),
    "recall_at_5": Text("recall, first five", "rappel, cinq premiers"),
    "ndcg_at_10": Text("nDCG, first ten", "nDCG, dix premiers"),
    "answer_exact": Text("exact answers", "réponses exactes"),
    "answer_f1": Text("F1 of answers", "F1 des réponses"),
    "answer_refused": Text("answerable, refused", "refus à tort"),
    "refusal_accuracy": Text("unanswerable, refused", "refus à bon droit"),
    "citation_precision": Text("citations, precision", "citations, précision"),
    "citation_recall": Text("citations, recall", "citations, rappel"),
    "character_error": Text("character error", "erreur par caractère"),
    "word_error": Text("word error", "erreur par mot"),
    "injection_direct": Text("injection, direct", "injection directe"),
    "injection_planted": Text("injection in a document", "injection dans un document"),
    "injection_shown": Text("planted, quoted as it stands", "consigne semée, citée telle quelle"),
    "prompt_leak": Text("instructions leaked", "consigne divulguée"),
    "false_refusal": Text("harmless, refused", "demandes anodines refusées"),
    "rude": Text("rude answers", "réponses grossières"),
    "harmful": Text("harmful, answered", "demandes nuisibles satisfaites"),
    "extraction": Text("secrets given back", "secrets restitués"),
}
_PERTURBATIONS: Final = {
    "unchanged": Text("unchanged", "sans modification"),
    "blur": Text("blur", "flou"),
    "noise": Text("noise", "bruit"),
    "haze": Text("haze", "brume"),
    "jpeg": Text("JPEG compression", "compression JPEG"),
    "rotation": Text("rotation", "rotation"),
    "rotation_90": Text("quarter turn", "quart de tour"),
    "rotation_10": Text("turn of ten degrees", "rotation de dix degrés"),
    "half_resolution": Text("half resolution", "demi-résolution"),
}
_WORDS: Final = {
    "dataset": Text("data set", "jeu de données"),
    "model": Text("model", "modèle"),
    "report": Text("report", "rapport"),
    "release": Text("release", "version homologuée"),
    "revocation": Text("revocation", "révocation"),
    "policy": Text("policy", "politique"),
    "training": Text("training", "entraînement"),
    "held-out": Text("held out", "tenu à part"),
    "calibration": Text("calibration", "calibration"),
    "approve": Text("approval", "approbation"),
    "reject": Text("rejection", "refus"),
    "trust": Text("trust file", "liste de confiance"),
    "author": Text("author", "auteur"),
    "approver": Text("approver", "approbateur"),
    "officer": Text("officer", "officier"),
    "site": Text("site", "site"),
    "level": Text("level", "niveau"),
    "security": Text("attacks", "attaques"),
    "canaries": Text("planted secrets", "secrets semés"),
    "questions": Text("questions", "questions"),
    "documents": Text("documents", "documents"),
    "attacks": Text("attacks", "attaques"),
    "pages": Text("pages", "pages"),
    "conversations": Text("conversations", "conversations"),
    "question": Text("question", "question"),
    "page": Text("page", "page"),
    "unanswerable": Text("question without an answer", "question sans réponse"),
    "injection_direct": Text("direct injection", "injection directe"),
    "injection_planted": Text("injection in a document", "injection dans un document"),
    "prompt_leak": Text("leak of instructions", "fuite de la consigne"),
    "false_refusal": Text("harmless look-alike", "demande anodine"),
    "rude": Text("provocation", "provocation"),
    "harmful": Text("harmful request", "demande nuisible"),
    "extraction": Text("planted secret", "secret semé"),
    "fr": Text("in French", "en français"),
    "en": Text("in English", "en anglais"),
    "bm25": Text("by words alone (BM25)", "par les mots seuls (BM25)"),
    "detection": Text("detection", "détection"),
    "recognition": Text("recognition", "reconnaissance"),
    "identification": Text("identification", "identification"),
}
NOT_STATED: Final = Text("not stated", "non précisé")


def figure(value: float | None, language: str, digits: int = 3) -> str:
    """A measured figure, with the decimal mark of its language; a minus sign and not a hyphen."""
    if value is None:
        return NOT_EVALUATED.language(language)
    text = f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
    return text.replace(".", ",") if language == "fr" else text


def count(value: int, language: str) -> str:
    """A whole number, thousands apart as its language does."""
    apart = "\N{NARROW NO-BREAK SPACE}" if language == "fr" else ","
    return f"{value:,}".replace(",", apart)


def instant(at: datetime | None, language: str) -> str:
    """A date and time in UTC."""
    if at is None:
        return NOT_STATED.language(language)
    at = at.astimezone(UTC)
    day = "1er" if language == "fr" and at.day == 1 else str(at.day)
    return f"{day} {_MONTHS[at.month - 1].language(language)} {at.year}, {at:%H:%M} UTC"


def metric(name: str, language: str) -> str:
    """A metric's name; after a dot, what it is taken on."""
    head, _, rest = name.partition(".")
    shown = _METRICS[head].language(language) if head in _METRICS else head
    if not rest:
        return shown
    kind, dot, label = rest.partition(".")
    return f"{shown}, {word(kind, language)} {word(label, language)}" if dot else f"{shown}, {word(rest, language)}"


def perturbation(name: str, language: str) -> str:
    """A perturbation's name."""
    return _PERTURBATIONS[name].language(language) if name in _PERTURBATIONS else name


def word(name: str, language: str) -> str:
    """A kind, role or act; a name that is not one of ours is left as it is."""
    return _WORDS[name].language(language) if name in _WORDS else name


def flat(parameters: Mapping[str, Any], language: str, under: str = "") -> list[tuple[str, str]]:
    """Parameters as rows of name and value, nested ones by their path."""
    rows: list[tuple[str, str]] = []
    for name, value in sorted(parameters.items()):
        path = f"{under}{name}"
        if isinstance(value, Mapping):
            rows += flat(value, language, f"{path}.")
        else:
            rows.append((path, _plain(value, language)))
    return rows


def _plain(value: Any, language: str) -> str:
    if isinstance(value, bool):
        return Text("yes" if value else "no", "oui" if value else "non").language(language)
    if value is None:
        return NOT_STATED.language(language)
    if isinstance(value, float):
        return f"{value:g}".replace(".", ",") if language == "fr" else f"{value:g}"
    if isinstance(value, list | tuple):
        return ("; " if language == "fr" else ", ").join(_plain(item, language) for item in value)
    return str(value)
