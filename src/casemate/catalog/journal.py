"""The journal: every act and every refusal, append-only, chained by hashes, for `cat` and `sha256sum` to read.

Rules. A line is one JSON object in canonical form; its hash is the SHA-256 of the line without its newline, and the
next line carries it as `previous`. A signature is over the act, which is the line without `previous` and `signature`:
it can be shown to a reader without telling where in the chain the line stands. What is cut off at the end shows
only against a head (count and hash) kept elsewhere: the site signs heads. Readers see acts, never positions or hashes:
those would count what is above them. Lines that come together are written together: each is whole, and signed, before
it waits, and a commit, which waits for the disk, ends all of them or none.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, TextIO

from sqlalchemy import ColumnElement, Connection, exists, select

from casemate.catalog import schema
from casemate.catalog.database import Database
from casemate.catalog.site import Reader, Site, note
from casemate.catalog.text import canonical, new_id, sha256, time_text
from casemate.catalog.together import Together
from casemate.errors import BadInput, JournalBroken
from casemate.markings import Marking

Sign = Callable[[bytes], Mapping[str, Any]]

BEGINNING = "0" * 64
OUTCOMES = ("done", "refused")
_SUBJECT_LIMIT, _REASON_LIMIT = 500, 4000
_SEALS = frozenset({"previous", "signature"})
_INSERT = schema.journal.insert()
_LAST = select(schema.journal.c.position, schema.journal.c.hash).order_by(schema.journal.c.position.desc()).limit(1)


@dataclass(frozen=True)
class Act:
    """Who did what to what, how it ended and why; `record` is the fingerprint of what was written, if anything was."""

    id: str
    time: str
    actor: str
    verb: str
    subject: str
    outcome: str
    reason: str
    marking: str
    about: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    record: str = ""

    def to_json(self) -> bytes:
        """The bytes that are signed."""
        return canonical(asdict(self), thing="act").encode()


@dataclass(frozen=True)
class JournalLine:
    """An act as a reader sees it, with the signature of who did it, if it was signed."""

    act: Act
    signature: Mapping[str, Any] | None


@dataclass(frozen=True)
class Head:
    """How many lines a journal has and the hash of the last one: what a site signs so that no end is cut off unseen."""

    count: int
    hash: str


@dataclass(frozen=True)
class Journal:
    """The journal of an open catalog. Reading it as somebody is `catalog.seen_by(reader).journal()`."""

    database: Database
    site: Site
    _together: Together[Signed, JournalLine] = field(default_factory=Together, compare=False, repr=False)

    def append(
        self,
        by: Reader,
        verb: str,
        subject: str,
        *,
        outcome: str = "done",
        reason: str = "",
        marking: Marking | None = None,
        about: str = "",
        facts: Mapping[str, Any] | None = None,
        sign: Sign | None = None,
    ) -> JournalLine:
        """Write a line that is all of its act; without a marking it gets the highest that `by` may have read."""
        if outcome not in OUTCOMES:
            raise BadInput("outcome", expected=" or ".join(OUTCOMES), found=repr(outcome))
        admitted = self.site.highest(by) if marking is None else self.site.admit_from(marking, by, thing="journal line")
        act = written_by(
            self.site, by, verb, subject, outcome=outcome, reason=reason, marking=admitted, about=about, facts=facts
        )
        return self._together.write(signed(act, admitted, sign), self._written)

    def _written(self, lines: Sequence[Signed]) -> Sequence[JournalLine]:
        with self.database.writing() as connection:
            return append_all(connection, lines)

    def head(self) -> Head:
        """Where the chain ends now. Not for readers: it counts every line."""
        with self.database.reading() as connection:
            return head(connection)

    def lines(self) -> Iterator[str]:
        """Every line of the chain, for whoever keeps the database. Not for readers."""
        with self.database.reading() as connection:
            query = select(schema.journal.c.line).order_by(schema.journal.c.position)
            yield from connection.execution_options(yield_per=1000).execute(query).scalars()

    def export(self, file: TextIO) -> Head:
        """Write every line to `file`, even of a chain that does not hold: it is evidence. Not for readers."""
        count, last = 0, BEGINNING
        for line in self.lines():
            file.write(line + "\n")
            count, last = count + 1, sha256(line)
        return Head(count, last)

    def verify(self, expected: Head | None = None) -> Head:
        """Where the chain ends; JournalBroken that names the line if it does not hold or does not reach `expected`."""
        return verify(self.lines(), expected)


def written_by(
    site: Site,
    by: Reader,
    verb: str,
    subject: str,
    *,
    outcome: str,
    reason: str,
    marking: Marking,
    about: str = "",
    facts: Mapping[str, Any] | None = None,
    record: str = "",
) -> Act:
    """The act of `by`, now. A subject or a refusal that is too long is cut: both may echo hostile input."""
    if outcome == "done" and len(reason) > _REASON_LIMIT:
        raise BadInput("reason", expected=f"at most {_REASON_LIMIT} characters", found=f"{len(reason)} characters")
    return Act(
        id=new_id(site.chance),
        time=time_text(site.clock()),
        actor=by.person_name,
        verb=verb,
        subject=subject[:_SUBJECT_LIMIT],
        outcome=outcome,
        reason=reason[:_REASON_LIMIT],
        marking=str(marking),
        about=about,
        facts={**(facts or {}), **({"apikey": by.through} if by.through else {})},
        record=record,
    )


@dataclass(frozen=True)
class Signed:
    """A line but for its place in the chain."""

    act: Act
    marking: Marking
    said: Mapping[str, Any]
    signature: Mapping[str, Any] | None


def signed(act: Act, marking: Marking, sign: Sign | None) -> Signed:
    """An act ready to be written; `sign` is given its bytes."""
    act_json = act.to_json()
    return Signed(act, marking, json.loads(act_json), None if sign is None else dict(sign(act_json)))


def append(connection: Connection, act: Act, marking: Marking, sign: Sign | None) -> JournalLine:
    """Write a line at the end of the chain, inside the caller's writing transaction."""
    return append_all(connection, [signed(act, marking, sign)])[0]


