"""What signs: an unlocked pen, or anything else that has its two methods, such as the client of an agent."""

from __future__ import annotations

from typing import Protocol

from casemate.signing.envelope import Envelope
from casemate.signing.keys import PublicKey
from casemate.signing.statement import Statement


class Signer(Protocol):
    """Whatever signs for one key; where that key lies is its own affair."""

    @property
    def public(self) -> PublicKey:
        """The key it signs for."""
        ...

    def sign(self, statement: Statement) -> Envelope:
        """The statement in an envelope signed by both halves."""
        ...

    def sign_bytes(self, payload_type: str, payload: bytes) -> Envelope:
        """Any payload in an envelope signed by both halves."""
        ...
