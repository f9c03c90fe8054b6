"""The pen: the one place where a private key is opened and used.

Rules. Only the airlock and the gates import this module (an import contract says so); what verifies cannot sign. A pen
holds one person's or one site's key for the length of one act. Both halves sign the same bytes; the ECDSA signature is
put in its low-s form, so that nobody without the key can make a second valid envelope of the same payload.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from casemate.errors import BadInput, NotFound, WrongPassphrase
from casemate.signing.envelope import Envelope, Signature, pae
from casemate.signing.keys import MAX_FILE_BYTES, MLDSA_SEED_BYTES, P384_SCALAR_BYTES, KeyFile, PublicKey
from casemate.signing.statement import PAYLOAD_TYPE, Statement
from casemate.signing.verify import P384_ORDER


class Pen:
    """An unlocked key: `public`, `sign` and `sign_bytes` are all that its holder may use."""

    def __init__(self, classic: ec.EllipticCurvePrivateKey, lattice: mldsa.MLDSA65PrivateKey) -> None:
        """A pen from both private halves; `Pen.unlock` opens one from its file."""
        self._classic, self._lattice = classic, lattice
        point = classic.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self.public = PublicKey(point, lattice.public_key().public_bytes_raw())

    @classmethod
    def unlock(cls, path: Path, passphrase: bytes | None) -> Pen:
        """Open the key file at `path`; WrongPassphrase if the passphrase does not, NotFound if there is none."""
        thing = f"key file {path}"
        file = KeyFile.from_json(_read_private(path, thing), thing=thing)
        secret = _open(file, passphrase, thing)
        if len(secret) != P384_SCALAR_BYTES + MLDSA_SEED_BYTES:
            expected = f"{P384_SCALAR_BYTES + MLDSA_SEED_BYTES} secret bytes"
            raise BadInput(thing, expected=expected, found=f"{len(secret)}")
        try:
            scalar = int.from_bytes(secret[:P384_SCALAR_BYTES], "big")
            classic = ec.derive_private_key(scalar, ec.SECP384R1())
            pen = cls(classic, mldsa.MLDSA65PrivateKey.from_seed_bytes(secret[P384_SCALAR_BYTES:]))
        except ValueError as why:
            raise BadInput(thing, expected="two private keys", found=why) from why
        if pen.public != file.public:
            raise BadInput(thing, expected=f"the private half of {file.public.keyid}", found=pen.public.keyid)
        return pen

    def sign(self, statement: Statement) -> Envelope:
        """The statement in an envelope signed by both halves."""
        return self.sign_bytes(PAYLOAD_TYPE, statement.to_json())

    def sign_bytes(self, payload_type: str, payload: bytes) -> Envelope:
        """Any payload in an envelope signed by both halves."""
        signed = pae(payload_type, payload)
        # RFC 6979: no random number whose weakness would give the key away.
        r, s = decode_dss_signature(self._classic.sign(signed, ec.ECDSA(hashes.SHA384(), deterministic_signing=True)))
        classic = encode_dss_signature(r, min(s, P384_ORDER - s))
        ecdsa_id, mldsa_id = self.public.half_ids
        signatures = (Signature(ecdsa_id, classic), Signature(mldsa_id, self._lattice.sign(signed)))
        return Envelope(payload_type, payload, signatures)


def _read_private(path: Path, thing: str) -> bytes:
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise BadInput(thing, expected="mode 0600, readable by its owner alone", found=f"mode {mode:04o}")
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as why:
        raise NotFound(thing, expected="a key file", found=why.strerror) from why


def _open(file: KeyFile, passphrase: bytes | None, thing: str) -> bytes:
    if not file.protected:
        if passphrase is not None:
            raise WrongPassphrase(thing, expected="no passphrase (the file is not protected)", found="a passphrase")
        return file.secret
    if passphrase is None:
        raise WrongPassphrase(thing, expected="a passphrase", found="none")
    try:
        return file.sealing_key(passphrase).decrypt(file.nonce, file.secret, file.authenticated())
    except InvalidTag as why:
        found = "one that does not open it, or a damaged file"
        raise WrongPassphrase(thing, expected="its passphrase", found=found) from why
