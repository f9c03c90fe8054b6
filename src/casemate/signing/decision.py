"""Decisions: each signed by one person, on exactly what that person saw.

Rules. A decision names its subjects by digest, and whose work it is about, so it cannot be carried over to anything
else. Whoever stands too near (the author) does not decide, nor does anybody twice, under whatever key. A rejection
closes the matter: the work comes back as another version, or the person signs anew. Gates and the airlock each have
their own matter; what a decision opens is theirs to say.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature, NotAllowed, Refused
from casemate.signing.canonical import Door, shorten
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.statement import Statement, Subject, aware, instant_text, read_instant
from casemate.signing.trust import Trust, TrustedKey, said

CLOCK_SKEW = timedelta(minutes=5)  # between the machines of a site; a decision from further ahead is refused
LEAST_PEOPLE = 2

Word = Literal["approve", "reject"]


@dataclass(frozen=True)
class Matter:
    """A kind of decision: its statement's type, what messages call it, its subjects, who decides, how a no is said."""

    predicate_type: str
    thing: str
    subjects: tuple[str, ...]
    roles: tuple[str, ...]
    closed: type[Refused]


@dataclass(frozen=True)
class Decision:
    """What one person decided on what they saw (SHA-256 in hex, in the matter's order) of an author's work, and why."""

    seen: tuple[str, ...]
    author: str
    word: Word
    reason: str
    by: str
    role: str
    at: datetime


def sign_decision(
    matter: Matter,
    seen: Sequence[str],
    pen: Signer,
    *,
    author: str,
    reason: str,
    role: str,
    trust: Trust,
    now: datetime,
    word: Word = "approve",
    apart: Collection[str] = (),
) -> Envelope:
    """Sign a decision; NotAllowed for the author and those in `apart`, BadSignature for a key without `role` now."""
    if role not in matter.roles:
        raise BadInput(f"{matter.thing} role", expected=" or ".join(matter.roles), found=shorten(role))
    if not reason.strip():
        raise BadInput(f"{matter.thing} reason", expected="a reason", found="none")
    key = trust.by_id(pen.public.keyid)
    key.check(role=role, now=now, thing=matter.thing)
    _refuse_near(matter, key.name, {author, *apart})
    return pen.sign(decision_statement(matter, Decision(tuple(seen), author, word, reason, key.name, role, aware(now))))


def decision_statement(matter: Matter, decision: Decision) -> Statement:
    """The decision as an in-toto statement about the matter's subjects."""
    subjects = tuple(Subject(name, digest) for name, digest in zip(matter.subjects, decision.seen, strict=True))
    predicate = {
        "author": decision.author,
        "decision": decision.word,
        "reason": decision.reason,
        "by": decision.by,
        "role": decision.role,
        "at": instant_text(decision.at),
    }
    return Statement(matter.predicate_type, subjects, predicate)


def read_decision(matter: Matter, envelope: Envelope, trust: Trust, *, now: datetime) -> tuple[Decision, TrustedKey]:
    """The decision in an envelope that its person signed with a key good for it at `now`; BadSignature otherwise."""
    key = trust.signer(envelope, thing=matter.thing)
    decision = _parse(matter, said(envelope, predicate_type=matter.predicate_type, thing=matter.thing))
    if decision.by != key.name:
        raise BadSignature(matter.thing, expected=f"a key of {decision.by}", found=f"a key of {key.name}")
    key.check(role=decision.role, now=now, thing=matter.thing)
    if decision.at > aware(now) + CLOCK_SKEW:
        latest, found = instant_text(now), instant_text(decision.at)
        raise BadSignature(f"{matter.thing} by {decision.by}", expected=f"no later than {latest}", found=found)
    return decision, key


def check_decisions(
    matter: Matter,
    envelopes: Sequence[Envelope],
    *,
    seen: Sequence[str],
    author: str,
    required: Iterable[tuple[str, int]],
    trust: Trust,
    now: datetime,
    apart: Collection[str] = (),
) -> tuple[Decision, ...]:
    """The decisions, one a person, if they are enough by role for what was `seen`; else the first fault is raised."""
    decisions = []
    for envelope in envelopes:
        decision, _ = read_decision(matter, envelope, trust, now=now)
        _refuse_near(matter, decision.by, {author, *apart})
        _refuse_other(matter, decision, seen, author)
        if decision.word == "reject":
            found = f"reject: {decision.reason}"
            raise matter.closed(f"{matter.thing} by {decision.by}", expected="approve", found=found)
        decisions.append(decision)
    people = [decision.by for decision in decisions]
    for place, person in enumerate(people):
        if person in people[:place]:
            raise NotAllowed(f"{matter.thing}s", expected="different people", found=f"{person} twice")
    _refuse_too_few(matter, decisions, dict(required))
    return tuple(decisions)


def _refuse_near(matter: Matter, person: str, near: Collection[str]) -> None:
    if person in near:
        thing = f"{matter.thing} by {person}"
        raise NotAllowed(thing, expected="somebody other than the author", found="the author")


def _refuse_other(matter: Matter, decision: Decision, seen: Sequence[str], author: str) -> None:
    for name, expected, found in zip(matter.subjects, seen, decision.seen, strict=True):
        if expected != found:
            thing = f"{matter.thing} by {decision.by}: {name}"
            raise BadSignature(thing, expected=f"sha256:{expected}", found=f"sha256:{found}")
    if decision.author != author:
        raise BadSignature(f"{matter.thing} by {decision.by}: author", expected=author, found=decision.author)


def _refuse_too_few(matter: Matter, decisions: Sequence[Decision], required: Mapping[str, int]) -> None:
    for role, count in sorted(required.items()):
        people = [decision.by for decision in decisions if decision.role == role]
        if len(people) < count:
            found = f"{len(people)} ({', '.join(people)})" if people else "0"
            expected = f"{count} by different people as {role}"
            raise matter.closed(f"{matter.thing}s", expected=expected, found=found)
    if len(decisions) < LEAST_PEOPLE:
        raise matter.closed(f"{matter.thing}s", expected=f"{LEAST_PEOPLE} by different people", found=len(decisions))


def _parse(matter: Matter, statement: Statement) -> Decision:
    raw = _DecisionJson.enter(dict(statement.predicate), matter.thing)
    if raw.role not in matter.roles:
        raise BadInput(f"{matter.thing} role", expected=" or ".join(matter.roles), found=shorten(raw.role))
    names = tuple(subject.name for subject in statement.subjects)
    if names != matter.subjects:
        expected = ", ".join(matter.subjects)
        raise BadInput(f"{matter.thing} subjects", expected=expected, found=shorten(", ".join(names)))
    seen = tuple(subject.digest for subject in statement.subjects)
    at = read_instant(raw.at, f"{matter.thing} at")
    return Decision(seen, raw.author, raw.decision, raw.reason, raw.by, raw.role, at)


class _DecisionJson(Door):
    author: str = Field(min_length=1, max_length=256)
    decision: Word
    reason: str = Field(min_length=1, max_length=10_000)
    by: str = Field(min_length=1, max_length=256)
    role: str
    at: str
