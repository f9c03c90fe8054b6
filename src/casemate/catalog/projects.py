"""Projects: people who work together under one need-to-know.

Rules. A project has a marking, and whoever may not read it finds none. Its name is unique at that marking only. What is
in it is marked at least as high. Only members act in it; only an officer who may read it changes who they are, and a
member is cleared for it. The site's own project, at the lowest marking, is everybody's for what the airlock writes down
(`SITE_KINDS`): whoever acts on the site may ask the airlock for something, or answer it, without being a member.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, or_, select

from casemate.catalog import people, schema
from casemate.catalog.site import Reader, Site, note
from casemate.catalog.text import checked_name, new_id, time_of, time_text
from casemate.errors import BadInput, NameTaken, NotAllowed, NotFound
from casemate.markings import Marking

SITE_PROJECT = "site"
SITE_KINDS = frozenset({"order", "bundle", "receipt", "trust", "approval", "revocation", "lowering", "spill", "recall"})
_DESCRIPTION_LIMIT = 2000


@dataclass(frozen=True)
class Project:
    """A project and the names of its members."""

    id: str
    name: str
    marking: Marking
    members: frozenset[str]
    description: str
    created: datetime

    def record(self) -> dict[str, Any]:
        """All of it as JSON values, as the journal fingerprints it."""
        return {
            "id": self.id,
            "name": self.name,
            "marking": str(self.marking),
            "members": sorted(self.members),
            "description": self.description,
            "created": time_text(self.created),
        }


def seen(connection: Connection, site: Site, markings: Sequence[str]) -> tuple[Project, ...]:
    """The projects at these markings, by name."""
    table = schema.project
    query = select(table).where(table.c.marking.in_(markings)).order_by(table.c.name, table.c.marking, table.c.id)
    return tuple(load(connection, site, row) for row in connection.execute(query).all())


def named(connection: Connection, site: Site, markings: Sequence[str], text: str) -> tuple[Project, ...]:
    """The projects at these markings whose name or identifier is `text`."""
    table = schema.project
    query = select(table).where(table.c.marking.in_(markings), or_(table.c.name == text, table.c.id == text))
    rows = connection.execute(query.order_by(table.c.marking, table.c.id)).all()
    return tuple(load(connection, site, row) for row in rows)


def one(found: Sequence[Project], text: str) -> Project:
    """The only project among those found; NotFound if there is none, BadInput that lists them if there are several."""
    if not found:
        raise NotFound(text, expected="a project that you may read", found="none")
    if len(found) > 1:
        listed = "; ".join(f"{p.name} at {p.marking} ({p.id})" for p in found)
        raise BadInput(text, expected="one project", found=f"{len(found)}: {listed}")
    return found[0]


def acting_in(
    connection: Connection, site: Site, markings: Sequence[str], text: str, by: Reader, *, kind: str = ""
) -> Project:
    """The project in which `by` is about to act, as a member of it unless a `kind` of the site's own is written."""
    found = named(connection, site, markings, text)
    own = [p for p in found if by.person_name in p.members or (kind in SITE_KINDS and is_sites_own(site, p))]
    if found and not own:
        raise NotAllowed(f"project {text}", expected=f"{by.person_name} among its members", found="a non-member")
    return one(own, text)


def is_sites_own(site: Site, project: Project) -> bool:
    """Whether it is the site's own project: a namesake at another marking is not."""
    return project.name == SITE_PROJECT and project.marking == site.policy.lowest


def add(
    connection: Connection, site: Site, name: str, marking: Marking, members: Iterable[str], about: str, by: Reader
) -> Project:
    """Write a new project, made by an officer."""
    people.officer(connection, site, by)
    name = checked_name(name, thing="project")
    admitted = site.admit_from(marking, by, thing=f"project {name}")
    team = _team(connection, site, members, admitted)
    table = schema.project
    taken = select(table.c.id).where(table.c.name == name, table.c.marking == str(admitted))
    if connection.execute(taken).first() is not None:
        raise NameTaken(
            f"project {name}", expected=f"a name that is free at {admitted}", found="a project of that name"
        )
    project = Project(new_id(site.chance), name, admitted, team, _description(name, about), site.clock())
    values = {key: value for key, value in project.record().items() if key != "members"}
    connection.execute(table.insert().values({**values, "marking": note(connection, admitted)}))
    _write_members(connection, project)
    return project


def change(
    connection: Connection, site: Site, text: str, members: Iterable[str], about: str | None, by: Reader
) -> Project:
    """Replace the members (and the description, unless None) of a project, by an officer who may read it."""
    people.officer(connection, site, by)
    before = one(named(connection, site, site.seen_by(connection, by), text), text)
    team = _team(connection, site, members, before.marking)
    description = before.description if about is None else _description(before.name, about)
    after = Project(before.id, before.name, before.marking, team, description, before.created)
    table = schema.project
    connection.execute(table.update().where(table.c.id == after.id).values(description=description))
    connection.execute(schema.member.delete().where(schema.member.c.project == after.id))
    _write_members(connection, after)
    return after


def load(connection: Connection, site: Site, row: Row[Any]) -> Project:
    """The project of a row of its table."""
    team = select(schema.member.c.person).where(schema.member.c.project == row.id)
    members = frozenset(connection.execute(team).scalars())
    return Project(row.id, row.name, site.marking(row.marking), members, row.description, time_of(row.created))


def _team(connection: Connection, site: Site, members: Iterable[str], marking: Marking) -> frozenset[str]:
    team = frozenset(members)
    for name in sorted(team):
        person = people.get(connection, site, name)
        if not person.clearance.dominates(marking):
            expected = f"a clearance that dominates {marking}"
            raise NotAllowed(f"person {name}", expected=expected, found=person.clearance)
    return team


def _write_members(connection: Connection, project: Project) -> None:
    rows = [{"project": project.id, "person": name} for name in sorted(project.members)]
    if rows:
        connection.execute(schema.member.insert(), rows)


def _description(name: str, text: str) -> str:
    if len(text) > _DESCRIPTION_LIMIT:
        expected = f"a description of at most {_DESCRIPTION_LIMIT} characters"
        raise BadInput(f"project {name}", expected=expected, found=f"{len(text)} characters")
    return text
