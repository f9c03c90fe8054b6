"""Entries: one immutable thing each, with its digest, its marking and its origin.

Rules. No marking, no entry. An entry's marking is at least the join of its parents' and its project's; the exception is
a copy that two people lowered, and its link to what it was lowered from is kept as such (ADR 0006). A name is taken
only in the same project, for the same kind, at the same marking, so that what exists above never refuses what is made
below. Nothing removes an entry, and nothing changes in it but its marking and, where that takes it among namesakes, its
name (`raising`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from casemate.catalog import people, projects, schema
from casemate.catalog.paging import among
from casemate.catalog.site import Reader, Site, at_least, note
from casemate.catalog.text import canonical, checked_name, is_id, new_id, time_of, time_text
from casemate.errors import BadInput, BadMarking, NameTaken, NotAllowed, NotFound
from casemate.markings import Marking
from casemate.markings.policy import fold
from casemate.store.digest import Digest

KINDS = (
    "dataset", "documents", "model", "software", "report", "approval", "release", "revocation", "policy",
    "order", "bundle", "receipt", "trust", "lowering", "spill", "recall", "answer",
)  # fmt: skip
LOWERED = -1  # the place of a link from a lowered copy to what it was lowered from
LOWERING_ROLES = frozenset({"officer", "sponsor"})
_CHUNK = 500


@dataclass(frozen=True)
class NewEntry:
    """What is about to be registered; `parents` are the identifiers of what it was made from.

    `id` is an identifier that was made before (`Catalog.new_id`), for statements that name what they will be kept in;
    without one the entry gets its own.
    """

    kind: str
    name: str
    project: str
    marking: Marking
    digest: Digest
    parents: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""

    def __str__(self) -> str:
        """What a journal line about it is about."""
        return f"{self.kind} {self.project}/{self.name}"


@dataclass(frozen=True)
class Entry:
    """One immutable thing in the catalog; `project` is the project's name, `parents` are identifiers."""

    id: str
    kind: str
    name: str
    project: str
    marking: Marking
    digest: Digest
    parents: tuple[str, ...]
    facts: Mapping[str, Any]
    author: str
    created: datetime

    def __str__(self) -> str:
        """Enough to tell it from its namesakes."""
        return f"{self.kind} {self.project}/{self.name} at {self.marking} ({self.id})"


def register(connection: Connection, site: Site, new: NewEntry, by: Reader) -> tuple[Entry, dict[str, Any]]:
    """Write an entry and its lineage; also returns its record, which the journal fingerprints."""
    author = people.standing(connection, site, by)
    draft = _draft(site, new, by)
    thing = f"{draft.kind} {draft.name}"
    seen = site.seen_by(connection, by)
    project = projects.acting_in(connection, site, seen, new.project, by, kind=new.kind)
    parents = made_from(connection, site, seen, new.parents, thing=thing)
    at_least(draft.marking, [project.marking, *(p.marking for p in parents)], thing=thing)
    return _write(connection, site, draft, project, author.name)


def register_lowered(
    connection: Connection, site: Site, new: NewEntry, of: str, by: Reader
) -> tuple[Entry, dict[str, Any], Entry]:
    """Write a copy of the entry `of` at a marking that is not as high; also returns its record and the original.

    Whether two people decided it is for the caller to verify; here it is written as a lowering, by one of those whose
    office it is. They need not be members of the project.
    """
    author = people.standing(connection, site, by)
    if not author.roles & LOWERING_ROLES:
        expected, found = f"the role {' or '.join(sorted(LOWERING_ROLES))}", ", ".join(sorted(author.roles))
        raise NotAllowed(f"person {author.name}", expected=expected, found=found)
    draft = replace(_draft(site, new, by), parents=(of,))
    thing = f"{draft.kind} {draft.name}"
    seen = site.seen_by(connection, by)
    project = projects.one(projects.named(connection, site, seen, new.project), new.project)
    original = made_from(connection, site, seen, (of,), thing=thing)[0]
    _refuse_other(new, original, thing=thing)
    if draft.marking.join(original.marking) == draft.marking:
        raise BadMarking(f"marking of {thing}", expected=f"one lower than {original.marking}", found=draft.marking)
    at_least(draft.marking, [project.marking], thing=thing)
    entry, record = _write(connection, site, draft, project, author.name, lowered=True)
    return entry, record, original


def made_from(
    connection: Connection, site: Site, seen: Sequence[str], parents: Sequence[str], *, thing: str
) -> tuple[Entry, ...]:
    """The entries that something is made from; NotFound for the first that the reader may not read."""
    if len(set(parents)) != len(parents):
        raise BadInput(f"parents of {thing}", expected="each parent once", found="one of them twice")
    found = {entry.id: entry for entry in load(connection, site, seen, parents)}
    for parent in parents:
        if parent not in found:
            raise none_such(parent)
    return tuple(found[parent] for parent in parents)


def none_such(text: str) -> NotFound:
    """The one way to say that there is none, or none for this reader."""
    return NotFound(text, expected="an entry that you may read", found="none")


