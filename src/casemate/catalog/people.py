"""The people of a site: what they are cleared for, which roles they hold, which key is theirs.

Rules. A person's clearance is itself sensitive: only officers list people; everybody else finds their own record and
"none" for any other name. Only an officer adds or changes a person, and grants nothing above their own clearance; the
first officer of a site enrols themself. The last active officer stays one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from casemate.catalog import schema
from casemate.catalog.site import Reader, Site
from casemate.catalog.text import checked_name
from casemate.errors import BadInput, BadMarking, NameTaken, NotAllowed, NotFound
from casemate.markings import Clearance, Marking

ROLES = frozenset({"author", "approver", "sponsor", "officer", "operator", "reader"})
ACTING_ROLES = ROLES - {"reader"}


@dataclass(frozen=True)
class Person:
    """Somebody who may sign in; `public_key` is the JSON of the key whose identifier is `keyid`."""

    name: str
    clearance: Clearance
    roles: frozenset[str]
    keyid: str = ""
    public_key: str = ""
    display: str = ""
    active: bool = True

    def reader(self, ceiling: Marking | None = None) -> Reader:
        """The person, signed in to a session with `ceiling`; NotAllowed once they are no longer active."""
        if not self.active:
            raise NotAllowed(f"person {self.name}", expected="an active person of this site", found="one who left")
        return Reader(self.name, self.clearance, ceiling)

    def record(self) -> dict[str, Any]:
        """All of it as JSON values, as the journal fingerprints it."""
        return {
            "name": self.name,
            "display": self.display,
            "clearance": str(self.clearance),
            "roles": sorted(self.roles),
            "keyid": self.keyid,
            "public_key": self.public_key,
            "active": self.active,
        }


def get(connection: Connection, site: Site, name: str) -> Person:
    """The person called `name`; NotFound otherwise."""
    row = connection.execute(select(schema.person).where(schema.person.c.name == name)).first()
    if row is None:
        raise NotFound(name, expected="a person that you may read", found="none")
    return _person(site, row)


def get_by_key(connection: Connection, site: Site, keyid: str) -> Person:
    """The person whose key is `keyid`; NotFound otherwise."""
    row = connection.execute(select(schema.person).where(schema.person.c.keyid == keyid)).first() if keyid else None
    if row is None:
        raise NotFound(f"key {keyid}", expected="the key of a person of this site", found="none")
    return _person(site, row)


def everybody(connection: Connection, site: Site) -> tuple[Person, ...]:
    """All people by name, whoever asks: callers check the role first."""
    return tuple(_person(site, row) for row in connection.execute(select(schema.person).order_by(schema.person.c.name)))


def is_officer(connection: Connection, site: Site, reader: Reader) -> bool:
    """Whether the reader is an active officer on record."""
    row = connection.execute(select(schema.person).where(schema.person.c.name == reader.person_name)).first()
    return row is not None and _holds_office(_person(site, row))


def present(connection: Connection, site: Site, by: Reader) -> Person:
    """The record of who is signed in: active, cleared as the session says; NotAllowed otherwise."""
    row = connection.execute(select(schema.person).where(schema.person.c.name == by.person_name)).first()
    thing = f"person {by.person_name}"
    if row is None or not row.active:
        raise NotAllowed(thing, expected="an active person of this site", found="none")
    person = _person(site, row)
    if person.clearance != by.clearance:
        raise NotAllowed(thing, expected="the clearance on record", found=f"a session with {by.clearance}")
    return person


def standing(connection: Connection, site: Site, by: Reader) -> Person:
    """The record of who acts: present, with a role that acts; NotAllowed otherwise."""
    person = present(connection, site, by)
    if not person.roles & ACTING_ROLES:
        expected = f"one of the roles {', '.join(sorted(ACTING_ROLES))}"
        raise NotAllowed(f"person {person.name}", expected=expected, found=", ".join(sorted(person.roles)) or "no role")
    return person


def officer(connection: Connection, site: Site, by: Reader) -> Person:
    """The record of who acts, who must be an officer; NotAllowed otherwise."""
    person = standing(connection, site, by)
    if "officer" not in person.roles:
        found = ", ".join(sorted(person.roles))
        raise NotAllowed(f"person {person.name}", expected="the role officer", found=found)
    return person


def nobody_yet(connection: Connection) -> bool:
    """Whether the site has no people, so that the first officer may enrol themself."""
    return connection.execute(select(schema.person.c.name).limit(1)).first() is None


def enrol(connection: Connection, site: Site, person: Person) -> None:
    """Write the first officer of an empty site."""
    checked = _checked(site, person)
    if not nobody_yet(connection):
        raise NotAllowed(f"person {person.name}", expected="an officer who adds them", found="nobody")
    if not _holds_office(checked):
        raise NotAllowed(f"person {person.name}", expected="the first person to be an officer", found="another role")
    _insert(connection, checked)


def add(connection: Connection, site: Site, person: Person, by: Reader) -> None:
    """Write a person, added by an officer."""
    granting = officer(connection, site, by)
    checked = _checked(site, person)
    _may_grant(granting, checked)
    if connection.execute(select(schema.person).where(schema.person.c.name == checked.name)).first() is not None:
        raise NameTaken(f"person {checked.name}", expected="a name that nobody has", found="the name of a person")
    _insert(connection, checked)


def change(connection: Connection, site: Site, person: Person, by: Reader) -> None:
    """Replace the record of the person of that name, by an officer."""
    granting = officer(connection, site, by)
    checked = _checked(site, person)
    before = get(connection, site, checked.name)
    _may_grant(granting, checked)
    _may_grant(granting, before)
    others = (p for p in everybody(connection, site) if p.name != checked.name)
    if not _holds_office(checked) and not any(_holds_office(p) for p in others):
        raise NotAllowed(f"person {checked.name}", expected="one active officer to remain", found="none")
    _free_key(connection, checked)
    connection.execute(schema.person.update().where(schema.person.c.name == checked.name).values(_values(checked)))


def mark_of(site: Site, person: Person) -> Marking:
    """The marking of what is said about a person: as high as what they are cleared for, within the site's ceiling."""
    return site.highest(Reader(person.name, person.clearance))


