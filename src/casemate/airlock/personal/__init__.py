"""Personal data and secrets in text: where they stand, never what they are. Pure.

Rules. Numbers that have a check digit must satisfy it. What is found is counted by kind and shown by its first and
last character only, so that a report never holds what it warns of. The rules of the findings are `personal data` and
`secret`; both are notes, which a site's policy may turn into refusals.

What is claimed: e-mail addresses, telephone numbers (French, E.164, North American with separators, or after a word
such as "tel."), NIR, SIREN and SIRET (with their name before them, or written in groups), IBAN, payment cards, IP
addresses; names only after a title (M., Mme, Dr, a rank); private keys, keys and tokens of well-known services,
passwords in addresses and after their name. What is not: other names, postal addresses, dates, identity papers of
other countries.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from casemate.airlock.personal.pattern import near_numbers
from casemate.airlock.personal.people import PERSONAL
from casemate.airlock.personal.secrets import SECRETS
from casemate.airlock.report import Finding

__all__ = ["Found", "Summary", "find", "masked"]
_SHOWN = 3
_EXPECTED = {"personal data": "no personal data", "secret": "no secrets"}


@dataclass(frozen=True)
class Found:
    """One piece of personal data or one secret, at characters `start` to `end` of a text."""

    rule: str
    kind: str
    start: int
    end: int


def find(text: str) -> list[Found]:
    """What stands in a text, in its order; of two that overlap, the surer kind (secrets, then checked numbers)."""
    taken: list[Found] = []
    covered: set[int] = set()
    numbers = near_numbers(text)
    for rule, patterns in (("secret", SECRETS), ("personal data", PERSONAL)):
        for pattern in patterns:
            for start, end in pattern.spans(text, numbers):
                if covered.isdisjoint(range(start, end)):
                    covered.update(range(start, end))
                    taken.append(Found(rule, pattern.kind, start, end))
    return sorted(taken, key=lambda found: found.start)


def masked(value: str) -> str:
    """A value as a report may show it: its first and its last character."""
    return f"{value[0]}…{value[-1]}"


@dataclass
class Summary:
    """What was found in the texts of one file, by kind, with the first places."""

    counts: dict[tuple[str, str], int] = field(default_factory=dict)
    places: dict[tuple[str, str], list[str]] = field(default_factory=dict)

    def add(self, text: str, where: str = "", first_line: int = 1) -> None:
        """Count what stands in a text; `where` names it, else its lines do."""
        for found in find(text):
            key = (found.rule, found.kind)
            self.counts[key] = self.counts.get(key, 0) + 1
            places = self.places.setdefault(key, [])
            if len(places) < _SHOWN:
                place = where or f"line {first_line + text.count(chr(10), 0, found.start)}"
                places.append(f"{masked(text[found.start : found.end])} in {place}")

    def findings(self) -> Iterable[Finding]:
        """One note a kind."""
        for (rule, kind), count in sorted(self.counts.items()):
            shown = ", ".join(self.places[rule, kind])
            more = f", and {count - _SHOWN} more" if count > _SHOWN else ""
            yield Finding(rule, _EXPECTED[rule], f"{kind}: {count} ({shown}{more})", note=True)
