"""A small site with people, for tests: an officer, an author, two approvers, a reader without clearance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from casemate.factory import Factory, init_site, new_key

PEOPLE = {
    "ines": ("DR//FRA", {"author"}),
    "paul": ("S//FRA", {"sponsor"}),
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
    name: str = "port",
    ceiling: str = "S",
) -> Town:
    """A site `port` (French policy, ceiling S) with the project harbour at DR."""
    root.mkdir(exist_ok=True)
    town = Town(root, clock or Clock())
    new_key(town.key("claire"), None)
    init_site(
        town.site, name=name, policy="fr", ceiling=ceiling, officer="claire", officer_key=town.key("claire"),
        passphrase=lambda _: b"", now=town.clock,
    )  # fmt: skip
    for person, (clearance, roles) in (people or PEOPLE).items():
        new_key(town.key(person), None)
        public = town.key(person).with_name(f"{person}.key.pub")
        town.acting("claire").add_person(person, public_key=public, clearance=clearance, roles=frozenset(roles))
    members = frozenset((people or PEOPLE).keys() - {"tom"})
    town.acting("claire").add_project("harbour", marking="DR", members=members)
    return town


def introduce(one: Town, other: Town, *, names: tuple[str, str] = ("port", "depot"), ceiling: str = "DR") -> None:
    """Let two sites deal with each other, up to a ceiling."""
    for here, there, name in ((one, other, names[1]), (other, one, names[0])):
        officer = there.key("claire").with_name("claire.key.pub")
        here.acting("claire").add_peer(
            name, officer_key=officer, ceiling=ceiling, directions=frozenset({"in", "out"}), reason="they deal"
        )


def decided(town: Town, order: str) -> None:
    """A sponsor and the officer let an order pass."""
    for name in ("paul", "claire"):
        town.acting(name).decide(order, reason="read")
