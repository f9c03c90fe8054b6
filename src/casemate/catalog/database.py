"""Transactions on the catalog's database: one to read, one to write.

Rules. A read sees one moment of the database from beginning to end. A write holds the only writer's lock from its
beginning, so what it checked still holds when it writes. Writers of one process wait for one another here: the
database's own way of waiting is to look again now and then, by which some of many never come to their turn. Everything
that one database does its own way is in the file named after it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from casemate.catalog import migrations, sqlite
from casemate.catalog.text import Clock
from casemate.errors import BadInput, Unavailable


@dataclass(frozen=True)
class Database:
    """An open database with its tables up to date."""

    engine: Engine
    watch: sqlite.Watch
    _turn: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    @classmethod
    def open(cls, url: str, clock: Clock) -> Database:
        """Open what `url` names (`sqlite:///PATH`; `sqlite://` is in memory) and bring its tables up to date."""
        try:
            parsed = make_url(url)
        except ArgumentError as why:
            raise BadInput("database", expected="a URL such as sqlite:///PATH", found=repr(url)) from why
        if parsed.get_backend_name() != "sqlite":
            found = parsed.render_as_string(hide_password=True)
            raise BadInput("database", expected="a URL such as sqlite:///PATH", found=repr(found))
        engine = sqlite.engine(parsed)
        database = cls(engine, sqlite.Watch(engine))
        with database.reading() as connection:
            ready = migrations.up_to_date(connection)
        if not ready:
            with database.writing() as connection:
                migrations.migrate(connection, sqlite, clock)
        return database

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One consistent moment; writing is refused by the connection itself."""
        with sqlite.translated(self.engine.url), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """The only writer; all of it lands, or nothing. Unavailable where others write for too long."""
        if not self._turn.acquire(timeout=sqlite.BUSY_TIMEOUT_S):
            expected = f"the database to be free within {sqlite.BUSY_TIMEOUT_S} s"
            raise Unavailable("catalog", expected=expected, found="others still before you")
        try:
            with sqlite.translated(self.engine.url), self.engine.connect() as plain:
                connection = plain.execution_options(writing=True)
                with connection.begin():
                    yield connection
        finally:
            self._turn.release()

    def close(self) -> None:
        """Give the connections back."""
        self.watch.close()
        self.engine.dispose()
