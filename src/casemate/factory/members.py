"""Verbs on people, projects and policies: what the officer does.

Rules. A key is trusted before its holder is on record, so that a crash between leaves a key without a person, which may
do nothing, and the verb can simply be given again.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from casemate.airlock.exchange import ExchangePolicy
from casemate.catalog import Person, Project
from casemate.errors import BadInput, NotAllowed
from casemate.factory import policies
from casemate.factory.desk import Desk
from casemate.factory.founding import trusted
from casemate.signing import PublicKey, Trust

_TRUSTED_ROLES = frozenset({"author", "approver", "sponsor", "officer"})


def add_person(
    desk: Desk, name: str, *, public_key: Path, clearance: str, roles: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """Admit a person: clearance, key, and what the key may sign. Officers only."""
    with desk.act("person.add", f"person {name}"):
        require_officer(desk, f"person {name}")
        public = PublicKey.from_json(public_key.read_bytes(), thing=str(public_key))
        cleared = desk.site.policy.parse_clearance(clearance)
        signing = roles & _TRUSTED_ROLES
        if signing and not any(key.public == public for key in desk.trust.named(name)):
            line = trusted(name, public, set(signing), desk.now())
            _trust(desk, Trust((*desk.trust.keys, line), desk.trust.serial + 1), f"key of {name}")
        person = Person(name, cleared, roles or frozenset({"reader"}), public.keyid, public.to_json().decode())
        return _person_row(desk.catalog.add_person(person, by=desk.reader, sign=desk.sign))


def people(desk: Desk) -> list[dict[str, Any]]:
    """Everybody. Officers only: a clearance is itself sensitive."""
    with desk.act("people.list", "people"):
        return [_person_row(person) for person in desk.view.people()]


def revoke_key(desk: Desk, name: str, *, reason: str) -> dict[str, Any]:
    """Withdraw trust from a person's keys, and end their sessions. Officers only."""
    with desk.act("key.revoke", f"person {name}"):
        require_officer(desk, f"key of {name}")
        person = desk.view.person(name)
        keys = tuple(replace(key, revoked=True) if key.name == name else key for key in desk.trust.keys)
        if keys != desk.trust.keys:
            _trust(desk, Trust(keys, desk.trust.serial + 1), f"key of {name} withdrawn: {reason}")
        left = replace(person, active=False)
        return _person_row(desk.catalog.change_person(left, by=desk.reader, reason=reason, sign=desk.sign))


def add_project(desk: Desk, name: str, *, marking: str, members: frozenset[str] = frozenset()) -> dict[str, Any]:
    """Open a project. Officers only."""
    with desk.act("project.add", f"project {name}"):
        parsed = desk.site.policy.parse(marking)
        return _project_row(desk.catalog.add_project(name, parsed, by=desk.reader, members=members, sign=desk.sign))


def projects(desk: Desk) -> list[dict[str, Any]]:
    """The projects that this person may see."""
    return [_project_row(project) for project in desk.view.projects()]


def policy_text(desk: Desk, name: str) -> str:
    """The TOML of a policy in force."""
    with desk.act("policy.show", f"policy {name}"):
        if name == "prompts":
            return policies.read_prompts(desk.view, desk.store, desk.officer).text
        return policies.text_of(desk.store, policies.latest(desk.view, name)).decode()


def set_policy(desk: Desk, name: str, file: Path, *, reason: str) -> dict[str, Any]:
    """Put a new version of the policy of markings, of the gate or of exchange in force. Officers only."""
    with desk.act("policy.set", f"policy {name}"):
        if name not in policies.CHANGED_BY_FILE:
            raise BadInput("policy", expected=" or ".join(policies.CHANGED_BY_FILE), found=name)
        return change_policy(desk, name, file.read_text(encoding="utf-8"), reason=reason)


def change_policy(desk: Desk, name: str, text: str, *, reason: str) -> dict[str, Any]:
    """Put the next version of a policy in force; officers only."""
    require_officer(desk, f"policy {name}")
    if name == "exchange":
        for peer in ExchangePolicy.from_toml(text).peers:
            desk.catalog.site.admit(desk.site.policy.parse(peer.ceiling), thing=f"ceiling of {peer.name}")
    # A site that was founded before a modality had a policy of its own begins with the first version of it.
    serial = max((int(entry.facts["serial"]) for entry in policies.versions(desk.view, name)), default=0) + 1
    envelope = policies.signed(name, text, desk.pen, serial=serial)
    entry = policies.put_in_force(
        desk.site.root, desk.catalog, desk.store, name, envelope,
        serial=serial, by=desk.reader, reason=reason, sign=desk.sign,
    )  # fmt: skip
    return {"policy": name, "serial": serial, "id": entry.id, "digest": str(entry.digest)}


def _trust(desk: Desk, trust: Trust, reason: str) -> None:
    envelope = policies.signed("trust", trust.to_toml(), desk.pen, serial=trust.serial)
    policies.put_in_force(
        desk.site.root, desk.catalog, desk.store, "trust", envelope,
        serial=trust.serial, by=desk.reader, reason=reason, sign=desk.sign,
    )  # fmt: skip


def require_officer(desk: Desk, thing: str) -> None:
    """Refuse whoever is not the officer whose key `site.toml` pins."""
    # The trust file and the policies are good only under the key that site.toml pins.
    if desk.pen.public.keyid != desk.site.settings.officer_keyid:
        raise NotAllowed(thing, expected="the officer whose key signs the site's policies", found=desk.person.name)


def _person_row(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "clearance": str(person.clearance),
        "roles": ", ".join(sorted(person.roles)),
        "key": person.keyid[:16],
        "active": person.active,
    }


def _project_row(project: Project) -> dict[str, Any]:
    return {"name": project.name, "marking": str(project.marking), "members": ", ".join(sorted(project.members))}
