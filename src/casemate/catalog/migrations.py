"""The numbered steps that make and change the tables, each applied once, under the writer's lock, and recorded.

Rules. A step that was released is never edited: its SHA-256 is recorded when it is applied and compared at every
opening. A catalog that a newer Casemate has changed is refused, not guessed at.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlalchemy import Connection, inspect, select

from casemate.catalog import schema
from casemate.catalog.text import Clock, time_text
from casemate.errors import NotTrusted, Unavailable


@dataclass(frozen=True)
class Migration:
    """One step: portable SQL, then the tables that become append-only, then those of which only some columns change.

    `keeping` names, for a table that was append-only, the columns that stay so: its rows are still never removed.
    """

    number: int
    name: str
    statements: tuple[str, ...]
    append_only: tuple[str, ...] = ()
    keeping: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @property
    def sha256(self) -> str:
        """SHA-256 of what the step does, in hexadecimal."""
        kept = [word for table, columns in self.keeping for word in ("keeping", table, *columns)]
        told = [*self.statements, "append-only", *self.append_only, *kept]
        return hashlib.sha256("\0".join(told).encode()).hexdigest()


class Triggers(Protocol):
    """The statements with which a database keeps what was written from being changed or removed."""

    def append_only(self, table: str) -> list[str]:
        """Refuse every change and removal of a row."""

    def keeping(self, table: str, columns: Sequence[str]) -> list[str]:
        """Instead of every change, refuse those of `columns`; removals stay refused."""


MIGRATIONS = (
    Migration(
        1,
        "markings, people, projects, entries, lineage, runs, journal",
        (
            "CREATE TABLE marking (text VARCHAR NOT NULL PRIMARY KEY)",
            """CREATE TABLE person (name VARCHAR NOT NULL PRIMARY KEY, display VARCHAR NOT NULL,
            clearance VARCHAR NOT NULL, roles VARCHAR NOT NULL, keyid VARCHAR UNIQUE, public_key TEXT NOT NULL,
            active BOOLEAN NOT NULL)""",
            """CREATE TABLE project (id VARCHAR NOT NULL PRIMARY KEY, name VARCHAR NOT NULL,
            marking VARCHAR NOT NULL REFERENCES marking (text), description TEXT NOT NULL, created VARCHAR NOT NULL)""",
            # Polyinstantiation: a name is unique at a marking, so that a name that is taken above stays unknown below.
            "CREATE UNIQUE INDEX project_name ON project (name, marking)",
            """CREATE TABLE member (project VARCHAR NOT NULL REFERENCES project (id),
            person VARCHAR NOT NULL REFERENCES person (name), PRIMARY KEY (project, person))""",
            """CREATE TABLE entry (id VARCHAR NOT NULL PRIMARY KEY, kind VARCHAR NOT NULL, name VARCHAR NOT NULL,
            folded VARCHAR NOT NULL, project VARCHAR NOT NULL REFERENCES project (id),
            marking VARCHAR NOT NULL REFERENCES marking (text), digest VARCHAR NOT NULL, facts TEXT NOT NULL,
            author VARCHAR NOT NULL REFERENCES person (name), created VARCHAR NOT NULL)""",
            "CREATE UNIQUE INDEX entry_name ON entry (name, marking, project, kind)",
            "CREATE INDEX entry_digest ON entry (digest, marking)",
            "CREATE INDEX entry_newest ON entry (marking, created, id, folded)",
            "CREATE INDEX entry_newest_of_kind ON entry (marking, kind, created, id)",
            "CREATE INDEX entry_newest_of_project ON entry (marking, project, created, id)",
            "CREATE INDEX entry_facets ON entry (marking, project, kind, created, id)",
            """CREATE TABLE lineage (child VARCHAR NOT NULL REFERENCES entry (id),
            parent VARCHAR NOT NULL REFERENCES entry (id), place INTEGER NOT NULL, PRIMARY KEY (child, parent))""",
            "CREATE INDEX lineage_parent ON lineage (parent, child)",
            """CREATE TABLE run (id VARCHAR NOT NULL PRIMARY KEY, kind VARCHAR NOT NULL, plan_digest VARCHAR NOT NULL,
            project VARCHAR NOT NULL REFERENCES project (id), marking VARCHAR NOT NULL REFERENCES marking (text),
            state VARCHAR NOT NULL, author VARCHAR NOT NULL REFERENCES person (name), created VARCHAR NOT NULL,
            started VARCHAR, ended VARCHAR, workdir TEXT NOT NULL, inputs TEXT NOT NULL, facts TEXT NOT NULL)""",
            "CREATE INDEX run_newest ON run (marking, created, id)",
            """CREATE TABLE journal (position INTEGER NOT NULL PRIMARY KEY, id VARCHAR NOT NULL UNIQUE,
            time VARCHAR NOT NULL, marking VARCHAR NOT NULL REFERENCES marking (text), actor VARCHAR NOT NULL,
            verb VARCHAR NOT NULL, about VARCHAR NOT NULL, line TEXT NOT NULL, hash VARCHAR NOT NULL)""",
            "CREATE INDEX journal_newest ON journal (marking, time, id)",
            "CREATE INDEX journal_about ON journal (about, marking, time, id)",
        ),
        append_only=("marking", "entry", "lineage", "journal"),
    ),
    Migration(
        2,
        "an entry's marking may be raised, and its name with it",
        (),
        keeping=(("entry", ("id", "kind", "project", "digest", "facts", "author", "created")),),
    ),
    Migration(
        3,
        "the numbers of bundles on each channel",
        (
            """CREATE TABLE passage (peer VARCHAR NOT NULL, direction VARCHAR NOT NULL,
            marking VARCHAR NOT NULL REFERENCES marking (text), sequence INTEGER NOT NULL, manifest VARCHAR NOT NULL,
            previous VARCHAR NOT NULL, PRIMARY KEY (peer, direction, marking, sequence))""",
        ),
        append_only=("passage",),
    ),
    Migration(
        4,
        "keys of people's programs",
        (
            """CREATE TABLE apikey (id VARCHAR NOT NULL PRIMARY KEY,
            owner VARCHAR NOT NULL REFERENCES person (name), label VARCHAR NOT NULL,
            project VARCHAR NOT NULL REFERENCES project (id), marking VARCHAR NOT NULL REFERENCES marking (text),
            sha256 VARCHAR NOT NULL UNIQUE, scopes VARCHAR NOT NULL, ceiling VARCHAR, created VARCHAR NOT NULL,
            expires VARCHAR NOT NULL, revoked VARCHAR)""",
            "CREATE INDEX apikey_owner ON apikey (owner)",
        ),
        append_only=("apikey",),
        keeping=(
            (
                "apikey",
                ("id", "owner", "label", "project", "marking", "sha256", "scopes", "ceiling", "created", "expires"),
            ),
        ),
    ),
)


def migrate(connection: Connection, triggers: Triggers, clock: Clock) -> None:
    """Bring the tables up to date inside the caller's writing transaction."""
    if not inspect(connection).has_table("migration"):
        schema.migration.create(connection)
    applied = {r.number: r for r in connection.execute(select(schema.migration))}
    if applied and max(applied) > MIGRATIONS[-1].number:
        expected = f"at most migration {MIGRATIONS[-1].number}"
        raise Unavailable("catalog", expected=expected, found=f"{max(applied)}: a newer Casemate made it")
    for step in MIGRATIONS:
        if step.number not in applied:
            _apply(connection, step, triggers, clock)
        elif applied[step.number].sha256 != step.sha256:
            found = applied[step.number].sha256
            raise NotTrusted(f"migration {step.number} of the catalog", expected=step.sha256, found=found)


def up_to_date(connection: Connection) -> bool:
    """Whether every step has been applied as it stands here, so that opening needs no lock."""
    if not inspect(connection).has_table("migration"):
        return False
    applied = {(r.number, r.sha256) for r in connection.execute(select(schema.migration))}
    return applied == {(step.number, step.sha256) for step in MIGRATIONS}


def _apply(connection: Connection, step: Migration, triggers: Triggers, clock: Clock) -> None:
    walls = [*(s for table in step.append_only for s in triggers.append_only(table))]
    walls += [s for table, columns in step.keeping for s in triggers.keeping(table, columns)]
    for statement in [*step.statements, *walls]:
        connection.exec_driver_sql(statement)
    row = {"number": step.number, "name": step.name, "sha256": step.sha256, "applied": time_text(clock())}
    connection.execute(schema.migration.insert().values(row))
