"""Verbs of access over HTTP: a person's API keys, and the entrance through which their programs come.

Rules. A secret is 256 random bits, shown once; the site keeps its SHA-256. What a secret opens is read from the catalog
at each request, or was at the last one if nothing was written since: its key in force, its owner active and as cleared
as they are now, still a member of the key's project. A secret that opens nothing is answered in one way, whatever the
reason. Who comes through acts as the key's owner, under the ceilings of the key, of the request and of whoever opened
the entrance; the site's key signs their lines in the journal, which name the API key. That key signs nothing else, so
no verb that wants a person's or an officer's own signature can be had this way. Wrong secrets are counted and told in
lines of many, so that a thousand of them do not flood the journal.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import reduce
from typing import Any, Generic, TypeVar

from casemate.catalog import ApiKey, Kept, NewApiKey, Reader, Visit
from casemate.catalog.site import meet
from casemate.errors import BadInput, NotAllowed, Unavailable
from casemate.factory import policies
from casemate.factory.desk import Desk, signature_of
from casemate.factory.knocks import Knocks, Told
from casemate.gates.pen import unlock
from casemate.markings import Clearance, Marking
from casemate.signing import Signer, Trust
from casemate.store import Digest

PREFIX = "casemate-"
ENTER = "apikey.enter"  # the verb of refused secrets, which the site itself tells
MOST_DAYS = 366
_SECRET_BYTES = 32
_D = TypeVar("_D", bound=Desk)


def new_api_key(
    desk: Desk, label: str, *, project: str, scopes: frozenset[str] = frozenset({"models", "documents"}), days: int = 90
) -> dict[str, Any]:
    """Make a key of one's own for a project; the session's ceiling is the key's. Its secret is in the answer alone."""
    with desk.act("apikey.add", f"API key {label}"):
        if not 1 <= days <= MOST_DAYS:
            raise BadInput(f"API key {label}", expected=f"from 1 to {MOST_DAYS} days", found=days)
        secret = PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        expires = desk.now() + timedelta(days=days)
        new = NewApiKey(label, project, sha256_of(secret), scopes, expires, desk.reader.ceiling)
        return {"secret": secret, **_row(desk.catalog.add_api_key(new, by=desk.reader, sign=desk.sign))}


def api_keys(desk: Desk) -> list[dict[str, Any]]:
    """One's own keys; for officers, everybody's."""
    return [_row(key) for key in desk.view.api_keys()]


def revoke_api_key(desk: Desk, key: str, *, reason: str = "") -> dict[str, Any]:
    """End a key at once: its owner, or an officer."""
    with desk.act("apikey.revoke", f"API key {key}"):
        return _row(desk.catalog.revoke_api_key(key, by=desk.reader, reason=reason, sign=desk.sign))


def sha256_of(secret: str) -> str:
    """What the site keeps of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True)
class Guest(Generic[_D]):
    """Who came in: the desk at which they act, and the key with which they came."""

    desk: _D
    key: ApiKey

    def may(self, *scopes: str) -> bool:
        """Whether the key has one of these scopes."""
        return bool(self.key.scopes.intersection(scopes))

    def under(self, ceiling: str) -> Guest[_D]:
        """The same guest, seeing and making nothing above `ceiling` either."""
        return replace(self, desk=self.desk.under(ceiling))

    @property
    def top(self) -> Marking:
        """The least marking at least as strict as all that this guest may have seen: that of what they do not mark."""
        return self.desk.catalog.site.highest(self.desk.reader)


@dataclass
class Entrance(Generic[_D]):
    """The door of programs on a site that somebody opened; safe for several threads."""

    opened_by: _D
    _pen: Signer
    _markings: Digest
    _knocks: Knocks = field(default_factory=Knocks)
    _trusted: tuple[int, Trust] | None = None
    _visits: Kept[str, Visit] = field(default_factory=Kept)

    def enter(self, secret: str, *, address: str) -> Guest[_D] | None:
        """The guest whom a secret lets in; None where it opens nothing, which is counted against `address`."""
        base = self.opened_by
        number = base.catalog.changes.number()
        trust, visit = self._trust_at(number), self._visit_at(number, sha256_of(secret))
        if visit is None or not self._opens(visit):
            self._tell(self._knocks.knock(address, "" if visit is None else visit.key.id, now=base.now()))
            return None
        ceilings = [c for c in (base.reader.ceiling, visit.key.ceiling) if c is not None]
        reader = replace(visit.owner.reader(reduce(meet, ceilings) if ceilings else None), through=visit.key.id)
        desk = replace(base, person=visit.owner, reader=reader, pen=self._pen, trust=trust)
        return Guest(desk, visit.key)

    def close(self) -> None:
        """Tell what was counted and not told."""
        self._tell(self._knocks.rest())

    def _opens(self, visit: Visit) -> bool:
        return visit.key.in_force(self.opened_by.now()) and visit.owner.active and visit.is_member

    def _tell(self, told: tuple[Told, ...]) -> None:
        base, policy = self.opened_by, self.opened_by.site.policy
        everything = Clearance(policy.levels[-1], policy.compartments, policy.home_nationality)
        for line in told:
            base.catalog.journal.append(
                Reader(f"address {line.address}", everything), ENTER, "this site", outcome="refused", about=line.key,
                reason=f"expected an API key in force, found {line.count} that are not" + line.of_key,
                sign=lambda act: signature_of(self._pen, act),
            )  # fmt: skip

    def _visit_at(self, number: int, sha256: str) -> Visit | None:
        """What the records say of a secret, read again once anything was written; of a wrong one nothing is kept."""
        kept = self._visits.get(number, sha256)
        if kept is not None:
            return kept
        visit = self.opened_by.catalog.sign_in_by_secret(sha256)
        return None if visit is None else self._visits.put(number, sha256, visit)

    def _trust_at(self, number: int) -> Trust:
        """The trust file in force; Unavailable where the policy of markings is no longer that of the start."""
        base = self.opened_by
        if self._trusted is None or self._trusted[0] != number:
            if policies.latest(base.view, "markings").digest != self._markings:
                expected = "the policy of markings with which it was opened"
                raise Unavailable("site", expected=expected, found="a newer one: start 'casemate serve' again")
            self._trusted = (number, policies.read_trust(base.view, base.store, base.officer))
        return self._trusted[1]


@contextmanager
def entrance(desk: _D, *, address: str) -> Iterator[Entrance[_D]]:
    """Open the entrance for programs at an address, by an operator or an officer, until the block ends."""
    with desk.act("serve.open", address):
        if not desk.person.roles & {"operator", "officer"}:
            found = ", ".join(sorted(desk.person.roles))
            raise NotAllowed("casemate serve", expected="the role operator or officer", found=found)
        pen = unlock(desk.site.site_key, None)
        opened = Entrance(desk, pen, policies.latest(desk.view, "markings").digest)
    lowest = desk.site.policy.lowest
    desk.catalog.journal.append(desk.reader, "serve.open", address, marking=lowest, sign=desk.sign)
    try:
        yield opened
    finally:
        opened.close()
        desk.catalog.journal.append(desk.reader, "serve.close", address, marking=lowest, sign=desk.sign)


def _row(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id, "label": key.label, "owner": key.owner, "project": key.project_name,
        "scopes": ", ".join(sorted(key.scopes)), "ceiling": str(key.ceiling or ""), "marking": str(key.marking),
        "expires": key.expires.isoformat(timespec="seconds"),
        "revoked": key.revoked.isoformat(timespec="seconds") if key.revoked else "",
    }  # fmt: skip
