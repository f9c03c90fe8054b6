"""Pages of rows, newest first, of which what is above the reader is no part.

Rules. One index scan a marking that the reader sees, merged: rows above them are not even stepped over, so neither the
answer nor the time it takes depends on how many there are. A cursor holds the time and the identifier of the last row
of the page before: a place in what the reader saw, not in the table.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Select, Table, select, tuple_, union_all

from casemate.errors import BadInput

PAGE_LIMIT = 1000
_ARMS = 100  # SQLite takes at most 500 arms in one compound select
_PLACE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z) ([a-z2-7]{26})")
Where = Sequence[ColumnElement[bool]]


@dataclass(frozen=True)
class Slice:
    """Identifiers of one page, and the cursor after which the next one begins (None: there is no more)."""

    ids: tuple[str, ...]
    after: str | None


def newest_first(
    connection: Connection, table: Table, seen: Sequence[str], where: Where, *, limit: int, after: str | None
) -> Slice:
    """The rows of `table` at the markings `seen` that satisfy `where`; `table` has id, marking and a time."""
    if not 1 <= limit <= PAGE_LIMIT:
        raise BadInput("limit", expected=f"1 to {PAGE_LIMIT} lines a page", found=limit)
    time = table.c.get("created", table.c.get("time"))
    if time is None:
        raise RuntimeError(f"{table.name} has no time")
    conditions = list(where)
    if after is not None:
        conditions.append(tuple_(time, table.c.id) < tuple_(*_place(after)))
    found: list[tuple[str, str]] = []
    for start in range(0, len(seen), _ARMS):
        arms = [_arm(table, time, m, conditions, limit + 1) for m in seen[start : start + _ARMS]]
        found += [(row[0], row[1]) for row in connection.execute(union_all(*arms))]
    found.sort(reverse=True)
    page = found[:limit]
    cursor = _cursor(*page[-1]) if len(found) > limit else None
    return Slice(tuple(identifier for _, identifier in page), cursor)


def among(column: Column[str], seen: Sequence[str]) -> ColumnElement[bool]:
    """Whether a row found by its identifier is at one of the markings `seen`.

    The empty text keeps SQLite's planner from walking all of a marking instead of looking up the identifier.
    """
    return column.concat("").in_(seen)


def _arm(table: Table, time: Column[Any], marking: str, conditions: Where, limit: int) -> Select[Any]:
    scan = select(time, table.c.id).where(table.c.marking == marking, *conditions)
    newest = scan.order_by(time.desc(), table.c.id.desc()).limit(limit).subquery()
    return select(*newest.c)


def _cursor(time: str, identifier: str) -> str:
    return base64.urlsafe_b64encode(f"{time} {identifier}".encode()).decode("ascii")


def _place(cursor: str) -> tuple[str, str]:
    try:
        text = base64.b64decode(cursor, altchars=b"-_", validate=True).decode("ascii")
    except (ValueError, AttributeError, TypeError):
        text = ""
    match = _PLACE.fullmatch(text)
    if match is None:
        raise BadInput("cursor", expected="the cursor of a page before", found=repr(cursor))
    return match[1], match[2]
