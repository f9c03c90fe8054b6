"""Transactions on the catalog's database: one to read, one to write.

Rules. A read sees one moment of the database from beginning to end. A write holds the only writer's lock from its
beginning, so what it checked still holds when it writes. Everything that one database does its own way is in the file
named after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError

from casemate.catalog import migrations, sqlite
from casemate.catalog.text import Clock
from casemate.errors import BadInput


@dataclass(frozen=True)
class Database:
    """An open database with its tables up to date."""

    engine: Engine

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
        database = cls(sqlite.engine(parsed))
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
        """The only writer; all of it lands, or nothing."""
        with sqlite.translated(self.engine.url), self.engine.connect() as plain:
            connection = plain.execution_options(writing=True)
            with connection.begin():
                yield connection

    def close(self) -> None:
        """Give the connections back."""
        self.engine.dispose()