def _insert(connection: Connection, person: Person) -> None:
    _free_key(connection, person)
    connection.execute(schema.person.insert().values(_values(person)))


def _free_key(connection: Connection, person: Person) -> None:
    owner = select(schema.person.c.name).where(
        schema.person.c.keyid == person.keyid, schema.person.c.name != person.name
    )
    if person.keyid and connection.execute(owner).first() is not None:
        raise NameTaken(f"key {person.keyid}", expected="a key that nobody has", found="the key of another person")


def _may_grant(granting: Person, person: Person) -> None:
    own, other = granting.clearance, person.clearance
    if other.level > own.level or not other.compartments <= own.compartments:
        expected = f"a clearance within that of {granting.name} ({own})"
        raise NotAllowed(f"person {person.name}", expected=expected, found=other)


def _checked(site: Site, person: Person) -> Person:
    name = checked_name(person.name, thing="person")
    if not person.roles <= ROLES:
        expected = f"roles among {', '.join(sorted(ROLES))}"
        raise BadInput(f"person {name}", expected=expected, found=", ".join(sorted(person.roles - ROLES)))
    if site.policy.parse_clearance(str(person.clearance)) != person.clearance:
        raise BadMarking(f"person {name}", expected="a clearance that the policy knows", found=person.clearance)
    display = checked_name(person.display or name, thing="person")
    values = {**vars(person), "name": name, "display": display}
    return Person(**values)


def _holds_office(person: Person) -> bool:
    return person.active and "officer" in person.roles


def _values(person: Person) -> dict[str, Any]:
    return {**person.record(), "roles": " ".join(sorted(person.roles)), "keyid": person.keyid or None}


def _person(site: Site, row: Row[Any]) -> Person:
    return Person(
        name=row.name,
        clearance=site.policy.parse_clearance(row.clearance),
        roles=frozenset(row.roles.split()),
        keyid=row.keyid or "",
        public_key=row.public_key,
        display=row.display,
        active=row.active,
    )
