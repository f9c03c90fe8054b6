"""The catalog against its journal: whoever changes a row behind Casemate's back leaves a row that no line vouches for.

Rules. Every act that writes puts the fingerprint of what it wrote into its line. The last fingerprint about a thing is
what the thing must have now; a thing without one, and a fingerprint without its thing, are both broken. Nothing is
repaired here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Select, select

from casemate.catalog import apikeys, entries, people, projects, runs, schema
from casemate.catalog.journal import Head, verify
from casemate.catalog.site import Site
from casemate.catalog.text import fingerprint, sha256
from casemate.errors import JournalBroken

_ROWS_AT_ONCE = 1000


def audit(connection: Connection, site: Site, expected: Head | None) -> Head:
    """Where the chain ends, after everything holds; JournalBroken that names the first thing that does not."""
    vouched: dict[str, str] = {}
    head = verify(_lines(connection, vouched), expected)
    for name, about, record in _things(connection, site):
        last = vouched.pop(about, None)
        found = fingerprint(record)
        if last != found:
            raise JournalBroken(name, expected=last or "no such thing: no line of the journal tells of it", found=found)
    for about, record_hash in vouched.items():
        raise JournalBroken(about, expected=record_hash, found="nothing of that name or identifier")
    return head


def _lines(connection: Connection, vouched: dict[str, str]) -> Iterator[str]:
    for row in _stream(connection, select(schema.journal).order_by(schema.journal.c.position)):
        act: dict[str, Any] = json.loads(row.line) if sha256(row.line) == row.hash else {}
        columns = {key: act.get(key) for key in ("id", "time", "marking", "actor", "verb", "about")}
        if columns != {key: getattr(row, key) for key in columns}:
            raise JournalBroken(f"journal line {row.position}", expected="its columns to say the same", found="others")
        if act["record"]:
            vouched[act["about"]] = act["record"]
        yield row.line


def _things(connection: Connection, site: Site) -> Iterator[tuple[str, str, dict[str, Any]]]:
    parents: dict[str, list[str]] = {}
    lowered = set[str]()
    links = select(schema.lineage).order_by(schema.lineage.c.child, schema.lineage.c.place)
    for link in _stream(connection, links):
        parents.setdefault(link.child, []).append(link.parent)
        lowered |= {link.child} if link.place == entries.LOWERED else set()
    for row in _stream(connection, select(schema.entry)):
        record = entries.record_of(row, parents.get(row.id, []), lowered=row.id in lowered)
        yield f"{row.kind} {row.name} ({row.id})", row.id, record
    for row in _stream(connection, select(schema.run)):
        yield f"run {row.id}", row.id, runs.record_of(row)
    for row in connection.execute(select(schema.project)).all():
        yield f"project {row.name} ({row.id})", row.id, projects.load(connection, site, row).record()
    for person in people.everybody(connection, site):
        yield f"person {person.name}", person.name, person.record()
    for key in apikeys.everything(connection, site):
        yield f"API key {key.id}", key.id, apikeys.record(key)


def _stream(connection: Connection, query: Select[Any]) -> Iterator[Any]:
    yield from connection.execution_options(yield_per=_ROWS_AT_ONCE).execute(query)
