"""Receipts: what a site answers to a bundle that it took in or refused, signed, for its sender to reconcile.

Rules. A receipt names the bundle by its manifest's SHA-256, so that it can be carried over to no other; it tells what
was taken and what was refused, and why, and nothing else of the site that signs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from casemate.errors import BadSignature
from casemate.signing.canonical import Door
from casemate.signing.envelope import Envelope
from casemate.signing.statement import Statement, Subject, instant_text, read_instant
from casemate.signing.trust import Trust, said

RECEIPT_TYPE = "urn:casemate:receipt:1"
Outcome = Literal["taken", "refused"]


@dataclass(frozen=True)
class Receipt:
    """The answer of site `by` to bundle `sequence` of `sender` at `marking`; `entries`: by the sender's identifiers."""

    manifest: str
    sender: str
    by: str
    marking: str
    sequence: int
    outcome: Outcome
    reason: str
    entries: Mapping[str, str]
    missing: tuple[int, ...]
    at: datetime

    def statement(self) -> Statement:
        """The receipt as an in-toto statement about the bundle's manifest."""
        predicate = {
            "sender": self.sender, "by": self.by, "marking": self.marking, "sequence": self.sequence,
            "outcome": self.outcome, "reason": self.reason, "entries": dict(self.entries),
            "missing": list(self.missing), "at": instant_text(self.at),
        }  # fmt: skip
        return Statement(RECEIPT_TYPE, (Subject("manifest.json", self.manifest),), predicate)

    def facts(self) -> dict[str, Any]:
        """The receipt as facts for people and machines."""
        return {**vars(self), "missing": list(self.missing), "entries": dict(self.entries), "at": instant_text(self.at)}


def read_receipt(envelope: Envelope, trust: Trust, *, now: datetime) -> Receipt:
    """The receipt that a site's key signed; BadSignature if `trust` does not vouch for it."""
    trust.verify(envelope, role="site", now=now, thing="receipt")
    statement = said(envelope, predicate_type=RECEIPT_TYPE, thing="receipt")
    raw = _ReceiptJson.enter(dict(statement.predicate), "receipt")
    if len(statement.subjects) != 1 or statement.subjects[0].name != "manifest.json":
        raise BadSignature("receipt subjects", expected="manifest.json", found=f"{len(statement.subjects)} subjects")
    return Receipt(
        manifest=statement.subjects[0].digest,
        sender=raw.sender,
        by=raw.by,
        marking=raw.marking,
        sequence=raw.sequence,
        outcome=raw.outcome,
        reason=raw.reason,
        entries=raw.entries,
        missing=tuple(raw.missing),
        at=read_instant(raw.at, "receipt at"),
    )


class _ReceiptJson(Door):
    sender: str = Field(min_length=1, max_length=256)
    by: str = Field(min_length=1, max_length=256)
    marking: str = Field(min_length=1, max_length=4096)
    sequence: int = Field(ge=1)
    outcome: Outcome
    reason: str = Field(max_length=10_000)
    entries: dict[str, str]
    missing: list[int] = Field(max_length=10_000)
    at: str
