"""How far a catalog has changed, so that what was read may be kept while nothing new was written.

Rules. An act that writes leaves a line in the journal with the fingerprint of what it wrote (`record`), in the same
transaction; a line without one is all that its act left. So the number moves with every change, whichever process made
it, and what was read at one number is what would be read now while it stays. Lines are looked at again only once the
database says that something was committed. It counts what is above its reader: it is shown to nobody, and what is kept
by it is kept for each reader apart.
"""

from __future__ import annotations

import json
import threading
from typing import Generic, TypeVar

from sqlalchemy import bindparam, func, select

from casemate.catalog import schema
from casemate.catalog.database import Database

_K = TypeVar("_K")
_V = TypeVar("_V")
_MOST_LOOKED_AT = 200  # lines; where there are more, something will have changed
_LAST = select(func.max(schema.journal.c.position))
_SINCE = (
    select(schema.journal.c.position, schema.journal.c.line)
    .where(schema.journal.c.position > bindparam("seen"))
    .order_by(schema.journal.c.position)
    .limit(_MOST_LOOKED_AT)
)


class Changes:
    """The number of an open catalog; safe for several threads."""

    def __init__(self, database: Database) -> None:
        """Begin with nothing seen."""
        self._database, self._lock = database, threading.Lock()
        self._version: int | None = None
        self._seen = self._number = -1

    def number(self) -> int:
        """A number that is another once anything was written; what it was before never comes back."""
        with self._lock:
            version = (
                self._database.watch.version()
            )  # before the lines are read: what comes between is looked at next time
            if version is None or version != self._version:
                self._look()
                self._version = version
            return self._number

    def _look(self) -> None:
        with self._database.reading() as connection:
            lines = [] if self._seen < 0 else connection.execute(_SINCE, {"seen": self._seen}).all()
            if self._seen < 0 or len(lines) == _MOST_LOOKED_AT:
                self._seen = self._number = connection.execute(_LAST).scalar_one() or 0
            elif lines:
                self._seen = lines[-1].position
                self._number = self._seen if any(_writes(row.line) for row in lines) else self._number


class Kept(Generic[_K, _V]):
    """Values by key, all of one number; what is of an older one is forgotten. Safe for several threads."""

    def __init__(self, most: int = 256) -> None:
        """Keep so many values at most."""
        self._most, self._lock = most, threading.Lock()
        self._number = -1
        self._values: dict[_K, _V] = {}

    def get(self, number: int, key: _K) -> _V | None:
        """What was kept under a key at this number."""
        with self._lock:
            return self._values.get(key) if number == self._number else None

    def put(self, number: int, key: _K, value: _V) -> _V:
        """Keep a value that was read after the number was, and give it back."""
        with self._lock:
            if number > self._number:
                self._number, self._values = number, {}
            if number == self._number:
                if len(self._values) >= self._most and key not in self._values:
                    del self._values[next(iter(self._values))]
                self._values[key] = value
        return value


def _writes(line: str) -> bool:
    return bool(json.loads(line).get("record"))
