"""DSSE envelopes: a payload, its type, and the signatures over both.

Source: https://github.com/secure-systems-lab/dsse/blob/v1.0.0/protocol.md. What is signed is the pre-authentication
encoding (PAE) of type and payload, never the JSON around it. An envelope is only a container: reading one proves
nothing, `casemate.signing.verify` does.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import Field

from casemate.signing.canonical import Door, decode_base64, dump, encode_base64, load


@dataclass(frozen=True)
class Signature:
    """One signature, and the id of the half key that made it: `<keyid>:<algorithm>`."""

    keyid: str
    sig: bytes


@dataclass(frozen=True)
class Envelope:
    """A payload with its type and signatures."""

    payload_type: str
    payload: bytes
    signatures: tuple[Signature, ...]

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        signatures = [{"keyid": s.keyid, "sig": encode_base64(s.sig)} for s in self.signatures]
        payload = encode_base64(self.payload)
        return dump({"payload": payload, "payloadType": self.payload_type, "signatures": signatures})

    @classmethod
    def from_json(cls, data: bytes, *, thing: str = "envelope") -> Envelope:
        """An envelope from canonical JSON; BadInput naming `thing` and its field for anything else."""
        raw = _EnvelopeJson.enter(load(data, thing), thing)
        signatures = tuple(
            Signature(s.keyid, decode_base64(s.sig, f"{thing} signatures.{place}.sig"))
            for place, s in enumerate(raw.signatures)
        )
        return cls(raw.payload_type, decode_base64(raw.payload, f"{thing} payload"), signatures)

    @property
    def hex(self) -> str:
        """SHA-256 of the envelope's file, as `sha256sum` prints it."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def payload_hex(self) -> str:
        """SHA-256 of the payload alone: the same however often it is signed."""
        return hashlib.sha256(self.payload).hexdigest()


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


class _SignatureJson(Door):
    keyid: str = Field(max_length=128)
    sig: str = Field(max_length=16384)


class _EnvelopeJson(Door):
    payload: str
    payload_type: str = Field(alias="payloadType", min_length=1, max_length=128)
    signatures: list[_SignatureJson] = Field(max_length=16)
