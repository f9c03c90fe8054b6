"""What only SQLite knows: pragmas, how a transaction begins, append-only triggers, what its errors mean.

Rules. This is the one file to stand beside when another database is added. A committed act survives a power cut
(synchronous=FULL). A writer takes the lock when it begins, so that it never finds out late that somebody was faster. A
reader's connection refuses to write.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event
from sqlalchemy.exc import DBAPIError

from casemate.errors import DiskFull, NotTrusted, Unavailable

BUSY_TIMEOUT_S = 60
_KEPT_CONNECTIONS = 16
_PRAGMAS = (
    f"PRAGMA busy_timeout = {BUSY_TIMEOUT_S * 1000}",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA recursive_triggers = ON",  # else INSERT OR REPLACE removes a row without asking the triggers
)


def engine(url: URL) -> Engine:
    """An engine over the file that `url` names, made readable by its owner alone; no name means in memory."""
    if url.database in {None, "", ":memory:"}:
        made = create_engine(url, poolclass=StaticPool)
    else:
        _own(Path(str(url.database)))
        # As many as there are threads: who waits for a connection of others waits for the disk of others.
        made = create_engine(url, pool_size=_KEPT_CONNECTIONS, max_overflow=-1)
    event.listen(made, "connect", _connected)
    event.listen(made, "begin", _begun)
    return made


class Watch:
    """Whether anything was committed since the last look, by whoever; safe for several threads.

    In memory there is one connection, which cannot see its own commits: there, the answer is always that it may be so.
    """

    def __init__(self, engine: Engine) -> None:
        """Look at the database of `engine` by a connection of its own, which never writes."""
        self._engine, self._lock = engine, threading.Lock()
        self._connection: Any = None

    def version(self) -> int | None:
        """A number that is another after every commit; None where that cannot be known."""
        if self._engine.url.database in {None, "", ":memory:"}:
            return None
        with self._lock, translated(self._engine.url):
            if self._connection is None:
                self._connection = self._engine.raw_connection()
            return int(self._connection.cursor().execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Give the connection back."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def append_only(table: str) -> list[str]:
    """Triggers that refuse to change or remove a row of `table`: a second wall, behind an API that has no such verb."""
    return [
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
        for verb in ("UPDATE", "DELETE")
    ]


def keeping(table: str, columns: Sequence[str]) -> list[str]:
    """Triggers for a table that was append-only: its rows stay, and so do these columns of them."""
    changed = " OR ".join(f"NEW.{column} IS NOT OLD.{column}" for column in ("rowid", *columns))
    trigger = f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} WHEN {changed}"
    refusal = f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    return [f"DROP TRIGGER {table}_no_update", f"{trigger} {refusal}"]


@contextmanager
def translated(url: URL) -> Iterator[None]:
    """Turn what SQLite says about its surroundings into the errors of Casemate."""
    try:
        yield
    except DBAPIError as why:
        said = str(why.orig)
        code = getattr(why.orig, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            expected = f"the database to be free within {BUSY_TIMEOUT_S} s"
            raise Unavailable("catalog", expected=expected, found=said) from why
        if code == sqlite3.SQLITE_FULL:
            raise DiskFull("catalog", expected="room for the act", found=f"{said}{_room(url)}") from why
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise NotTrusted("catalog", expected="a whole SQLite database", found=said) from why
        if code in {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR}:
            raise Unavailable("catalog", expected="a database file that can be read and written", found=said) from why
        raise


def _room(url: URL) -> str:
    if url.database in {None, "", ":memory:"}:
        return ""
    room = os.statvfs(Path(str(url.database)).parent)
    return f", {room.f_bavail * room.f_frsize} bytes free"


def _own(file: Path) -> None:
    # A database that exists is never opened beside SQLite: closing it would drop this process's locks on it, which lets
    # another process write over its pages (https://sqlite.org/howtocorrupt.html, section 2.2).
    try:
        os.close(os.open(file, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        return
    except OSError as why:
        raise Unavailable("catalog", expected="a database file that can be read and written", found=why) from why


def _connected(connection: Any, _record: object) -> None:
    connection.isolation_level = None  # transactions begin when _begun says so, not when the driver guesses
    for pragma in _PRAGMAS:
        connection.execute(pragma)


def _begun(connection: Connection) -> None:
    writing = bool(connection.get_execution_options().get("writing", False))
    connection.exec_driver_sql(f"PRAGMA query_only = {0 if writing else 1}")
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")
