"""in-toto statements (v1): what is said (the predicate) about which bytes (the subjects).

Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md. Subjects are named by SHA-256. Instants
inside predicates are RFC 3339 in UTC, to the second. Statements are canonical JSON, so that the digest of a statement
is the SHA-256 of its file.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from casemate.errors import BadInput
from casemate.signing.canonical import Door, dump, load, shorten

PAYLOAD_TYPE = "application/vnd.in-toto+json"
STATEMENT_TYPE: Literal["https://in-toto.io/Statement/v1"] = "https://in-toto.io/Statement/v1"
_INSTANT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Subject:
    """A thing the statement is about: its name and the SHA-256 of its bytes (64 lower hex digits)."""

    name: str
    digest: str


@dataclass(frozen=True)
class Statement:
    """A claim of one type about one or more subjects."""

    predicate_type: str
    subjects: tuple[Subject, ...]
    predicate: Mapping[str, Any]

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        subjects = [{"name": s.name, "digest": {"sha256": s.digest}} for s in self.subjects]
        return dump(
            {
                "_type": STATEMENT_TYPE,
                "predicateType": self.predicate_type,
                "subject": subjects,
                "predicate": dict(self.predicate),
            }
        )

    @classmethod
    def from_json(cls, data: bytes, *, thing: str = "statement") -> Statement:
        """A statement from canonical JSON; BadInput naming `thing` and its field for anything else."""
        raw = _StatementJson.enter(load(data, thing), thing)
        return cls(raw.predicate_type, tuple(Subject(s.name, s.digest.sha256) for s in raw.subject), raw.predicate)

    @property
    def hex(self) -> str:
        """SHA-256 of the statement's canonical JSON."""
        return hashlib.sha256(self.to_json()).hexdigest()


def instant_text(instant: datetime) -> str:
    """`instant` as RFC 3339 in UTC, to the second; BadInput for a time without its zone."""
    return aware(instant).strftime(_INSTANT)


def read_instant(text: str, thing: str) -> datetime:
    """The instant of an RFC 3339 text in UTC; BadInput naming `thing` otherwise."""
    try:
        instant = datetime.strptime(text, _INSTANT).replace(tzinfo=UTC)
    except ValueError as why:
        raise BadInput(thing, expected="an instant like 2030-01-31T12:00:00Z", found=shorten(repr(text))) from why
    if instant_text(instant) != text:
        raise BadInput(thing, expected="an instant like 2030-01-31T12:00:00Z", found=shorten(repr(text)))
    return instant


def aware(instant: datetime) -> datetime:
    """`instant` in UTC; BadInput for a time without its zone, which would mean another instant elsewhere."""
    if instant.tzinfo is None:
        raise BadInput("instant", expected="a time with its zone", found=instant.isoformat())
    return instant.astimezone(UTC)


class _DigestJson(Door):
    sha256: str = Field(pattern=r"^[0-9a-f]{64}\z")


class _SubjectJson(Door):
    name: Annotated[str, Field(min_length=1, max_length=4096)]
    digest: _DigestJson


class _StatementJson(Door):
    type_: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    predicate_type: str = Field(alias="predicateType", min_length=1, max_length=256)
    subject: list[_SubjectJson] = Field(min_length=1, max_length=100_000)
    predicate: dict[str, Any]
