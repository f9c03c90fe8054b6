"""The front door of the catalog: open it, see it as somebody, write in it as somebody.

Rules. One act is one transaction: what is written and its line in the journal land together or not at all. A refused
act writes nothing but its refusal, in a transaction of its own. An act's line is marked like what was written; a
refusal's as high as its actor may have read, because its words may echo any of it. What `sign` returns goes into the
line: the signature of who acts, over the act.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, select

from casemate.catalog import apikeys, entries, journal, passages, people, projects, raising, runs, schema, spread
from casemate.catalog.apikeys import ApiKey, NewApiKey, Visit
from casemate.catalog.audit import audit
from casemate.catalog.changes import Changes
from casemate.catalog.database import Database
from casemate.catalog.entries import Entry, NewEntry
from casemate.catalog.journal import Head, Journal, Sign
from casemate.catalog.passages import Passage
from casemate.catalog.people import Person
from casemate.catalog.projects import Project
from casemate.catalog.raising import Change, Moved
from casemate.catalog.runs import NewRun, Run
from casemate.catalog.site import Reader, Site
from casemate.catalog.spread import Spread
from casemate.catalog.text import Chance, Clock, fingerprint, new_id
from casemate.catalog.view import View
from casemate.errors import NotFound, Refused
from casemate.markings import Marking, Policy

_T = TypeVar("_T")
_Move = Callable[[Connection, Site, Mapping[str, Marking], Reader], Iterable[Moved]]

JOURNALLED = "in the journal"  # the note on a refusal that has its line, so that nobody up the stack writes another


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class _Done(Generic[_T]):
    """What an act wrote: the value, the marking of its line, what the line is about, and the record to fingerprint.

    `subject` and `verb` are those of its own line, where the act has several.
    """

    value: _T
    marking: Marking
    about: str
    record: Mapping[str, Any]
    facts: Mapping[str, Any]
    subject: str = ""
    verb: str = ""


@dataclass(frozen=True)
class _Act:
    """Who does what to what, why, and how they sign."""

    by: Reader
    verb: str
    subject: str
    reason: str
    sign: Sign | None


@dataclass(frozen=True)
class Catalog:
    """An open catalog."""

    site: Site
    journal: Journal
    changes: Changes
    _database: Database

    @classmethod
    def open(
        cls,
        url: str,
        policy: Policy,
        *,
        ceiling: Marking | None = None,
        clock: Clock = _now,
        chance: Chance = secrets.token_bytes,
    ) -> Catalog:
        """Open the catalog at `url` (`sqlite:///PATH`), making or migrating its tables; `ceiling` is the site's."""
        site = Site(policy, ceiling, clock, chance)
        database = Database.open(url, clock)
        return cls(site, Journal(database, site), Changes(database), database)

    def close(self) -> None:
        """Give the connections back."""
        self._database.close()

    def seen_by(self, reader: Reader) -> View:
        """The catalog as `reader` sees it: the only way to list, find or count."""
        return View(reader, self._database, self.site)

    # ── Signing in: before there is a reader ─────────────────────────────────────────────────────────────────────────
    def sign_in(self, name: str) -> Person:
        """The record of `name`, for the caller to check their key against; NotFound. Nothing else may read it so."""
        with self._database.reading() as connection:
            return people.get(connection, self.site, name)

    def sign_in_by_key(self, keyid: str) -> Person:
        """The record of whose key is `keyid`, for the caller to check a signature with; NotFound."""
        with self._database.reading() as connection:
            return people.get_by_key(connection, self.site, keyid)

    def sign_in_by_secret(self, sha256: str) -> Visit | None:
        """What the records say of an API key by the SHA-256 (hexadecimal) of its secret; None if it is nobody's."""
        with self._database.reading() as connection:
            return apikeys.visit(connection, self.site, sha256)

    # ── Entries ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def register(self, new: NewEntry, *, by: Reader, reason: str = "", sign: Sign | None = None) -> Entry:
        """Write an entry, its lineage and its line in the journal, or none of them."""
        return self.register_all([new], by=by, reason=reason, sign=sign)[0]

    def register_all(
        self,
        news: Sequence[NewEntry],
        *,
        by: Reader,
        reason: str = "",
        sign: Sign | None = None,
        passed: Passage | None = None,
    ) -> tuple[Entry, ...]:
        """Write several entries, each with its line, or none of them; parents may be earlier ones of the same batch.

        `passed` is the bundle that they came in or went out with: its number is spent in the same act, or NameTaken.
        """

        def work(connection: Connection) -> Iterator[_Done[Entry]]:
            if passed is not None:
                passages.add(connection, self.site, passed, by)
            yield from self._registered(connection, news, by)

        return self._acts(_Act(by, "entry.register", ", ".join(map(str, news)), reason, sign), work)

    def new_id(self) -> str:
        """An identifier for an entry that is not registered yet (`NewEntry.id`)."""
        return new_id(self.site.chance)

    def register_lowered(
        self,
        new: NewEntry,
        *,
        of: str,
        by: Reader,
        reason: str,
        sign: Sign | None = None,
        also: Sequence[NewEntry] = (),
    ) -> Entry:
        """Write a copy of the entry `of` at a marking that is not as high, by an officer or a sponsor.

        The caller has verified that two people decided so: this room knows no signatures. The line in the journal is
        marked as high as both. `also` are entries that tell of it, written in the same act.
        """

        def work(connection: Connection) -> Iterator[_Done[Entry]]:
            entry, record, original = entries.register_lowered(connection, self.site, new, of, by)
            facts = {"digest": str(entry.digest), "of": of, "old": str(original.marking), "new": str(entry.marking)}
            yield _Done(entry, original.marking.join(entry.marking), entry.id, record, facts)
            yield from self._registered(connection, also, by)

        return self._acts(_Act(by, "entry.lower", str(new), reason, sign), work)[0]

    def registered(self, identifiers: Iterable[str]) -> frozenset[str]:
        """Which of these identifiers are of entries, whatever their marking. Not for readers: for whoever tidies up."""
        with self._database.reading() as connection:
            wanted = select(schema.entry.c.id).where(schema.entry.c.id.in_(list(identifiers)))
            return frozenset(connection.execute(wanted).scalars())

    # ── Spills ───────────────────────────────────────────────────────────────────────────────────────────────────────
    def spread(self, entry_ids: Iterable[str], *, by: Reader) -> Spread:
        """Entries and all that was made from them, for an officer cleared for the site's ceiling; nobody else."""
        with self._database.reading() as connection:
            return spread.spread(connection, self.site, entry_ids, by)

    def raise_markings(
        self,
        changes: Mapping[str, Marking],
        *,
        by: Reader,
        reason: str,
        sign: Sign | None = None,
        also: Sequence[NewEntry] = (),
    ) -> tuple[Change, ...]:
        """Raise entries and runs to at least these markings, all or none, by an officer cleared for the ceiling.

        What was made from them must be raised too (`spread` tells what that is). Only what changed is returned. `also`
        are entries that tell of it, written in the same act.
        """
        act = _Act(by, "entry.raise", ", ".join(changes), reason, sign)
        return self._moved(act, raising.raise_all, _raised, changes, also)

    def restore_markings(
        self,
        changes: Mapping[str, Marking],
        *,
        by: Reader,
        reason: str,
        sign: Sign | None = None,
        also: Sequence[NewEntry] = (),
    ) -> tuple[Change, ...]:
        """Set entries and runs back to markings that they had before they were raised, all or none, likewise."""
        act = _Act(by, "entry.restore", ", ".join(changes), reason, sign)
        return self._moved(act, raising.restore_all, _restored, changes, also)

    def _moved(
        self, act: _Act, move: _Move, told: Callable[[Moved], _Done[Change | Entry]], changes: Mapping[str, Marking],
        also: Sequence[NewEntry],
    ) -> tuple[Change, ...]:  # fmt: skip
        def work(connection: Connection) -> Iterator[_Done[Change | Entry]]:
            yield from map(told, move(connection, self.site, changes, act.by))
            yield from self._registered(connection, also, act.by)

        return tuple(one for one in self._acts(act, work) if isinstance(one, Change))

    # ── Runs ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def add_run(self, new: NewRun, *, by: Reader, reason: str = "", sign: Sign | None = None) -> Run:
        """Write a pending run."""

        def work(connection: Connection) -> _Done[Run]:
            return _run_done(connection, runs.add(connection, self.site, new, by))

        return self._act(_Act(by, "run.add", f"{new.kind} run in {new.project}", reason, sign), work)

    def change_run(
        self,
        run: str,
        *,
        by: Reader,
        state: str | None = None,
        facts: Mapping[str, Any] | None = None,
        reason: str = "",
        sign: Sign | None = None,
    ) -> Run:
        """Move a run to another state, add to its facts, or both."""

        def work(connection: Connection) -> _Done[Run]:
            return _run_done(connection, runs.change(connection, self.site, run, state, facts or {}, by))

        return self._act(_Act(by, f"run.{state or 'note'}", f"run {run}", reason, sign), work)

    # ── People and projects ──────────────────────────────────────────────────────────────────────────────────────────
    def enrol(self, person: Person, *, reason: str = "", sign: Sign | None = None) -> Person:
        """Write the first person of an empty site, an officer, who enrols themself."""
        act = _Act(Reader(person.name, person.clearance), "person.enrol", f"person {person.name}", reason, sign)
        return self._person(act, person, lambda connection: people.enrol(connection, self.site, person))

    def add_person(self, person: Person, *, by: Reader, reason: str = "", sign: Sign | None = None) -> Person:
        """Write a person, by an officer."""
        act = _Act(by, "person.add", f"person {person.name}", reason, sign)
        return self._person(act, person, lambda connection: people.add(connection, self.site, person, by))

    def change_person(self, person: Person, *, by: Reader, reason: str = "", sign: Sign | None = None) -> Person:
        """Replace the record of the person of that name, by an officer."""
        act = _Act(by, "person.change", f"person {person.name}", reason, sign)
        return self._person(act, person, lambda connection: people.change(connection, self.site, person, by))

    def _person(self, act: _Act, person: Person, write: Callable[[Connection], None]) -> Person:
        def work(connection: Connection) -> _Done[Person]:
            write(connection)
            written = people.get(connection, self.site, person.name)
            facts = {"clearance": str(written.clearance), "roles": sorted(written.roles), "keyid": written.keyid}
            return _Done(written, people.mark_of(self.site, written), written.name, written.record(), facts)

        return self._act(act, work)

    def add_project(
        self,
        name: str,
        marking: Marking,
        *,
        by: Reader,
        members: Iterable[str] = (),
        description: str = "",
        reason: str = "",
        sign: Sign | None = None,
    ) -> Project:
        """Write a project, by an officer who may read it."""

        def work(connection: Connection) -> _Done[Project]:
            return _project_done(projects.add(connection, self.site, name, marking, members, description, by))

        return self._act(_Act(by, "project.add", f"project {name}", reason, sign), work)

    def change_project(
        self,
        project: str,
        *,
        by: Reader,
        members: Iterable[str],
        description: str | None = None,
        reason: str = "",
        sign: Sign | None = None,
    ) -> Project:
        """Replace the members of a project (and its description, unless None), by an officer who may read it."""

        def work(connection: Connection) -> _Done[Project]:
            return _project_done(projects.change(connection, self.site, project, members, description, by))

        return self._act(_Act(by, "project.change", f"project {project}", reason, sign), work)

    # ── API keys ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def add_api_key(self, new: NewApiKey, *, by: Reader, sign: Sign | None = None) -> ApiKey:
        """Write an API key of who acts, for a project of which they are a member."""

        def work(connection: Connection) -> _Done[ApiKey]:
            return _key_done(apikeys.add(connection, self.site, new, by))

        return self._act(_Act(by, "apikey.add", f"API key {new.label}", "", sign), work)

    def revoke_api_key(self, key_id: str, *, by: Reader, reason: str = "", sign: Sign | None = None) -> ApiKey:
        """End an API key, by its owner or an officer."""

        def work(connection: Connection) -> _Done[ApiKey]:
            return _key_done(apikeys.revoke(connection, self.site, key_id, by))

        return self._act(_Act(by, "apikey.revoke", f"API key {key_id}", reason, sign), work)

    # ── Proof ────────────────────────────────────────────────────────────────────────────────────────────────────────
    def verify(self, expected: Head | None = None) -> Head:
        """Verify the journal's chain, then every entry, run, project and person against it. Not for readers.

        JournalBroken names the first thing that does not hold; `expected` is a head that was kept elsewhere.
        """
        with self._database.reading() as connection:
            return audit(connection, self.site, expected)

    def _registered(self, connection: Connection, news: Sequence[NewEntry], by: Reader) -> Iterator[_Done[Any]]:
        for new in news:
            entry, record = entries.register(connection, self.site, new, by)
            facts = {"digest": str(entry.digest)}
            yield _Done(entry, entry.marking, entry.id, record, facts, str(new), "entry.register")

    def _act(self, act: _Act, work: Callable[[Connection], _Done[_T]]) -> _T:
        return self._acts(act, lambda connection: [work(connection)])[0]

    def _acts(self, act: _Act, work: Callable[[Connection], Iterable[_Done[_T]]]) -> tuple[_T, ...]:
        """All that `work` does, each part with its line, in one transaction; or the refusal of the whole."""
        by, sign = act.by, act.sign
        values: list[_T] = []
        try:
            with self._database.writing() as connection:
                for done in work(connection):
                    line = journal.written_by(
                        self.site, by, done.verb or act.verb, done.subject or act.subject, outcome="done",
                        reason=act.reason, marking=done.marking, about=done.about, facts=done.facts,
                        record=fingerprint(done.record),
                    )  # fmt: skip
                    journal.append(connection, line, done.marking, sign)
                    values.append(done.value)
            return tuple(values)
        except (Refused, NotFound) as no:
            self.journal.append(by, act.verb, act.subject, outcome="refused", reason=str(no), sign=sign)
            no.add_note(JOURNALLED)
            raise


def _raised(moved: Moved) -> _Done[Change | Entry]:
    return _move_done(moved, "raise", moved.change.new)


def _restored(moved: Moved) -> _Done[Change | Entry]:
    return _move_done(moved, "restore", moved.change.old)  # its line tells of both markings


def _move_done(moved: Moved, verb: str, marking: Marking) -> _Done[Change | Entry]:
    change = moved.change
    verb = f"{'run' if change.is_run else 'entry'}.{verb}"
    return _Done(change, marking, change.id, moved.record, change.facts(), str(change), verb)


def _project_done(project: Project) -> _Done[Project]:
    return _Done(project, project.marking, project.id, project.record(), {"members": sorted(project.members)})


def _key_done(key: ApiKey) -> _Done[ApiKey]:
    return _Done(key, key.marking, key.id, apikeys.record(key), apikeys.facts(key))


def _run_done(connection: Connection, run: Run) -> _Done[Run]:
    row = connection.execute(select(schema.run).where(schema.run.c.id == run.id)).one()
    facts = {"state": run.state, "plan": str(run.plan_digest)}
    return _Done(run, run.marking, run.id, runs.record_of(row), facts)