def load(connection: Connection, site: Site, seen: Sequence[str], ids: Iterable[str]) -> list[Entry]:
    """The entries with these identifiers at the markings `seen`, in the order of `ids`."""
    wanted = [i for i in ids if isinstance(i, str) and is_id(i)]
    found: dict[str, Entry] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = wanted[start : start + _CHUNK]
        parents = _parents(connection, seen, chunk)
        query = select(schema.entry, schema.project.c.name.label("project_name")).join(schema.project)
        query = query.where(schema.entry.c.id.in_(chunk), among(schema.entry.c.marking, seen))
        found |= {row.id: _entry(site, row, parents.get(row.id, ())) for row in connection.execute(query)}
    return [found[i] for i in wanted if i in found]


def record_of(row: Row[Any], parents: Sequence[str], *, lowered: bool) -> dict[str, Any]:
    """The record of a row of the table, as the journal fingerprints it."""
    return _record(row._asdict(), parents, lowered=lowered)


def _draft(site: Site, new: NewEntry, by: Reader) -> NewEntry:
    """What can be checked of a new entry without looking at others, with its name in NFC."""
    if new.kind not in KINDS:
        raise BadInput("kind", expected=f"one of {', '.join(KINDS)}", found=repr(new.kind))
    name = checked_name(new.name, thing=new.kind)
    canonical(new.facts, thing=f"facts of {new.kind} {name}")
    return replace(new, name=name, marking=site.admit_from(new.marking, by, thing=f"{new.kind} {name}"))


def _refuse_other(new: NewEntry, original: Entry, *, thing: str) -> None:
    if new.kind != original.kind or new.digest != original.digest:
        expected = f"a {original.kind} with digest {original.digest}, as {original.id} is"
        raise BadInput(thing, expected=expected, found=f"a {new.kind} with digest {new.digest}")
    if new.parents not in {(), (original.id,)}:
        raise BadInput(f"parents of {thing}", expected=f"only {original.id}, which is lowered", found="others")


def _write(
    connection: Connection,
    site: Site,
    draft: NewEntry,
    project: projects.Project,
    author: str,
    *,
    lowered: bool = False,
) -> tuple[Entry, dict[str, Any]]:
    _refuse_taken(connection, draft.kind, draft.name, project, draft.marking)
    row = {
        "id": _identifier(connection, site, draft.id, thing=f"{draft.kind} {draft.name}"),
        "kind": draft.kind,
        "name": draft.name,
        "folded": fold(draft.name),
        "project": project.id,
        "marking": note(connection, draft.marking),
        "digest": str(draft.digest),
        "facts": canonical(draft.facts),
        "author": author,
        "created": time_text(site.clock()),
    }
    connection.execute(schema.entry.insert().values(row))
    places = [LOWERED] if lowered else range(len(draft.parents))
    links = [{"child": row["id"], "parent": p, "place": n} for p, n in zip(draft.parents, places, strict=True)]
    if links:
        connection.execute(schema.lineage.insert(), links)
    entry = Entry(
        row["id"], draft.kind, draft.name, project.name, draft.marking, draft.digest, tuple(draft.parents),
        json.loads(row["facts"]), author, time_of(row["created"]),
    )  # fmt: skip
    return entry, _record(row, draft.parents, lowered=lowered)


def _record(row: Mapping[str, Any], parents: Sequence[str], *, lowered: bool) -> dict[str, Any]:
    """What a row says and the order of its parents; how its name is folded follows from its name."""
    told = {key: value for key, value in row.items() if key != "folded"} | {"parents": list(parents)}
    return told | {"lowered": True} if lowered else told


def _identifier(connection: Connection, site: Site, wanted: str, *, thing: str) -> str:
    if not wanted:
        return new_id(site.chance)
    if not is_id(wanted):
        raise BadInput(f"identifier of {thing}", expected="26 characters among a-z and 2-7", found=repr(wanted))
    # One name space for all that a journal line may be about.
    for table in (schema.entry, schema.run, schema.project):
        if connection.execute(select(table.c.id).where(table.c.id == wanted)).first() is not None:
            raise NameTaken(f"identifier of {thing}", expected="one that is free", found=f"{wanted}, which is not")
    return wanted


def _refuse_taken(connection: Connection, kind: str, name: str, project: projects.Project, marking: Marking) -> None:
    table = schema.entry
    taken = select(table.c.id).where(
        table.c.name == name,
        table.c.marking == str(marking),
        table.c.project == project.id,
        table.c.kind == kind,
    )
    if connection.execute(taken).first() is not None:
        expected = f"a name that no {kind} of the project has at {marking}"
        raise NameTaken(f"{kind} {project.name}/{name}", expected=expected, found=f"a {kind} of that name")


def _parents(connection: Connection, seen: Sequence[str], ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parents by child, both ends read by the same reader: a link is never shown without what it leads to."""
    link, parent = schema.lineage, schema.entry
    query = select(link.c.child, link.c.parent).join(parent, parent.c.id == link.c.parent)
    query = query.where(link.c.child.in_(ids), among(parent.c.marking, seen)).order_by(link.c.child, link.c.place)
    found: dict[str, tuple[str, ...]] = {}
    for child, made_of in connection.execute(query):
        found[child] = (*found.get(child, ()), made_of)
    return found


def _entry(site: Site, row: Row[Any], parents: tuple[str, ...]) -> Entry:
    return Entry(
        id=row.id,
        kind=row.kind,
        name=row.name,
        project=row.project_name,
        marking=site.marking(row.marking),
        digest=Digest.parse(row.digest),
        parents=parents,
        facts=json.loads(row.facts),
        author=row.author,
        created=time_of(row.created),
    )
