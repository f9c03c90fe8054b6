"""Who may sign what: the trust file, kept by the officer and signed with the officer's key.

Rules. A key signs only in the roles that the file gives it, inside its validity window, and not at all once it is
revoked. One name may have several keys (a new one before the old one ends), but no half of a key appears twice, so two
names are never one key. The file carries a serial that only grows: a reader that remembers the last one it saw refuses
an older file, in which a revoked key would still be good. Time comes in as an argument.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature
from casemate.signing.canonical import Door, decode_base64, encode_base64, shorten
from casemate.signing.envelope import Envelope
from casemate.signing.keys import ECDSA, MLDSA, PublicKey
from casemate.signing.signer import Signer
from casemate.signing.statement import PAYLOAD_TYPE, Statement, aware, instant_text
from casemate.signing.verify import verify

TRUST_TYPE = "application/vnd.casemate.trust+toml"
ROLES = ("author", "approver", "sponsor", "officer", "site")
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class TrustedKey:
    """A key, whose it is, what it may sign, and when."""

    name: str
    public: PublicKey
    roles: frozenset[str]
    not_before: datetime
    not_after: datetime
    revoked: bool = False

    def __post_init__(self) -> None:
        """Refuse names that could forge a line, unknown roles and empty windows."""
        thing = f"trusted key {self.name}"
        if not self.name.strip() or not self.name.isprintable():
            raise BadInput("trusted key name", expected="printable text on one line", found=repr(self.name))
        unknown = sorted(self.roles - set(ROLES))
        if unknown or not self.roles:
            found = repr(unknown[0]) if unknown else "none"
            raise BadInput(f"{thing} roles", expected=f"some of {', '.join(ROLES)}", found=found)
        if aware(self.not_before) >= aware(self.not_after):
            expected = f"not_after later than {instant_text(self.not_before)}"
            raise BadInput(thing, expected=expected, found=instant_text(self.not_after))

    def check(self, *, role: str, now: datetime, thing: str = "signature") -> None:
        """BadSignature unless this key may sign as `role` at `now`."""
        who = f"{thing} by {self.name}"
        if self.revoked:
            raise BadSignature(who, expected="a key in force", found="a revoked key")
        if role not in self.roles:
            raise BadSignature(who, expected=f"a key with role {role}", found=", ".join(sorted(self.roles)))
        if not aware(self.not_before) <= aware(now) <= aware(self.not_after):
            window = f"{instant_text(self.not_before)} to {instant_text(self.not_after)}"
            raise BadSignature(who, expected=f"a key valid from {window}", found=f"time {instant_text(now)}")


@dataclass(frozen=True)
class Trust:
    """The keys that a site trusts; `serial` grows with every version of the file."""

    keys: tuple[TrustedKey, ...]
    serial: int = 1

    def __post_init__(self) -> None:
        """Refuse a half key that appears twice."""
        seen: dict[bytes, str] = {}
        for key in self.keys:
            for half in (key.public.p384, key.public.mldsa65):
                if half in seen:
                    found = f"one key under {seen[half]} and {key.name}"
                    raise BadInput("trust file", expected="each half of a key once", found=found)
                seen[half] = key.name

    def signer(self, envelope: Envelope, *, payload_type: str = PAYLOAD_TYPE, thing: str = "envelope") -> TrustedKey:
        """The key that signed `envelope`, whatever it may sign and whenever; BadSignature if none did."""
        public = verify(envelope, (key.public for key in self.keys), payload_type=payload_type, thing=thing)
        return next(key for key in self.keys if key.public == public)

    def verify(
        self,
        envelope: Envelope,
        *,
        role: str,
        now: datetime,
        payload_type: str = PAYLOAD_TYPE,
        thing: str = "envelope",
    ) -> TrustedKey:
        """The key that signed `envelope` and may do so as `role` at `now`; BadSignature otherwise."""
        key = self.signer(envelope, payload_type=payload_type, thing=thing)
        key.check(role=role, now=now, thing=thing)
        return key

    def statement(
        self, envelope: Envelope, *, role: str, predicate_type: str, now: datetime, thing: str = "envelope"
    ) -> tuple[Statement, TrustedKey]:
        """The statement of `predicate_type` in a verified `envelope`, and the key that signed it as `role`."""
        key = self.verify(envelope, role=role, now=now, thing=thing)
        return said(envelope, predicate_type=predicate_type, thing=thing), key

    def named(self, name: str) -> tuple[TrustedKey, ...]:
        """Every key of one name."""
        return tuple(key for key in self.keys if key.name == name)

    def by_id(self, keyid: str) -> TrustedKey:
        """The key with this id; BadSignature if it is not trusted."""
        for key in self.keys:
            if key.public.keyid == keyid:
                return key
        raise BadSignature("signer", expected="a trusted key", found=f"key {shorten(keyid)}")

    def to_toml(self) -> str:
        """The trust file's text; `from_toml` reads it back."""
        head = f'format = "casemate-trust/1"\nserial = {self.serial}\n'
        return head + "".join(_key_toml(key) for key in self.keys)

    @classmethod
    def from_toml(cls, text: str, *, thing: str = "trust file") -> Trust:
        """A trust file from its text; BadInput naming `thing` and its field for anything unknown or ill-formed."""
        try:
            raw = _TrustToml.enter(tomllib.loads(text), thing)
        except (ValueError, RecursionError) as why:  # a number or a nesting without end is neither TOMLDecodeError
            raise BadInput(thing, expected="TOML", found=why) from why
        return cls(tuple(_trusted(key, f"{thing} key {key.name}") for key in raw.keys), raw.serial)


