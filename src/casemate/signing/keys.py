"""Keys: a hybrid public key, and the passphrase-protected file of its private half.

Rules. A key is two keys, ECDSA P-384 and ML-DSA-65, and neither counts without the other. Its id is the SHA-256 of its
canonical public JSON, so `sha256sum alice.pub` prints it. A key file is never overwritten, is readable by its owner
alone, and is protected by a passphrase (scrypt, AES-256-GCM) unless the caller says in so many words that it is not;
the public half and the protection's own parameters are authenticated with it. Opening a key file is for
`casemate.signing.sign` alone.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from pydantic import Field

from casemate.errors import BadInput, DiskFull, NameTaken
from casemate.signing.canonical import Door, decode_base64, dump, encode_base64, load

ECDSA, MLDSA = "ecdsa-p384", "ml-dsa-65"
P384_SCALAR_BYTES, MLDSA_SEED_BYTES = 48, 32
DEFAULT_COST, LEAST_COST, GREATEST_COST = 2**17, 2**15, 2**20  # scrypt's N; 128 MiB at the default, r = 8, p = 1
_PUBLIC_FORMAT: Literal["casemate-public-key/1"] = "casemate-public-key/1"
_FILE_FORMAT: Literal["casemate-key/1"] = "casemate-key/1"
MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True)
class PublicKey:
    """Both public halves: an uncompressed point of P-384 (97 bytes) and an ML-DSA-65 key (1,952 bytes)."""

    p384: bytes
    mldsa65: bytes

    def __post_init__(self) -> None:
        """Refuse halves that are not keys."""
        for half, read in ((ECDSA, self.ecdsa_key), (MLDSA, self.mldsa_key)):
            try:
                read()
            except ValueError as why:
                raise BadInput(f"public key {half}", expected="a valid key", found=why) from why
        if len(self.p384) != 97:
            raise BadInput(f"public key {ECDSA}", expected="97 bytes, uncompressed", found=f"{len(self.p384)} bytes")

    @cached_property
    def keyid(self) -> str:
        """SHA-256 of the canonical public JSON, 64 hex digits."""
        return hashlib.sha256(self.to_json()).hexdigest()

    @property
    def half_ids(self) -> tuple[str, str]:
        """Ids of the two halves, in the order in which they sign."""
        return f"{self.keyid}:{ECDSA}", f"{self.keyid}:{MLDSA}"

    def ecdsa_key(self) -> ec.EllipticCurvePublicKey:
        """The P-384 half, ready to verify."""
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP384R1(), self.p384)

    def mldsa_key(self) -> mldsa.MLDSA65PublicKey:
        """The ML-DSA-65 half, ready to verify."""
        return mldsa.MLDSA65PublicKey.from_public_bytes(self.mldsa65)

    def p384_pem(self) -> bytes:
        """The P-384 half as PEM, for public tools such as `model_signing` and `openssl`."""
        form = serialization.PublicFormat.SubjectPublicKeyInfo
        return self.ecdsa_key().public_bytes(serialization.Encoding.PEM, form)

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        return dump(self.facts())

    @classmethod
    def from_json(cls, data: bytes, *, thing: str = "public key") -> PublicKey:
        """A public key from canonical JSON; BadInput naming `thing` and its field otherwise."""
        raw = _PublicJson.enter(load(data, thing, max_bytes=MAX_FILE_BYTES), thing)
        return raw.key(thing)

    def facts(self) -> dict[str, str]:
        """The public JSON before it is spelled out, for a file that holds it."""
        return {"format": _PUBLIC_FORMAT, ECDSA: encode_base64(self.p384), MLDSA: encode_base64(self.mldsa65)}


@dataclass(frozen=True)
class KeyFile:
    """A private key as it lies on disk: the sealed secret, and how it is sealed. `cost` 0 means not protected."""

    public: PublicKey
    cost: int
    salt: bytes
    nonce: bytes
    secret: bytes

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        return dump({**self._outer_facts(), "secret": encode_base64(self.secret)})

    @classmethod
    def from_json(cls, data: bytes, *, thing: str) -> KeyFile:
        """A key file from canonical JSON; BadInput naming `thing` and its field otherwise."""
        raw = _KeyFileJson.enter(load(data, thing, max_bytes=MAX_FILE_BYTES), thing)
        secret = decode_base64(raw.secret, f"{thing} secret")
        if isinstance(raw.protection, _NoProtectionJson):
            return cls(raw.public.key(thing), 0, b"", b"", secret)
        cost = raw.protection.n
        if cost not in _costs():
            raise BadInput(f"{thing} protection.n", expected="a power of two from 2**15 to 2**20", found=cost)
        salt = decode_base64(raw.protection.salt, f"{thing} protection.salt")
        nonce = decode_base64(raw.protection.nonce, f"{thing} protection.nonce")
        for name, found, expected in (("salt", len(salt), 32), ("nonce", len(nonce), 12)):
            if found != expected:
                raise BadInput(f"{thing} protection.{name}", expected=f"{expected} bytes", found=f"{found} bytes")
        return cls(raw.public.key(thing), cost, salt, nonce, secret)

    @property
    def protected(self) -> bool:
        """Whether a passphrase is needed to open it."""
        return self.cost > 0

    def sealing_key(self, passphrase: bytes) -> AESGCM:
        """The cipher that `passphrase` gives."""
        return AESGCM(Scrypt(salt=self.salt, length=32, n=self.cost, r=8, p=1).derive(passphrase))

    def authenticated(self) -> bytes:
        """What is bound to the secret without being secret: the public half and the protection's parameters."""
        return dump(self._outer_facts())

    def _outer_facts(self) -> dict[str, Any]:
        facts: dict[str, Any] = {"format": _FILE_FORMAT, "public": self.public.facts(), "protection": {"kdf": "none"}}
        if self.protected:
            facts["protection"] = {
                "kdf": "scrypt",
                "n": self.cost,
                "r": 8,
                "p": 1,
                "salt": encode_base64(self.salt),
                "cipher": "AES-256-GCM",
                "nonce": encode_base64(self.nonce),
            }
        return facts


