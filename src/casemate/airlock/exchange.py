"""The policy of exchange: who decides at the airlock, which sites it deals with, and how far each may go.

Rules. TOML, strict: an unknown key is an error, so a slip of the pen never opens the airlock. Never fewer than two
people decide, whatever a policy says. A peer is a name, the key of its officer (from which everything else that it
signs is trusted), directions and a ceiling: nothing above the ceiling goes there or is taken from there. It is signed
by the officer like the trust file, and nothing here switches a verification off.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from casemate.errors import BadInput, BadSignature, NotAllowed
from casemate.signing.canonical import Door, decode_base64, encode_base64, shorten
from casemate.signing.decision import LEAST_PEOPLE
from casemate.signing.envelope import Envelope
from casemate.signing.keys import ECDSA, MLDSA, PublicKey
from casemate.signing.signer import Signer
from casemate.signing.verify import verify

EXCHANGE_TYPE = "application/vnd.casemate.exchange-policy+toml"
DECIDING_ROLES = ("sponsor", "officer")
DIRECTIONS = ("in", "out")
_MAX_CHARACTERS = 1_000_000

Required = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Peer:
    """Another site: its officer's key, which ways things go, and the marking (as text) that nothing exceeds."""

    name: str
    officer: PublicKey
    directions: frozenset[str]
    ceiling: str


@dataclass(frozen=True)
class Inspection:
    """What inspection must do here beyond what it always does."""

    antivirus: Path | None
    refuse: frozenset[str]
    rules: str


@dataclass(frozen=True)
class ExchangePolicy:
    """Everything that passing the airlock is held against; `text` is what the officer signed."""

    name: str
    required: Mapping[str, Required]
    local_import: bool
    inspection: Inspection
    peers: tuple[Peer, ...]
    text: str

    @classmethod
    def from_toml(cls, text: str, *, source: str = "exchange policy") -> ExchangePolicy:
        """Read a policy; BadInput naming `source` and the field for anything unknown, ill-formed or repeated."""
        if len(text) > _MAX_CHARACTERS:
            raise BadInput(source, expected=f"at most {_MAX_CHARACTERS} characters", found=len(text))
        try:
            raw = _PolicyToml.enter(tomllib.loads(text), source)
        except (ValueError, RecursionError) as why:  # a number or a nesting without end is neither TOMLDecodeError
            raise BadInput(source, expected="TOML", found=why) from why
        required = {
            action: _required(numbers, f"{source} {action}")
            for action, numbers in (("in", raw.in_), ("out", raw.out), ("lower", raw.lower))
        }
        inspection = Inspection(
            Path(raw.inspection.antivirus) if raw.inspection.antivirus else None,
            frozenset(raw.inspection.refuse),
            raw.inspection.rules,
        )
        return cls(raw.name, required, raw.local.import_, inspection, _peers(raw.peers, source), text)

    @classmethod
    def shipped(cls) -> ExchangePolicy:
        """The policy that a new site begins with: two people, no peers."""
        file = resources.files("casemate.airlock").joinpath("policies", "default.toml")
        return cls.from_toml(file.read_text(encoding="utf-8"), source="default.toml")

    def peer(self, name: str, direction: str) -> Peer:
        """The peer of that name; NotAllowed unless things go this way between us."""
        for peer in self.peers:
            if peer.name == name and direction in peer.directions:
                return peer
        expected = f"a site that the exchange policy names for direction {direction!r}"
        known = ", ".join(peer.name for peer in self.peers if direction in peer.directions) or "none named"
        raise NotAllowed(f"site {name}", expected=expected, found=f"{shorten(name)} ({known})")

    def with_peer(self, peer: Peer) -> ExchangePolicy:
        """The policy with one more peer, or with another line for that name."""
        return self._with((*(p for p in self.peers if p.name != peer.name), peer))

    def without_peer(self, name: str) -> ExchangePolicy:
        """The policy without that peer; BadInput if there is none."""
        left = tuple(peer for peer in self.peers if peer.name != name)
        if left == self.peers:
            found = ", ".join(peer.name for peer in self.peers) or "none"
            raise BadInput(f"peer {name}", expected="a peer of the exchange policy", found=found)
        return self._with(left)

    def _with(self, peers: tuple[Peer, ...]) -> ExchangePolicy:
        head = self.text.partition("\n[[peers]]\n")[0].rstrip("\n") + "\n"
        changed = self.from_toml(head + "".join(_peer_toml(peer) for peer in peers))
        if replace(changed, peers=(), text="") != replace(self, peers=(), text=""):
            expected = "peers at the end of the policy's text, after everything else"
            raise BadInput("exchange policy", expected=expected, found="other settings after a peer")
        return changed


