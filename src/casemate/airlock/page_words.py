"""How the page of an inspection words and writes things, in English and in French."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


@dataclass(frozen=True)
class Words:
    """The same words in both languages."""

    en: str
    fr: str

    def language(self, language: str) -> str:
        """The words in `language`, English where it is not French."""
        return self.fr if language == "fr" else self.en


_MONTHS_FR: Final = (
    "janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre",
    "décembre",
)  # fmt: skip
_MONTHS_EN: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
_UNITS: Final = (("B", "o"), ("kB", "ko"), ("MB", "Mo"), ("GB", "Go"), ("TB", "To"))
_CONFINEMENT: Final = {
    "landlock_version": Words("Version of Landlock on this kernel", "Version de Landlock sur ce noyau"),
    "memory_bytes": Words("Memory, at most", "Mémoire, au plus"),
    "no_core_dump": Words("Leaves no memory dump behind", "Ne laisse aucune image mémoire"),
    "no_network": Words("Alone in its network", "Isolé du réseau"),
    "no_new_privileges": Words("Can gain no privilege", "Ne peut obtenir aucun privilège"),
    "no_new_processes": Words(
        "Can start no program and open no socket", "Ne peut lancer aucun programme ni ouvrir de connexion"
    ),
    "no_writing": Words("Can write no file", "Ne peut écrire aucun fichier"),
    "reads_quarantine_only": Words("Reads the quarantine only", "Ne lit que la quarantaine"),
}


def fact_name(name: str, language: str) -> str:
    """The name of a fact of confinement."""
    return _CONFINEMENT[name].language(language) if name in _CONFINEMENT else name


def fact(name: str, value: bool | int, language: str) -> str:
    """A fact of confinement."""
    if isinstance(value, bool):
        return Words("yes" if value else "no", "oui" if value else "non").language(language)
    return size(value, language) if name.endswith("_bytes") else count(value, language)


def count(value: int, language: str) -> str:
    """A whole number, thousands apart as its language does."""
    apart = "\N{NARROW NO-BREAK SPACE}" if language == "fr" else ","
    return f"{value:,}".replace(",", apart)


def size(value: int, language: str) -> str:
    """Bytes in a unit that can be read, by powers of 1000."""
    amount, unit = float(value), 0
    while amount >= 1000 and unit < len(_UNITS) - 1:
        amount, unit = amount / 1000, unit + 1
    text = f"{amount:.0f}" if unit == 0 or amount >= 100 else f"{amount:.1f}"
    number = text.replace(".", ",") if language == "fr" else text
    return f"{number}\N{NO-BREAK SPACE}{_UNITS[unit][language == 'fr']}"


def instant(at: datetime, language: str) -> str:
    """A date and time in UTC."""
    at = at.astimezone(UTC)
    day = "1er" if language == "fr" and at.day == 1 else str(at.day)
    month = (_MONTHS_FR if language == "fr" else _MONTHS_EN)[at.month - 1]
    return f"{day} {month} {at.year}, {at:%H:%M} UTC"


def plain(text: object) -> str:
    """A text that arrived, with what cannot be seen spelled out: it may not turn what stands beside it around."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(text))
