"""Raising what turned out to be marked too low, with all that was made from it; and setting it back.

Rules. A raise never lowers: a thing gets the join of its marking and the one given. It is for an officer who is cleared
for the site's ceiling. When it is done, everything is marked at least as high as what it was made from, or nothing was
done. A name that is taken higher up does not stop a raise: the entry is renamed, and has its own name again where that
is free. A marking is set back only to one that the thing had before it was raised. ADR 0006.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Table, select

from casemate.catalog import entries, runs, schema
from casemate.catalog.entries import LOWERED, none_such
from casemate.catalog.site import Reader, Site, at_least, note
from casemate.catalog.spread import chunks, cleared, too_low
from casemate.catalog.text import ID_LENGTH, NAME_LIMIT
from casemate.errors import BadMarking, NameTaken
from casemate.markings import Marking
from casemate.markings.policy import fold

_MOVES = ("entry.raise", "entry.restore")
_SHORTEST_MARK = 6


@dataclass(frozen=True)
class Change:
    """What became of one thing, an entry or a run: its marking and, if that took it among namesakes, its name.

    `{change.id: change.old for change in changes}` is what sets a raise back.
    """

    id: str
    kind: str
    project: str
    old: Marking
    new: Marking
    old_name: str = ""
    new_name: str = ""

    @property
    def is_run(self) -> bool:
        """Whether it is a run, which has no name."""
        return not self.new_name

    def __str__(self) -> str:
        """What a journal line about it is about."""
        return f"{self.kind} run {self.id}" if self.is_run else f"{self.kind} {self.project}/{self.new_name}"

    def facts(self) -> dict[str, Any]:
        """What its journal line tells."""
        told: dict[str, Any] = {"old": str(self.old), "new": str(self.new)}
        renamed = self.old_name != self.new_name
        return told | {"name": {"old": self.old_name, "new": self.new_name}} if renamed else told


@dataclass(frozen=True)
class Moved:
    """A change that was written, and the record that the journal fingerprints."""

    change: Change
    record: dict[str, Any]


@dataclass(frozen=True)
class _Found:
    """The row of an entry or a run as it is before."""

    table: Table
    row: Row[Any]
    marking: Marking

    @property
    def thing(self) -> str:
        return f"{self.row.kind} run" if self.table is schema.run else f"{self.row.kind} {self.row.name}"


def raise_all(connection: Connection, site: Site, changes: Mapping[str, Marking], by: Reader) -> list[Moved]:
    """Give each entry and run the join of its marking and the one in `changes`; those that have it already are left."""
    cleared(connection, site, by)
    found = _find(connection, site, changes, by)
    joined = {one.row.id: one.marking.join(_admitted(site, one, changes, by)) for one in found}
    moved = _move(connection, found, joined)
    left = len(too_low(connection, site, [one.change.id for one in moved]))
    if left:
        expected = "every entry and run made from it to be raised too"
        raise BadMarking("what is raised", expected=expected, found=f"{left} that {'is' if left == 1 else 'are'} not")
    return moved


def restore_all(connection: Connection, site: Site, changes: Mapping[str, Marking], by: Reader) -> list[Moved]:
    """Set each entry and run back to a marking that it had before it was raised; those that have it now are left."""
    cleared(connection, site, by)
    found = _find(connection, site, changes, by)
    for one in found:
        _refuse_never_had(connection, site, one, changes[one.row.id])
    moved = _move(connection, found, {one.row.id: _admitted(site, one, changes, by) for one in found})
    for held in too_low(connection, site, [one.change.id for one in moved]):
        at_least(held.marking, held.parts, thing=held.thing)
    return moved


def _find(connection: Connection, site: Site, wanted: Collection[str], by: Reader) -> list[_Found]:
    """The entries and runs, oldest first; NotFound for the first that `by` may not read or that is none."""
    seen, rows = set(site.seen_by(connection, by)), dict[str, tuple[Table, Row[Any]]]()
    for table in (schema.entry, schema.run):
        for chunk in chunks(wanted):
            query = select(table, schema.project.c.name.label("project_name")).join(schema.project)
            query = query.where(table.c.id.in_(chunk))
            rows |= {row.id: (table, row) for row in connection.execute(query)}
    for identifier in wanted:
        if identifier not in rows or rows[identifier][1].marking not in seen:
            raise none_such(identifier)
    found = [_Found(table, row, site.marking(row.marking)) for table, row in rows.values()]
    return sorted(found, key=lambda one: (one.row.created, one.row.id))


def _admitted(site: Site, one: _Found, changes: Mapping[str, Marking], by: Reader) -> Marking:
    return site.admit_from(changes[one.row.id], by, thing=one.thing)


def _refuse_never_had(connection: Connection, site: Site, one: _Found, marking: Marking) -> None:
    raises = _told(connection, one.row.id, ("entry.raise", "run.raise"))
    had = {site.marking(facts["old"]) for facts in raises}
    if marking not in had | {one.marking} or not marking.within(one.marking):
        before = ", ".join(sorted(str(m) for m in had)) or "none"
        expected = f"one that it had before it was raised ({before})"
        raise BadMarking(f"marking of {one.thing}", expected=expected, found=marking)


def _told(connection: Connection, identifier: str, verbs: Sequence[str]) -> list[dict[str, Any]]:
    """The facts of the lines with which a thing was raised or restored, oldest first.

    Only an act of the catalog has a record: whoever else appends a line of that verb is not believed.
    """
    table = schema.journal
    query = select(table.c.line).where(table.c.about == identifier, table.c.verb.in_(verbs)).order_by(table.c.position)
    acts = map(json.loads, connection.execute(query).scalars())
    return [act["facts"] for act in acts if act["record"]]


def _move(connection: Connection, found: Sequence[_Found], markings: Mapping[str, Marking]) -> list[Moved]:
    """Write the markings that differ, and then the names: in which order things are given does not matter."""
    moving = [one for one in found if markings[one.row.id] != one.marking]
    for one in moving:
        identifier = one.row.id
        values = {"marking": note(connection, markings[identifier])}
        if one.table is schema.entry:
            values |= {"name": identifier, "folded": fold(identifier)}  # a name that nothing else can have
        connection.execute(one.table.update().where(one.table.c.id == identifier).values(values))
    return [_settled(connection, one, markings[one.row.id]) for one in moving]


def _settled(connection: Connection, one: _Found, marking: Marking) -> Moved:
    """The change of one thing whose marking is written, with its name written too."""
    row, table = one.row, one.table
    if table is schema.run:
        change = Change(row.id, row.kind, row.project_name, one.marking, marking)
    else:
        name = _free_name(connection, row, marking)
        connection.execute(table.update().where(table.c.id == row.id).values(name=name, folded=fold(name)))
        change = Change(row.id, row.kind, row.project_name, one.marking, marking, row.name, name)
    after = connection.execute(select(table).where(table.c.id == row.id)).one()
    return Moved(change, runs.record_of(after) if change.is_run else _record(connection, after))


def _free_name(connection: Connection, row: Row[Any], marking: Marking) -> str:
    """The name that the entry was given, where it is free; otherwise with the beginning of its identifier."""
    renamed = [facts["name"]["old"] for facts in _told(connection, row.id, _MOVES) if "name" in facts]
    own = str(renamed[0] if renamed else row.name)
    for length in (0, *range(_SHORTEST_MARK, ID_LENGTH + 1)):
        mark = f" ({row.id[:length]})" if length else ""
        name = own[: NAME_LIMIT - len(mark)].rstrip() + mark
        table = schema.entry
        taken = select(table.c.id).where(
            table.c.name == name, table.c.marking == str(marking), table.c.project == row.project,
            table.c.kind == row.kind,
        )  # fmt: skip
        if connection.execute(taken).first() is None:
            return name
    raise NameTaken(f"{row.kind} {own}", expected=f"a free name at {marking}", found="every one of them taken")


def _record(connection: Connection, row: Row[Any]) -> dict[str, Any]:
    link = schema.lineage
    links = connection.execute(select(link).where(link.c.child == row.id).order_by(link.c.place)).all()
    lowered = any(one.place == LOWERED for one in links)
    return entries.record_of(row, [one.parent for one in links], lowered=lowered)
