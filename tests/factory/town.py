"""A small site with people, for tests: an officer, an author, two approvers, a reader without clearance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from casemate.factory import Factory, init_site, new_key

PEOPLE = {
    "ines": ("DR//FRA", {"author"}),
    "marc": ("DR//FRA", {"approver"}),
    "lea": ("S//FRA", {"approver", "author"}),
    "tom": ("NP//FRA", set()),
}


@dataclass
class Clock:
    """A clock that the test moves."""

    now: datetime = field(default_factory=lambda: datetime(2030, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@dataclass
class Town:
    """A site and the keys of its people."""

    root: Path
    clock: Callable[[], datetime]

    @property
    def site(self) -> Path:
        return self.root / "site"

    def key(self, name: str) -> Path:
        return self.root / f"{name}.key"

    def acting(self, name: str, *, ceiling: str | None = None) -> Factory:
        return Factory.open(self.site, key=self.key(name), passphrase=lambda: b"", ceiling=ceiling, now=self.clock)


def found(
    root: Path,
    *,
    people: dict[str, tuple[str, set[str]]] | None = None,
    clock: Callable[[], datetime] | None = None,
) -> Town:
    """A site `port` (French policy, ceiling S) with the project harbour at DR."""
    town = Town(root, clock or Clock())
    new_key(town.key("claire"), None)
    init_site(
        town.site, name="port", policy="fr", ceiling="S", officer="claire", officer_key=town.key("claire"),
        passphrase=lambda _: b"", now=town.clock,
    )  # fmt: skip
    for name, (clearance, roles) in (people or PEOPLE).items():
        new_key(town.key(name), None)
        public = town.key(name).with_name(f"{name}.key.pub")
        town.acting("claire").add_person(name, public_key=public, clearance=clearance, roles=frozenset(roles))
    members = frozenset((people or PEOPLE).keys() - {"tom"})
    town.acting("claire").add_project("harbour", marking="DR", members=members)
    return town