def generate_key_file(
    path: Path, passphrase: bytes | None, *, unprotected: bool = False, cost: int = DEFAULT_COST
) -> PublicKey:
    """Make a key, write its file at `path` (0600, never over another file) and return its public half.

    Without a passphrase the caller must say `unprotected=True`. `cost` is scrypt's N, a power of two from 2**15.
    """
    _check_choice(path, passphrase, unprotected=unprotected, cost=cost)
    classic, lattice = ec.generate_private_key(ec.SECP384R1()), mldsa.MLDSA65PrivateKey.generate()
    form = (serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
    public = PublicKey(classic.public_key().public_bytes(*form), lattice.public_key().public_bytes_raw())
    scalar = classic.private_numbers().private_value.to_bytes(P384_SCALAR_BYTES, "big")
    secret = scalar + lattice.private_bytes_raw()
    if passphrase is None:
        sealed = KeyFile(public, 0, b"", b"", secret)
    else:
        empty = KeyFile(public, cost, secrets.token_bytes(32), secrets.token_bytes(12), b"")
        cipher = empty.sealing_key(passphrase)
        sealed = KeyFile(
            public, cost, empty.salt, empty.nonce, cipher.encrypt(empty.nonce, secret, empty.authenticated())
        )
    _write_new(path, sealed.to_json())
    return public


def _check_choice(path: Path, passphrase: bytes | None, *, unprotected: bool, cost: int) -> None:
    if passphrase is None and not unprotected:
        raise BadInput(f"key file {path}", expected="a passphrase, or the choice to have none", found="neither")
    if passphrase is not None and (unprotected or not passphrase):
        found = "both" if unprotected else "an empty passphrase"
        raise BadInput(f"key file {path}", expected="a passphrase, or the choice to have none", found=found)
    if cost not in _costs():
        raise BadInput(f"key file {path}", expected="a scrypt cost from 2**15 to 2**20, power of two", found=cost)


def _costs() -> set[int]:
    return {2**power for power in range(LEAST_COST.bit_length() - 1, GREATEST_COST.bit_length())}


def _write_new(path: Path, data: bytes) -> None:
    """Write `path` whole or not at all; a hard link, unlike a rename, never replaces what is there."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(8)}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(partial, path)
    except FileExistsError as why:
        raise NameTaken(f"key file {path}", expected="no such file yet", found="a file") from why
    except OSError as why:
        full = why.errno in {errno.ENOSPC, errno.EDQUOT}
        kind = DiskFull if full else BadInput
        raise kind(f"key file {path}", expected="room for it" if full else "a folder that takes it", found=why) from why
    finally:
        partial.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


class _PublicJson(Door):
    format: Literal["casemate-public-key/1"]
    p384: str = Field(alias="ecdsa-p384")
    mldsa65: str = Field(alias="ml-dsa-65")

    def key(self, thing: str) -> PublicKey:
        return PublicKey(
            decode_base64(self.p384, f"{thing} {ECDSA}"),
            decode_base64(self.mldsa65, f"{thing} {MLDSA}"),
        )


class _NoProtectionJson(Door):
    kdf: Literal["none"]


class _ScryptJson(Door):
    kdf: Literal["scrypt"]
    n: int
    r: Literal[8]
    p: Literal[1]
    salt: str
    cipher: Literal["AES-256-GCM"]
    nonce: str


class _KeyFileJson(Door):
    format: Literal["casemate-key/1"]
    public: _PublicJson
    protection: _NoProtectionJson | _ScryptJson = Field(discriminator="kdf")
    secret: str
