"""The keys with which people's programs ask over HTTP: whose they are, for which project, for what, until when.

Rules. A person makes their own keys, for a project of which they are a member, and nobody makes one for another. Of a
secret, its SHA-256 alone is kept. A key's ceiling is never above that of the session that made it. A key is marked like
its ceiling, or like its project where it has none; its owner and officers see it, and nobody else. Nothing of a key
changes but that it is revoked, once, by its owner or by an officer. What a key opens is decided at each request, from
the records of that moment: the key's, its owner's and its project's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, select

from casemate.catalog import people, projects, schema
from casemate.catalog.people import Person
from casemate.catalog.site import Reader, Site, note
from casemate.catalog.text import checked_name, new_id, time_of, time_text
from casemate.errors import BadInput, BadMarking, NameTaken, NotFound
from casemate.markings import Marking

SCOPES = frozenset({"models", "documents", "all-documents", "upload", "detect", "metrics"})
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class NewApiKey:
    """A key about to be made; `sha256` (hexadecimal) is that of its secret, `project` a name or identifier."""

    label: str
    project: str
    sha256: str
    scopes: frozenset[str]
    expires: datetime
    ceiling: Marking | None = None


@dataclass(frozen=True)
class ApiKey:
    """A key as it is on record; `project` is an identifier, `revoked` the moment from which it opens nothing."""

    id: str
    owner: str
    label: str
    project: str
    project_name: str
    marking: Marking
    sha256: str
    scopes: frozenset[str]
    ceiling: Marking | None
    created: datetime
    expires: datetime
    revoked: datetime | None = None

    def in_force(self, now: datetime) -> bool:
        """Whether it may open anything at `now`."""
        return self.revoked is None and self.created <= now < self.expires


@dataclass(frozen=True)
class Visit:
    """What the records say of a secret: its key, the key's owner, whether they are still in the key's project."""

    key: ApiKey
    owner: Person
    is_member: bool


def add(connection: Connection, site: Site, new: NewApiKey, by: Reader) -> ApiKey:
    """Write a key of `by`'s own."""
    people.present(connection, site, by)
    label = checked_name(new.label, thing="API key")
    _check(new, label, now=site.clock())
    project = projects.acting_in(connection, site, site.seen_by(connection, by), new.project, by)
    ceiling = new.ceiling or by.ceiling
    marking = project.marking if ceiling is None else site.admit_from(ceiling, by, thing=f"ceiling of API key {label}")
    if not project.marking.within(marking):
        expected = f"one that admits its project ({project.marking})"
        raise BadMarking(f"ceiling of API key {label}", expected=expected, found=marking)
    taken = select(schema.apikey.c.id).where(schema.apikey.c.sha256 == new.sha256)
    if connection.execute(taken).first() is not None:
        raise NameTaken(f"API key {label}", expected="a fresh secret", found="one that is in use")
    key = ApiKey(
        new_id(site.chance), by.person_name, label, project.id, project.name, marking, new.sha256, new.scopes, ceiling,
        time_of(time_text(site.clock())), time_of(time_text(new.expires)),
    )  # fmt: skip
    connection.execute(schema.apikey.insert().values({**_values(key), "marking": note(connection, marking)}))
    return key


def revoke(connection: Connection, site: Site, key_id: str, by: Reader) -> ApiKey:
    """End a key of one's own, or as an officer any that one sees; NotFound otherwise, whether there is one or not."""
    people.present(connection, site, by)
    found = [key for key in visible(connection, site, site.seen_by(connection, by), by) if key.id == key_id]
    if not found:
        raise NotFound(f"API key {key_id}", expected="an API key that you may read", found="none")
    if found[0].revoked is not None:
        raise BadInput(f"API key {key_id}", expected="one in force", found="one that was revoked")
    revoked = replace(found[0], revoked=time_of(time_text(site.clock())))
    ended = schema.apikey.update().where(schema.apikey.c.id == key_id)
    connection.execute(ended.values(revoked=_values(revoked)["revoked"]))
    return revoked


