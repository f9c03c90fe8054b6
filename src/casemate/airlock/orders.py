"""Orders: what somebody asks of the airlock, complete and frozen, for two other people to decide.

Rules. An order says everything that is decided, by digest: what comes in or goes out, to whom, at which marking. Its
own digest is what people sign (`casemate.signing.decision`), so nothing can be changed between decision and act. Who
asks does not decide, nor does anybody whose work passes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field

from casemate.airlock.exchange import DECIDING_ROLES, Required
from casemate.errors import AirlockClosed
from casemate.signing.canonical import Door, dump, load
from casemate.signing.decision import Decision, Matter, Word, check_decisions, read_decision, sign_decision
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.statement import instant_text, read_instant
from casemate.signing.trust import Trust
from casemate.store.digest import Digest

Action = Literal["in", "out", "lower", "restore"]

MATTER = Matter("urn:casemate:decision:1", "decision", ("order",), DECIDING_ROLES, AirlockClosed)
_FORMAT: Literal["casemate-order/1"] = "casemate-order/1"
# Whose work may not be let through by themselves; policies, decisions and withdrawals have no author in this sense.
AUTHORED = frozenset({"dataset", "documents", "model", "report", "software"})


@dataclass(frozen=True)
class Order:
    """One thing asked of the airlock: which action, who asks, whose work it is, when, at which marking, all facts."""

    action: Action
    asked_by: str
    authors: tuple[str, ...]
    at: datetime
    marking: str
    facts: Mapping[str, Any]

    def to_json(self) -> bytes:
        """The bytes whose digest people sign."""
        return dump(
            {
                "format": _FORMAT, "action": self.action, "asked_by": self.asked_by, "authors": list(self.authors),
                "at": instant_text(self.at), "marking": self.marking, "facts": dict(self.facts),
            }
        )  # fmt: skip

    @classmethod
    def from_json(cls, data: bytes, *, thing: str = "order") -> Order:
        """Read an order; BadInput naming `thing` and its field for anything else."""
        raw = _OrderJson.enter(load(data, thing), thing)
        at = read_instant(raw.at, f"{thing} at")
        return cls(raw.action, raw.asked_by, tuple(raw.authors), at, raw.marking, raw.facts)

    @property
    def digest(self) -> Digest:
        """What the decisions are about."""
        return Digest.of_bytes(self.to_json())


def decide(
    order: Order, pen: Signer, *, role: str, reason: str, trust: Trust, now: datetime, word: Word = "approve"
) -> Envelope:
    """Sign a decision on an order; NotAllowed for who asked and for the authors of what passes."""
    return sign_decision(
        MATTER, [order.digest.hex], pen, author=order.asked_by, reason=reason, role=role, trust=trust, now=now,
        word=word, apart=order.authors,
    )  # fmt: skip


def read(envelope: Envelope, trust: Trust, *, now: datetime) -> Decision:
    """The decision in an envelope; BadSignature if it does not hold."""
    return read_decision(MATTER, envelope, trust, now=now)[0]


def require_decided(
    order: Order, decisions: Sequence[Envelope], *, required: Required, trust: Trust, now: datetime
) -> tuple[Decision, ...]:
    """The decisions that open the airlock for `order`; AirlockClosed, NotAllowed or BadSignature otherwise."""
    return check_decisions(
        MATTER, decisions, seen=[order.digest.hex], author=order.asked_by, required=required, trust=trust, now=now,
        apart=order.authors,
    )  # fmt: skip


class _OrderJson(Door):
    format: Literal["casemate-order/1"]
    action: Action
    asked_by: str = Field(min_length=1, max_length=256)
    authors: list[str]
    at: str
    marking: str = Field(min_length=1, max_length=4096)
    facts: dict[str, Any]
