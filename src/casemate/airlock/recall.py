"""Recall notices: what a site asks of another to which it sent something that turned out to be marked too low.

Rules. A notice travels at the marking of the bundle that it recalls, so it tells nothing that its receiver did not
have: numbers, identifiers and digests, and the new marking only where the receiver's ceiling admits it. No reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from typing import Any

from pydantic import Field

from casemate.errors import BadSignature
from casemate.signing.canonical import Door
from casemate.signing.envelope import Envelope
from casemate.signing.statement import Statement, Subject, instant_text, read_instant
from casemate.signing.trust import Trust, said

RECALL_TYPE = "urn:casemate:recall:1"


@dataclass(frozen=True)
class Recalled:
    """An entry of a bundle that is recalled: its identifier at the sender, and its digest."""

    id: str
    digest: str


@dataclass(frozen=True)
class Recall:
    """What `sender` asks of `receiver` about one bundle; `raise_to` is empty where its words may not be told."""

    sender: str
    receiver: str
    manifest: str
    marking: str
    sequence: int
    entries: tuple[Recalled, ...]
    raise_to: str
    at: datetime

    def statement(self) -> Statement:
        """The notice as an in-toto statement about the bundle's manifest."""
        predicate = {
            "sender": self.sender, "receiver": self.receiver, "marking": self.marking, "sequence": self.sequence,
            "entries": [vars(entry) for entry in self.entries], "raise_to": self.raise_to, "at": instant_text(self.at),
        }  # fmt: skip
        return Statement(RECALL_TYPE, (Subject("manifest.json", self.manifest),), predicate)


def read_recall(envelope: Envelope, trust: Trust, *, now: datetime) -> Recall:
    """The notice that a site's key signed; BadSignature if `trust` does not vouch for it."""
    trust.verify(envelope, role="site", now=now, thing="recall notice")
    statement = said(envelope, predicate_type=RECALL_TYPE, thing="recall notice")
    if [subject.name for subject in statement.subjects] != ["manifest.json"]:
        found = f"{len(statement.subjects)} subjects"
        raise BadSignature("recall notice subjects", expected="manifest.json", found=found)
    raw = _RecallJson.enter(dict(statement.predicate), "recall notice")
    entries = tuple(Recalled(entry.id, entry.digest) for entry in raw.entries)
    return Recall(
        raw.sender, raw.receiver, statement.subjects[0].digest, raw.marking, raw.sequence, entries, raw.raise_to,
        read_instant(raw.at, "recall notice at"),
    )  # fmt: skip


def page(recall: Recall, wording: Mapping[str, str], signers: Sequence[str]) -> bytes:
    """The notice as a page in French and English, for the officer who receives it; `wording` is of its marking."""
    from jinja2 import BaseLoader, Environment, StrictUndefined

    template = resources.files("casemate.airlock").joinpath("templates", "recall.html.j2").read_text(encoding="utf-8")
    shown = Environment(loader=BaseLoader(), autoescape=True, undefined=StrictUndefined).from_string(template)
    facts: dict[str, Any] = {
        "recall": recall,
        "wording": wording,
        "signers": list(signers),
        "at": instant_text(recall.at),
    }
    return shown.render(**facts).encode()


class _RecalledJson(Door):
    id: str = Field(min_length=1, max_length=64)
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}\z")


class _RecallJson(Door):
    sender: str = Field(min_length=1, max_length=256)
    receiver: str = Field(min_length=1, max_length=256)
    marking: str = Field(min_length=1, max_length=4096)
    sequence: int = Field(ge=1)
    entries: list[_RecalledJson] = Field(min_length=1, max_length=100_000)
    raise_to: str = Field(max_length=4096)
    at: str
