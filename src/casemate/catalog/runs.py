"""Runs: executions of plans, and the states that they pass through.

Rules. A run is marked at least as high as what it reads. Its state moves only along the arrows below; every move is a
line in the journal. A run that failed or was cancelled may be taken up again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from casemate.catalog import entries, people, projects, schema
from casemate.catalog.paging import among
from casemate.catalog.site import Reader, Site, at_least, note
from casemate.catalog.text import canonical, is_id_prefix, new_id, time_of, time_text
from casemate.errors import BadInput, NotFound
from casemate.markings import Marking
from casemate.store.digest import Digest

RUN_KINDS = ("train", "evaluate")
MOVES: Mapping[str, frozenset[str]] = {
    "pending": frozenset({"running", "failed", "cancelled"}),
    "running": frozenset({"done", "failed", "cancelled"}),
    "failed": frozenset({"running"}),
    "cancelled": frozenset({"running"}),
    "done": frozenset(),
}
_ENDED = frozenset({"done", "failed", "cancelled"})


@dataclass(frozen=True)
class NewRun:
    """What is about to be run; `inputs` are the identifiers of the entries that it reads."""

    kind: str
    plan_digest: Digest
    project: str
    marking: Marking
    inputs: tuple[str, ...] = ()
    workdir: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """One execution of a plan."""

    id: str
    kind: str
    plan_digest: Digest
    project: str
    marking: Marking
    state: str
    author: str
    created: datetime
    started: datetime | None
    ended: datetime | None
    workdir: str
    inputs: tuple[str, ...]
    facts: Mapping[str, Any]

    def __str__(self) -> str:
        """Enough to tell it from others."""
        return f"{self.kind} run {self.id} in {self.project} at {self.marking}"


def add(connection: Connection, site: Site, new: NewRun, by: Reader) -> Run:
    """Write a pending run."""
    author = people.standing(connection, site, by)
    if new.kind not in RUN_KINDS:
        raise BadInput("kind of run", expected=f"one of {', '.join(RUN_KINDS)}", found=repr(new.kind))
    thing = f"{new.kind} run"
    facts = canonical(new.facts, thing=f"facts of {thing}")
    marking = site.admit_from(new.marking, by, thing=thing)
    seen = site.seen_by(connection, by)
    project = projects.acting_in(connection, site, seen, new.project, by)
    inputs = entries.made_from(connection, site, seen, new.inputs, thing=thing)
    at_least(marking, [project.marking, *(e.marking for e in inputs)], thing=thing)
    row = {
        "id": new_id(site.chance),
        "kind": new.kind,
        "plan_digest": str(new.plan_digest),
        "project": project.id,
        "marking": note(connection, marking),
        "state": "pending",
        "author": author.name,
        "created": time_text(site.clock()),
        "workdir": new.workdir,
        "inputs": json.dumps(list(new.inputs)),
        "facts": facts,
    }
    connection.execute(schema.run.insert().values(row))
    return get(connection, site, site.seen_by(connection, by), row["id"])  # its marking may be new to the site


def change(
    connection: Connection, site: Site, text: str, state: str | None, facts: Mapping[str, Any], by: Reader
) -> Run:
    """Move a run to `state` (None: leave it there) and add `facts` to its facts, by a member of its project."""
    people.standing(connection, site, by)
    seen = site.seen_by(connection, by)
    before = get(connection, site, seen, text)
    project = connection.execute(select(schema.run.c.project).where(schema.run.c.id == before.id)).scalar_one()
    projects.acting_in(connection, site, seen, project, by)
    if state is not None and state not in MOVES[before.state]:
        expected = " or ".join(sorted(MOVES[before.state])) or "no move from done"
        raise BadInput(f"run {before.id}, {before.state}", expected=expected, found=state)
    merged = canonical({**before.facts, **facts}, thing=f"facts of run {before.id}")
    values = {"facts": merged, **_times(before, state, time_text(site.clock()))}
    connection.execute(schema.run.update().where(schema.run.c.id == before.id).values(values))
    return get(connection, site, seen, before.id)


def get(connection: Connection, site: Site, seen: Sequence[str], text: str) -> Run:
    """The run whose identifier is or begins with `text`, at the markings `seen`."""
    if not is_id_prefix(text):
        raise NotFound(text, expected="a run that you may read", found="none")
    table = schema.run
    query = select(table.c.id).where(table.c.id >= text, table.c.id < text + "~", among(table.c.marking, seen))
    found = connection.execute(query.order_by(table.c.id).limit(2)).scalars().all()
    if not found:
        raise NotFound(text, expected="a run that you may read", found="none")
    if len(found) > 1:
        raise BadInput(text, expected="the beginning of one run's identifier", found="of several")
    return load(connection, site, seen, found)[0]


def load(connection: Connection, site: Site, seen: Sequence[str], ids: Sequence[str]) -> list[Run]:
    """The runs with these identifiers at the markings `seen`, in the order of `ids`."""
    query = select(schema.run, schema.project.c.name.label("project_name")).join(schema.project)
    query = query.where(schema.run.c.id.in_(ids), among(schema.run.c.marking, seen))
    rows = {row.id: row for row in connection.execute(query)}
    inputs = {entry.id for entry in entries.load(connection, site, seen, _inputs(rows.values()))}
    return [_run(site, rows[i], inputs) for i in ids if i in rows]


def record_of(row: Row[Any]) -> dict[str, Any]:
    """The record of a row of the table, as the journal fingerprints it."""
    return row._asdict()


def _inputs(rows: Sequence[Row[Any]] | Any) -> list[str]:
    return sorted({identifier for row in rows for identifier in json.loads(row.inputs)})


def _times(before: Run, state: str | None, now: str) -> dict[str, str | None]:
    if state is None:
        return {}
    started = None if before.started is None else time_text(before.started)
    if state == "running":
        started = started or now
    return {"state": state, "started": started, "ended": now if state in _ENDED else None}


def _run(site: Site, row: Row[Any], inputs: set[str]) -> Run:
    moments = {
        name: None if getattr(row, name) is None else time_of(getattr(row, name)) for name in ("started", "ended")
    }
    return Run(
        id=row.id,
        kind=row.kind,
        plan_digest=Digest.parse(row.plan_digest),
        project=row.project_name,
        marking=site.marking(row.marking),
        state=row.state,
        author=row.author,
        created=time_of(row.created),
        started=moments["started"],
        ended=moments["ended"],
        workdir=row.workdir,
        inputs=tuple(i for i in json.loads(row.inputs) if i in inputs),
        facts=json.loads(row.facts),
    )