def said(envelope: Envelope, *, predicate_type: str, thing: str = "envelope") -> Statement:
    """The statement inside a verified envelope; BadSignature if it is of another type."""
    statement = Statement.from_json(envelope.payload, thing=thing)
    if statement.predicate_type != predicate_type:
        raise BadSignature(f"{thing} statement", expected=predicate_type, found=shorten(statement.predicate_type))
    return statement


def sign_trust(trust: Trust, pen: Signer) -> tuple[bytes, bytes]:
    """The trust file's text, and its envelope signed by the officer's pen."""
    text = trust.to_toml().encode()
    return text, pen.sign_bytes(TRUST_TYPE, text).to_json()


def load_trust(toml_bytes: bytes, envelope_bytes: bytes, officer: PublicKey, *, serial_floor: int = 0) -> Trust:
    """The trust file that `officer` signed; BadSignature if it is not that, or older than `serial_floor`."""
    if len(toml_bytes) > _MAX_BYTES:
        raise BadInput("trust file", expected=f"at most {_MAX_BYTES} bytes", found=f"{len(toml_bytes)} bytes")
    envelope = Envelope.from_json(envelope_bytes, thing="trust file's signature")
    verify(envelope, [officer], payload_type=TRUST_TYPE, thing="trust file")
    if envelope.payload != toml_bytes:
        raise BadSignature("trust file", expected="the bytes that the officer signed", found="other bytes")
    try:
        trust = Trust.from_toml(toml_bytes.decode())
    except UnicodeDecodeError as why:
        raise BadInput("trust file", expected="text in UTF-8", found=why) from why
    if trust.serial < serial_floor:
        raise BadSignature("trust file", expected=f"serial {serial_floor} or later", found=f"serial {trust.serial}")
    return trust


def _trusted(raw: _KeyToml, thing: str) -> TrustedKey:
    public = PublicKey(decode_base64(raw.p384, f"{thing} {ECDSA}"), decode_base64(raw.mldsa65, f"{thing} {MLDSA}"))
    if public.keyid != raw.keyid:
        raise BadInput(f"{thing} keyid", expected=public.keyid, found=shorten(raw.keyid))
    return TrustedKey(raw.name, public, _once(raw.roles, thing), raw.not_before, raw.not_after, raw.revoked)


def _once(roles: Iterable[str], thing: str) -> frozenset[str]:
    listed = list(roles)
    if len(set(listed)) != len(listed):
        raise BadInput(f"{thing} roles", expected="each role once", found=", ".join(listed))
    return frozenset(listed)


def _key_toml(key: TrustedKey) -> str:
    # Names are printable, so a JSON string is a TOML basic string.
    roles = ", ".join(f'"{role}"' for role in sorted(key.roles))
    return (
        f'\n[[keys]]\nname = {json.dumps(key.name, ensure_ascii=False)}\nkeyid = "{key.public.keyid}"\n'
        f"roles = [{roles}]\nnot_before = {instant_text(key.not_before)}\nnot_after = {instant_text(key.not_after)}\n"
        f"revoked = {str(key.revoked).lower()}\n"
        f'{ECDSA} = "{encode_base64(key.public.p384)}"\n{MLDSA} = "{encode_base64(key.public.mldsa65)}"\n'
    )


class _KeyToml(Door):
    name: str = Field(min_length=1, max_length=256)
    keyid: str
    roles: list[str] = Field(min_length=1)
    not_before: datetime
    not_after: datetime
    revoked: bool
    p384: str = Field(alias="ecdsa-p384")
    mldsa65: str = Field(alias="ml-dsa-65")


class _TrustToml(Door):
    format: Literal["casemate-trust/1"]
    serial: int = Field(ge=1)
    keys: list[_KeyToml] = Field(default=[])
