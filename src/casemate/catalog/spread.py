"""How far a thing has spread: all that was made from it, and whether markings still follow derivation.

Rules. This is the one walk that does not stop where a reader stops, so it is for an officer who is cleared for the
site's ceiling, and that is asked first: to them nothing on the site is unseen, and to anybody else nothing is told
(ADR 0006). A link to what was lowered by a decision is reported and not followed: that decision stands until people
undo it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, FromClause, Select, Table, or_, select

from casemate.catalog import entries, people, runs, schema
from casemate.catalog.entries import LOWERED, Entry, none_such
from casemate.catalog.runs import Run
from casemate.catalog.site import Reader, Site, reach
from casemate.errors import NotAllowed
from casemate.markings import Marking

_CHUNK = 500


@dataclass(frozen=True)
class Spread:
    """The entries asked about and all that was made from them, oldest first; the runs that read any of it.

    `lowered` are copies that two people lowered: they are not among `entries`, nor is what was made from them.
    """

    entries: tuple[Entry, ...]
    runs: tuple[Run, ...]
    lowered: tuple[Entry, ...]


@dataclass
class Held:
    """One thing, what it is marked, and what it may not be marked below."""

    thing: str
    marking: Marking
    parts: list[Marking] = field(default_factory=list)

    @property
    def floor(self) -> Marking:
        """The join of its marking with those of what it was made from and belongs to."""
        return Marking.join_all(self.marking, self.parts)


def cleared(connection: Connection, site: Site, by: Reader) -> None:
    """NotAllowed unless `by` is an officer whose session reads up to the site's ceiling, whatever there is below it."""
    people.officer(connection, site, by)
    if site.ceiling is None or not by.may_read(site.ceiling):
        expected = f"an officer cleared for the site's ceiling {site.ceiling or '(it has none)'}"
        raise NotAllowed(f"person {by.person_name}", expected=expected, found=reach(by))


def spread(connection: Connection, site: Site, roots: Iterable[str], by: Reader) -> Spread:
    """All that was made from the entries `roots`, and they themselves; NotFound for the first that is none."""
    cleared(connection, site, by)
    seen, asked = site.seen_by(connection, by), tuple(dict.fromkeys(roots))
    found = {entry.id for entry in entries.load(connection, site, seen, asked)}
    for root in asked:
        if root not in found:
            raise none_such(root)
    reached, lowered = _descendants(connection, asked)
    reading = [run for run, inputs in _inputs(connection) if not reached.isdisjoint(inputs)]
    made = entries.load(connection, site, seen, reached | lowered)
    read = [run for chunk in chunks(reading) for run in runs.load(connection, site, seen, chunk)]
    if (len(made), len(read)) != (len(reached | lowered), len(reading)):
        # Only where the policy or the ceiling was changed under what is marked already.
        expected = "an officer cleared for all that was made from it"
        raise NotAllowed(f"person {by.person_name}", expected=expected, found="a marking that this site knows no more")
    made.sort(key=lambda entry: (entry.created, entry.id))
    read.sort(key=lambda run: (run.created, run.id))
    whole = tuple(entry for entry in made if entry.id in reached)
    return Spread(whole, tuple(read), tuple(entry for entry in made if entry.id not in reached))


def too_low(connection: Connection, site: Site, touched: Collection[str]) -> list[Held]:
    """Of the things `touched` and what was made from them, those marked below what they were made from or belong to."""
    held: dict[str, Held] = {}
    for row in _parts(connection, touched):
        one = held.setdefault(row.id, Held(row.thing, site.marking(row.marking)))
        one.parts.append(site.marking(row.part))
    return [one for _, one in sorted(held.items()) if one.floor != one.marking]


def _descendants(connection: Connection, roots: Iterable[str]) -> tuple[set[str], set[str]]:
    """All that was made from `roots`, they included; and what was lowered from any of it."""
    reached, lowered, frontier = set[str](), set[str](), set(roots)
    link = schema.lineage
    while frontier:
        reached |= frontier
        queries = [select(link.c.child, link.c.place).where(link.c.parent.in_(chunk)) for chunk in chunks(frontier)]
        below = [row for query in queries for row in connection.execute(query)]
        lowered |= {row.child for row in below if row.place == LOWERED}
        frontier = {row.child for row in below if row.place != LOWERED} - reached
    return reached, lowered


def _inputs(connection: Connection) -> Iterator[tuple[str, set[str]]]:
    """Every run and what it reads, one run after the other: raising is rare, and runs are few beside entries."""
    for row in connection.execute(select(schema.run.c.id, schema.run.c.inputs)).all():
        yield row.id, set(json.loads(row.inputs))


def _parts(connection: Connection, touched: Collection[str]) -> Iterator[Any]:
    """Each thing to hold (id, thing, marking), beside the marking of one thing that it may not be below (part)."""
    for chunk in chunks(touched):
        yield from connection.execute(_links(chunk))
        yield from connection.execute(_belongs(schema.entry, chunk))
        yield from connection.execute(_belongs(schema.run, chunk))
    wanted = set(touched)
    for run, inputs in _inputs(connection):
        if run in wanted or not inputs.isdisjoint(wanted):
            for chunk in chunks(inputs):
                yield from connection.execute(_read(run, chunk))


def _read(identifier: str, inputs: Collection[str]) -> Select[Any]:
    run, entry = schema.run, schema.entry
    query = _held(run, entry).join_from(run, entry, entry.c.id.in_(inputs))
    return query.where(run.c.id == identifier)


def _links(chunk: Collection[str]) -> Select[Any]:
    link, child, parent = schema.lineage, schema.entry.alias("child"), schema.entry.alias("parent")
    query = _held(child, parent).select_from(link)
    query = query.join(child, child.c.id == link.c.child).join(parent, parent.c.id == link.c.parent)
    return query.where(link.c.place != LOWERED, or_(link.c.child.in_(chunk), link.c.parent.in_(chunk)))


def _belongs(table: Table, chunk: Collection[str]) -> Select[Any]:
    owner = schema.project
    return _held(table, owner).join_from(table, owner, owner.c.id == table.c.project).where(table.c.id.in_(chunk))


def _held(held: FromClause, part: FromClause) -> Select[Any]:
    name = held.c.kind + " " + held.c.name if "name" in held.c else held.c.kind + " run " + held.c.id
    return select(held.c.id, name.label("thing"), held.c.marking, part.c.marking.label("part"))


def chunks(ids: Iterable[str]) -> Iterator[list[str]]:
    """Identifiers, sorted, in lists that a query takes."""
    listed = sorted(ids)
    return (listed[start : start + _CHUNK] for start in range(0, len(listed), _CHUNK))
