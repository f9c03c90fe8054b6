"""What a site offers to who asks: the releases that they may read and use now, by the task of their models.

Rules. A list, and no proof: a release that is listed is verified when it is used. One that was withdrawn, has expired,
is not valid yet or is not for this site is not listed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from casemate.catalog import Entry
from casemate.errors import NotFound
from casemate.factory.desk import Desk
from casemate.markings import Marking


@dataclass(frozen=True)
class Offer:
    """A release that may be used, with the task (or, without one, the modality) of its model."""

    entry: Entry
    task: str
    marking: Marking
    expires: str


def usable(desk: Desk) -> tuple[Offer, ...]:
    """The releases that may be used here and now, the oldest first."""
    withdrawn = {str(entry.facts.get("release")) for entry in desk.view.walk(kind="revocation")}
    found = [entry for entry in desk.view.walk(kind="release") if entry.id not in withdrawn and _now(desk, entry)]
    offers = (Offer(entry, _task(desk, entry), entry.marking, str(entry.facts["expires"])) for entry in found)
    return tuple(sorted(offers, key=lambda offer: (offer.entry.created, offer.entry.id)))


def _now(desk: Desk, entry: Entry) -> bool:
    try:
        begins, ends = (datetime.fromisoformat(str(entry.facts[name])) for name in ("valid_from", "expires"))
        sites = entry.facts["sites"]
    except (KeyError, ValueError):
        return False  # written by another site, in a form that is not ours
    return isinstance(sites, list) and desk.site.name in sites and begins <= desk.now() < ends


def _task(desk: Desk, entry: Entry) -> str:
    try:
        model = desk.view.get(str(entry.facts.get("model", "")))
    except NotFound:
        return str(entry.facts.get("modality", ""))
    return str(model.facts.get("task") or model.facts.get("modality", ""))