def sign_exchange(policy: ExchangePolicy, pen: Signer) -> bytes:
    """The envelope in which the officer vouches for the policy's text."""
    return pen.sign_bytes(EXCHANGE_TYPE, policy.text.encode()).to_json()


def load_exchange(envelope_bytes: bytes, officer: PublicKey) -> ExchangePolicy:
    """The policy that the officer signed; BadSignature if it is not theirs."""
    envelope = Envelope.from_json(envelope_bytes, thing="exchange policy's signature")
    verify(envelope, [officer], payload_type=EXCHANGE_TYPE, thing="exchange policy")
    return ExchangePolicy.from_toml(envelope.payload.decode())


def _required(raw: Mapping[str, int], source: str) -> Required:
    unknown = sorted(set(raw) - set(DECIDING_ROLES))
    if unknown:
        raise BadInput(source, expected=f"roles among {', '.join(DECIDING_ROLES)}", found=unknown[0])
    if sum(raw.values()) < LEAST_PEOPLE or min(raw.values(), default=0) < 0:
        found = ", ".join(f"{role} = {count}" for role, count in sorted(raw.items())) or "nobody"
        raise BadInput(source, expected=f"at least {LEAST_PEOPLE} people", found=found)
    return tuple(sorted((role, count) for role, count in raw.items() if count))


def _peers(raw: list[_PeerToml], source: str) -> tuple[Peer, ...]:
    peers: list[Peer] = []
    for item in raw:
        thing = f"{source} peer {item.name}"
        public = PublicKey(
            decode_base64(item.p384, f"{thing} {ECDSA}"), decode_base64(item.mldsa65, f"{thing} {MLDSA}")
        )
        if public.keyid != item.keyid:
            raise BadInput(f"{thing} keyid", expected=public.keyid, found=shorten(item.keyid))
        for other in peers:
            if other.name == item.name or other.officer == public:
                raise BadSignature(source, expected="each peer and each key once", found=f"{other.name}, {item.name}")
        peers.append(Peer(item.name, public, frozenset(item.directions), item.ceiling))
    return tuple(peers)


def _peer_toml(peer: Peer) -> str:
    # Names and markings are printable, so a JSON string is a TOML basic string.
    name, ceiling = (json.dumps(text, ensure_ascii=False) for text in (peer.name, peer.ceiling))
    directions = ", ".join(f'"{way}"' for way in sorted(peer.directions))
    return (
        f"\n[[peers]]\nname = {name}\ndirections = [{directions}]\nceiling = {ceiling}\n"
        f'keyid = "{peer.officer.keyid}"\n{ECDSA} = "{encode_base64(peer.officer.p384)}"\n'
        f'{MLDSA} = "{encode_base64(peer.officer.mldsa65)}"\n'
    )


class _LocalToml(Door):
    import_: bool = Field(alias="import")


class _InspectionToml(Door):
    antivirus: str = ""
    refuse: list[Literal["secret", "personal data"]] = Field(default=[])
    rules: str = ""


class _PeerToml(Door):
    name: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    directions: Annotated[list[Literal["in", "out"]], Field(min_length=1, max_length=2)]
    ceiling: str = Field(min_length=1, max_length=4096)
    keyid: str
    p384: str = Field(alias="ecdsa-p384")
    mldsa65: str = Field(alias="ml-dsa-65")


class _PolicyToml(Door):
    format: Literal["casemate-exchange/1"]
    name: str = Field(pattern=r"^[\w.\- ]{1,128}\z")
    in_: dict[str, int] = Field(alias="in")
    out: dict[str, int]
    lower: dict[str, int]
    local: _LocalToml
    inspection: _InspectionToml = _InspectionToml()
    peers: list[_PeerToml] = Field(default=[])
