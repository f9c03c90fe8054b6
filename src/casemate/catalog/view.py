"""What one reader sees of the catalog: the only way to list, find or count.

Rules. Every public method is a read, starts from the markings that the reader's clearance dominates and their session's
ceiling admits, and answers exactly as a catalog would that never held anything else: the same entries, order, counts,
cursors and errors. Reading writes nothing. A new method needs its line in the law of non-interference
(`tests/catalog/test_non_interference.py`), which fails until it has one.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select

from casemate.catalog import apikeys, entries, journal, lineage, passages, people, projects, runs, schema
from casemate.catalog.apikeys import ApiKey
from casemate.catalog.database import Database
from casemate.catalog.entries import Entry
from casemate.catalog.journal import JournalLine
from casemate.catalog.lineage import Lineage
from casemate.catalog.paging import PAGE_LIMIT, Where, among, newest_first
from casemate.catalog.passages import Channel, Passage
from casemate.catalog.people import Person
from casemate.catalog.projects import Project
from casemate.catalog.runs import Run
from casemate.catalog.site import Reader, Site
from casemate.catalog.text import is_id, is_id_prefix
from casemate.errors import BadInput, NotAllowed, NotFound
from casemate.markings import Marking
from casemate.markings.policy import fold
from casemate.store.digest import Digest

_CANDIDATES = 20


@dataclass(frozen=True)
class EntryPage:
    """Entries, newest first, and the cursor of the next page (None: there is no more)."""

    entries: tuple[Entry, ...]
    after: str | None


@dataclass(frozen=True)
class RunPage:
    """Runs, newest first, and the cursor of the next page (None: there is no more)."""

    runs: tuple[Run, ...]
    after: str | None


@dataclass(frozen=True)
class JournalPage:
    """Lines of the journal, newest first, and the cursor of the next page (None: there is no more)."""

    lines: tuple[JournalLine, ...]
    after: str | None


@dataclass(frozen=True)
class Facets:
    """How many entries the reader sees, in all and by kind, project and marking."""

    total: int
    kinds: Mapping[str, int]
    projects: Mapping[str, int]
    markings: Mapping[str, int]


@dataclass(frozen=True)
class View:
    """The catalog as one reader sees it; made by `Catalog.seen_by`."""

    reader: Reader
    _database: Database
    _site: Site

    def get(self, text: str) -> Entry:
        """The entry with this whole identifier or this digest; NotFound, or BadInput if entries share the digest."""
        with self._seen() as (connection, seen):
            if not is_id(text) and not text.startswith("sha256:"):
                raise entries.none_such(text)
            return self._only(connection, seen, text, [_identified(text, seen)], ())

    def find(self, text: str, *, kind: str | None = None, project: str | None = None) -> Entry:
        """The one entry that `text` names: a name, project/name, the beginning of an identifier, or a digest.

        NotFound if there is none, BadInput that lists the candidates if there are several.
        """
        with self._seen() as (connection, seen):
            where = self._filters(connection, seen, kind, project, None)
            if is_id(text) or text.startswith("sha256:"):
                return self._only(connection, seen, text, [_identified(text, seen)], where)
            owner, slash, name = text.rpartition("/")
            where += self._filters(connection, seen, None, owner, None) if slash else ()
            table = schema.entry
            ways = [and_(table.c.name == unicodedata.normalize("NFC", name), table.c.marking.in_(seen))]
            if is_id_prefix(text):
                ways.append(and_(table.c.id >= text, table.c.id < text + "~", among(table.c.marking, seen)))
            return self._only(connection, seen, text, ways, where)

    def list(
        self,
        *,
        kind: str | None = None,
        project: str | None = None,
        text: str | None = None,
        limit: int = 100,
        after: str | None = None,
    ) -> EntryPage:
        """A page of entries, newest first; `text` is looked for in names, without regard to case and accents."""
        with self._seen() as (connection, seen):
            where = self._filters(connection, seen, kind, project, text)
            page = newest_first(connection, schema.entry, seen, where, limit=limit, after=after)
            return EntryPage(tuple(entries.load(connection, self._site, seen, page.ids)), page.after)

    def walk(self, *, kind: str | None = None, project: str | None = None, text: str | None = None) -> Iterator[Entry]:
        """Every entry, newest first, a page at a time: nothing is held longer than its page."""
        page = self.list(kind=kind, project=project, text=text, limit=PAGE_LIMIT)
        yield from page.entries
        while page.after is not None:
            page = self.list(kind=kind, project=project, text=text, limit=PAGE_LIMIT, after=page.after)
            yield from page.entries

    def count(self, *, kind: str | None = None, project: str | None = None, text: str | None = None) -> int:
        """How many entries there are."""
        with self._seen() as (connection, seen):
            where = self._filters(connection, seen, kind, project, text)
            query = select(func.count()).select_from(schema.entry).where(schema.entry.c.marking.in_(seen), *where)
            return int(connection.execute(query).scalar_one())

    def facets(self, *, text: str | None = None) -> Facets:
        """How many entries there are by kind, project and marking, counted for each marking and added up."""
        with self._seen() as (connection, seen):
            table, owner = schema.entry, schema.project
            where = [table.c.marking.in_(seen), *self._filters(connection, seen, None, None, text)]
            groups = (table.c.marking, table.c.project, table.c.kind)
            counts = connection.execute(select(*groups, func.count()).where(*where).group_by(*groups)).all()
            named = select(owner.c.id, owner.c.name).where(owner.c.marking.in_(seen))
            names = {row.id: row.name for row in connection.execute(named)}
        kinds, owners, markings = Counter[str](), Counter[str](), Counter[str]()
        for marking, project, kind, number in counts:
            kinds[kind] += number
            owners[names[project]] += number
            markings[marking] += number
        return Facets(kinds.total(), _sorted(kinds), _sorted(owners), _sorted(markings))

    def lineage(self, entry_id: str) -> Lineage:
        """What an entry was made from and what was made from it; NotFound."""
        with self._seen() as (connection, seen):
            return lineage.lineage(connection, self._site, seen, entry_id)

    def runs(
        self, *, state: str | None = None, project: str | None = None, limit: int = 100, after: str | None = None
    ) -> RunPage:
        """A page of runs, newest first."""
        with self._seen() as (connection, seen):
            where: tuple[ColumnElement[bool], ...] = () if state is None else (schema.run.c.state == state,)
            if project is not None:
                found = projects.named(connection, self._site, seen, project)
                where += (schema.run.c.project.in_([p.id for p in found]),)
            page = newest_first(connection, schema.run, seen, where, limit=limit, after=after)
            return RunPage(tuple(runs.load(connection, self._site, seen, page.ids)), page.after)

    def run(self, text: str) -> Run:
        """The run whose identifier is or begins with `text`; NotFound, or BadInput if several begin so."""
        with self._seen() as (connection, seen):
            return runs.get(connection, self._site, seen, text)

    def passages(self, peer: str, direction: str, marking: Marking) -> tuple[Passage, ...]:
        """The bundles that passed on a channel, by number; none for who may not read the channel's marking."""
        with self._seen() as (connection, _):
            return passages.of_channel(connection, self._site, Channel(peer, direction, marking), self.reader)

    def projects(self) -> tuple[Project, ...]:
        """The projects, by name."""
        with self._seen() as (connection, seen):
            return projects.seen(connection, self._site, seen)

    def project(self, text: str) -> Project:
        """The project with this name or identifier; NotFound, or BadInput that lists those that share the name."""
        with self._seen() as (connection, seen):
            return projects.one(projects.named(connection, self._site, seen, text), text)

    def people(self) -> tuple[Person, ...]:
        """Everybody, by name, for officers; NotAllowed for anybody else, because a clearance is itself sensitive."""
        with self._seen() as (connection, _):
            if not people.is_officer(connection, self._site, self.reader):
                name = self.reader.person_name
                raise NotAllowed("list of people", expected="the role officer", found=f"{name} without it")
            return people.everybody(connection, self._site)

    def person(self, name: str) -> Person:
        """One's own record, or anybody's for officers; NotFound otherwise, whether the person exists or not."""
        with self._seen() as (connection, _):
            if name != self.reader.person_name and not people.is_officer(connection, self._site, self.reader):
                raise NotFound(name, expected="a person that you may read", found="none")
            return people.get(connection, self._site, name)

    def api_keys(self) -> tuple[ApiKey, ...]:
        """One's own API keys, or for officers everybody's, the oldest first."""
        with self._seen() as (connection, seen):
            return apikeys.visible(connection, self._site, seen, self.reader)

    def journal(self, *, about: str | None = None, limit: int = 100, after: str | None = None) -> JournalPage:
        """A page of the journal, newest first; `about` keeps the lines about one entry, run, project or person.

        What was done to other people's records and keys is for officers, as the records are.
        """
        with self._seen() as (connection, seen):
            table = schema.journal
            where = journal.of_what_is_seen(seen)
            where += () if about is None else (table.c.about == about,)
            if not people.is_officer(connection, self._site, self.reader):
                own = table.c.about == self.reader.person_name
                where += (or_(own, ~table.c.verb.startswith("person.", autoescape=True)),)
                keys = or_(table.c.actor == self.reader.person_name, apikeys.about_ones_own(self.reader))
                where += (or_(keys, ~table.c.verb.startswith("apikey.", autoescape=True)),)
            page = newest_first(connection, table, seen, where, limit=limit, after=after)
            query = select(table.c.id, table.c.line).where(table.c.id.in_(page.ids))
            lines = {row.id: journal.read(row.line) for row in connection.execute(query)}
            return JournalPage(tuple(lines[i] for i in page.ids), page.after)

    @contextmanager
    def _seen(self) -> Iterator[tuple[Connection, tuple[str, ...]]]:
        """One moment of the database, and the markings of which the reader sees everything and nothing else."""
        with self._database.reading() as connection:
            yield connection, self._site.seen_by(connection, self.reader)

    def _only(
        self,
        connection: Connection,
        seen: tuple[str, ...],
        text: str,
        ways: Sequence[ColumnElement[bool]],
        where: Where,
    ) -> Entry:
        """The one entry that is found in one of these ways, each of which starts from the markings seen."""
        ids = {i for way in ways for i in connection.execute(select(schema.entry.c.id).where(way, *where)).scalars()}
        found = entries.load(connection, self._site, seen, sorted(ids))
        if not found:
            raise entries.none_such(text)
        if len(found) > 1:
            listed = sorted(found, key=lambda entry: (entry.created, entry.id))[:_CANDIDATES]
            raise BadInput(text, expected="one entry", found=f"{len(found)}: {'; '.join(map(str, listed))}")
        return found[0]

    def _filters(
        self, connection: Connection, seen: tuple[str, ...], kind: str | None, project: str | None, text: str | None
    ) -> tuple[ColumnElement[bool], ...]:
        table = schema.entry
        where: tuple[ColumnElement[bool], ...] = ()
        if kind is not None:
            where += (table.c.kind == kind,)
        if project is not None:
            found = projects.named(connection, self._site, seen, project)
            where += (table.c.project.in_([p.id for p in found]),)
        if text:
            where += (table.c.folded.contains(fold(text), autoescape=True),)
        return where


def _identified(text: str, seen: Sequence[str]) -> ColumnElement[bool]:
    table = schema.entry
    if text.startswith("sha256:"):
        return and_(table.c.digest == str(Digest.parse(text)), table.c.marking.in_(seen))
    return and_(table.c.id == text, among(table.c.marking, seen))


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