def append_all(connection: Connection, lines: Sequence[Signed]) -> tuple[JournalLine, ...]:
    """Write lines at the end of the chain in their order, likewise."""
    last, rows = head(connection), []
    texts = {marking: note(connection, marking) for marking in {line.marking for line in lines}}
    for place, line in enumerate(lines, last.count + 1):
        seals = {"previous": last.hash} | ({} if line.signature is None else {"signature": line.signature})
        text = canonical({**line.said, **seals}, thing="journal line")
        last = Head(place, sha256(text))
        act = line.act
        rows.append({
            "position": place, "id": act.id, "time": act.time, "marking": texts[line.marking], "actor": act.actor,
            "verb": act.verb, "about": act.about, "line": text, "hash": last.hash,
        })  # fmt: skip
    connection.execute(_INSERT, rows)
    return tuple(JournalLine(Act(**line.said), line.signature) for line in lines)


def head(connection: Connection) -> Head:
    """Where the chain ends."""
    last = connection.execute(_LAST).first()
    return Head(0, BEGINNING) if last is None else Head(last.position, last.hash)


def read(line: str) -> JournalLine:
    """The act and the signature of a line, without its place in the chain."""
    values = json.loads(line)
    return JournalLine(Act(**{k: v for k, v in values.items() if k not in _SEALS}), values.get("signature"))


def of_what_is_seen(seen: Sequence[str]) -> tuple[ColumnElement[bool], ...]:
    """Lines but those about an entry or a run that is not at one of the markings `seen`.

    A line that was written before a thing was raised is marked as the thing was then.
    """
    above = select(schema.marking.c.text).where(schema.marking.c.text.not_in(seen)).cte("above")
    about = ((table.c.id == schema.journal.c.about, table.c.marking) for table in (schema.entry, schema.run))
    return tuple(~exists().where(same, marking.in_(select(above.c.text))) for same, marking in about)


def verify(lines: Iterable[str], expected: Head | None = None) -> Head:
    """Where a chain of lines ends; JournalBroken if one was changed, removed, moved or, up to `expected`, cut off."""
    count, previous = 0, BEGINNING
    for line in lines:
        count += 1
        _verify_line(line.removesuffix("\n"), count, previous)
        previous = sha256(line.removesuffix("\n"))
        if expected is not None and count == expected.count and previous != expected.hash:
            raise JournalBroken(f"journal line {count}", expected=expected.hash, found=previous)
    if expected is not None and count < expected.count:
        raise JournalBroken("journal", expected=f"at least {expected.count} lines", found=count)
    return Head(count, previous)


def _verify_line(line: str, count: int, previous: str) -> None:
    thing = f"journal line {count}"
    try:
        values = json.loads(line)
    except ValueError as why:
        raise JournalBroken(thing, expected="a line of JSON", found=why) from why
    if not isinstance(values, dict) or canonical(values) != line:
        raise JournalBroken(thing, expected="canonical JSON", found="another form")
    if values.get("previous") != previous:
        raise JournalBroken(thing, expected=f"previous {previous}", found=values.get("previous"))
