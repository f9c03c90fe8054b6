"""The demonstration's sites: each with an officer, people and a project, and acquainted with its neighbours."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from casemate.cli.demo_telling import say

if TYPE_CHECKING:
    from casemate.factory import Factory


@dataclass(frozen=True)
class Cast:
    """A site's ceiling, its officer, its people (clearance and roles) and its one project with its marking."""

    ceiling: str
    officer: str
    people: Mapping[str, tuple[str, tuple[str, ...]]]
    project: str
    floor: str


@dataclass(frozen=True)
class DemoSite:
    """A site in a folder of the demonstration, with the keys of its people beside it."""

    folder: Path
    name: str
    cast: Cast

    @property
    def root(self) -> Path:
        """The site itself."""
        return self.folder / "site"

    @property
    def people(self) -> tuple[str, ...]:
        """Everybody who works there."""
        return (self.cast.officer, *self.cast.people)

    @property
    def deciders(self) -> tuple[str, str]:
        """The sponsor and the officer."""
        sponsor = next(name for name, (_, roles) in self.cast.people.items() if "sponsor" in roles)
        return sponsor, self.cast.officer

    def key(self, name: str) -> Path:
        """The key file of somebody."""
        return self.folder / "keys" / f"{name}.key"

    def acting(self, name: str) -> Factory:
        """The site as `name`, whose key is unlocked with the passphrase in a file beside it."""
        from casemate.factory import Factory

        secret = self.key(name).with_suffix(".passphrase")
        return Factory.open(self.root, key=self.key(name), passphrase=secret.read_bytes)

    def found(self) -> None:
        """The officer founds the site; people bring their keys; a project opens."""
        from casemate.factory import init_site, new_key

        (self.folder / "keys").mkdir(parents=True, mode=0o700)
        for name in self.people:
            self.key(name).with_suffix(".passphrase").write_text(secrets.token_urlsafe(18), encoding="ascii")
        cast, officer = self.cast, self.cast.officer
        options = f"--policy fr --ceiling '{cast.ceiling}' --officer {officer} --officer-key {officer}.key"
        say(f"casemate init {self.name} {options}")
        secret = self.key(officer).with_suffix(".passphrase").read_bytes()
        init_site(
            self.root, name=self.name, policy="fr", ceiling=cast.ceiling, officer=officer,
            officer_key=self.key(officer), passphrase=lambda _: secret,
        )  # fmt: skip
        for name, (clearance, roles) in cast.people.items():
            key = self.key(name)
            new_key(key, key.with_suffix(".passphrase").read_bytes())
            say(f"casemate people add {name} --clearance {clearance}" + "".join(f" --role {r}" for r in roles))
            public = key.with_name(key.name + ".pub")
            self.acting(officer).add_person(name, public_key=public, clearance=clearance, roles=frozenset(roles))
        members = frozenset(name for name, (_, roles) in cast.people.items() if roles)
        say(
            f"casemate project add {cast.project} --marking {cast.floor}"
            + "".join(f" --member {m}" for m in sorted(members))
        )
        self.acting(officer).add_project(cast.project, marking=cast.floor, members=members)

    def close_to_imports(self) -> None:
        """From now on data come in through the airlock alone."""
        officer = self.acting(self.cast.officer)
        policy = self.folder / "exchange.toml"
        policy.write_text(officer.policy_text("exchange").replace("import = true", "import = false"), encoding="utf-8")
        say("casemate policy set exchange exchange.toml --reason 'data come in through the airlock alone'")
        officer.set_policy("exchange", policy, reason="data come in through the airlock alone")


def introduce(sender: DemoSite, receiver: DemoSite, *, ceiling: str) -> None:
    """Each officer names the other site: one sends, the other takes in, nothing above the ceiling."""
    for here, there, way in ((sender, receiver, "out"), (receiver, sender, "in")):
        officer = here.cast.officer
        key = there.key(there.cast.officer)
        options = f"--officer-key {key.name}.pub --direction {way} --up-to {ceiling} --reason agreed"
        say(f"casemate airlock peers add {there.name} {options}   (as {officer})")
        here.acting(officer).add_peer(
            there.name, officer_key=key.with_name(key.name + ".pub"), ceiling=ceiling, directions=frozenset({way}),
            reason="agreed",
        )  # fmt: skip