def visible(connection: Connection, site: Site, seen: tuple[str, ...], by: Reader) -> tuple[ApiKey, ...]:
    """One's own keys, or for officers everybody's, at the markings `seen`, the oldest first."""
    where: list[ColumnElement[bool]] = [schema.apikey.c.marking.in_(seen)]
    if not people.is_officer(connection, site, by):
        where.append(schema.apikey.c.owner == by.person_name)
    return tuple(_key(site, row) for row in connection.execute(_named(*where)))


def everything(connection: Connection, site: Site) -> tuple[ApiKey, ...]:
    """All keys, for the audit."""
    return tuple(_key(site, row) for row in connection.execute(_named()))


def visit(connection: Connection, site: Site, sha256: str) -> Visit | None:
    """What the records say of the secret with this SHA-256; None if it is nobody's. The work is the same for any."""
    table, owner, member = schema.apikey, schema.person, schema.member
    joined = table.join(owner, owner.c.name == table.c.owner).outerjoin(
        member, and_(member.c.project == table.c.project, member.c.person == table.c.owner)
    )
    columns = (table.c.id, owner.c.name, member.c.person)
    row = connection.execute(select(*columns).select_from(joined).where(table.c.sha256 == sha256)).first()
    if row is None:
        return None
    key = _key(site, connection.execute(_named(table.c.id == row[0])).one())
    return Visit(key, people.get(connection, site, row[1]), row[2] is not None)


def record(key: ApiKey) -> dict[str, Any]:
    """All of a key as JSON values, as the journal fingerprints it."""
    return {**_values(key), "project": key.project, "marking": str(key.marking)}


def facts(key: ApiKey) -> dict[str, Any]:
    """What the journal tells of a key."""
    return {
        "owner": key.owner, "project": key.project, "scopes": sorted(key.scopes),
        "ceiling": str(key.ceiling or ""), "expires": time_text(key.expires),
    }  # fmt: skip


def about_ones_own(by: Reader) -> ColumnElement[bool]:
    """Lines of the journal about keys of the reader's own."""
    return schema.journal.c.about.in_(select(schema.apikey.c.id).where(schema.apikey.c.owner == by.person_name))


def _check(new: NewApiKey, label: str, *, now: datetime) -> None:
    if not _SHA256.fullmatch(new.sha256):
        raise BadInput(f"API key {label}", expected="the SHA-256 of its secret", found="something else")
    if not new.scopes or not new.scopes <= SCOPES:
        found = ", ".join(sorted(new.scopes - SCOPES)) or "none"
        raise BadInput(f"scopes of API key {label}", expected=f"some of {', '.join(sorted(SCOPES))}", found=found)
    if new.expires <= now:
        raise BadInput(f"API key {label}", expected="an end that is to come", found=time_text(new.expires))


def _named(*where: ColumnElement[bool]) -> Select[Any]:
    table, owner = schema.apikey, schema.project
    query = select(table, owner.c.name.label("project_name")).join(owner, owner.c.id == table.c.project)
    return query.where(*where).order_by(table.c.created, table.c.id)


def _values(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id, "owner": key.owner, "label": key.label, "project": key.project, "sha256": key.sha256,
        "scopes": " ".join(sorted(key.scopes)), "ceiling": None if key.ceiling is None else str(key.ceiling),
        "created": time_text(key.created), "expires": time_text(key.expires),
        "revoked": None if key.revoked is None else time_text(key.revoked),
    }  # fmt: skip


def _key(site: Site, row: Row[Any]) -> ApiKey:
    return ApiKey(
        row.id, row.owner, row.label, row.project, row.project_name, site.marking(row.marking), row.sha256,
        frozenset(row.scopes.split()), None if row.ceiling is None else site.marking(row.ceiling),
        time_of(row.created), time_of(row.expires), None if row.revoked is None else time_of(row.revoked),
    )  # fmt: skip
