"""Whether an envelope was signed, by both halves of one known key, as it stands.

Rules. Exactly two signatures, ECDSA P-384 first and ML-DSA-65 second, both of one key, both over the same bytes; a
missing, repeated, extra, reordered or borrowed signature is BadSignature and says which. An ECDSA signature has one
accepted spelling (minimal DER, low s), so an envelope cannot be respelled to another digest without its key. Whether
the key may sign this is `casemate.signing.trust`'s question.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from casemate.errors import BadSignature
from casemate.signing.envelope import Envelope, Signature, pae
from casemate.signing.keys import ECDSA, MLDSA, PublicKey

# SEC 2, section 2.5.1, or NIST SP 800-186, section 3.2.1.4.
P384_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFC7634D81F4372DDF581A0DB248B0A77AECEC196ACCC52973
_SHOWN_KEYID = 12


def verify(envelope: Envelope, keys: Iterable[PublicKey], *, payload_type: str, thing: str = "envelope") -> PublicKey:
    """The key among `keys` whose two halves signed `envelope`; BadSignature naming what is wrong otherwise."""
    if envelope.payload_type != payload_type:
        raise BadSignature(f"{thing} payload type", expected=payload_type, found=envelope.payload_type)
    keyid = _claimed_key(envelope.signatures, thing)
    known = {key.keyid: key for key in keys}
    if keyid not in known:
        found = f"key {keyid[:_SHOWN_KEYID]}" if keyid else "no key id"
        raise BadSignature(f"{thing} signer", expected="a trusted key", found=found)
    key, signed = known[keyid], pae(envelope.payload_type, envelope.payload)
    classic, lattice = (signature.sig for signature in envelope.signatures)
    if not ecdsa_verifies(key.ecdsa_key(), classic, signed):
        raise _does_not_verify(thing, ECDSA, keyid)
    try:
        key.mldsa_key().verify(lattice, signed)
    except (InvalidSignature, ValueError) as why:
        raise _does_not_verify(thing, MLDSA, keyid) from why
    return key


def ecdsa_verifies(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes, *, low_s: bool = True) -> bool:
    """Whether `signature` (DER) is `key`'s over `signed` with SHA-384; `low_s` demands the one accepted spelling."""
    try:
        r, s = decode_dss_signature(signature)
        if low_s and (encode_dss_signature(r, s) != signature or s > P384_ORDER // 2):
            return False
        key.verify(signature, signed, ec.ECDSA(hashes.SHA384()))
    except (InvalidSignature, ValueError):
        return False
    return True


def _claimed_key(signatures: tuple[Signature, ...], thing: str) -> str:
    """The key that both signatures name; BadSignature unless they are one of each kind, in order, of one key."""
    ids = [signature.keyid for signature in signatures]
    for place, keyid in enumerate(ids):
        if keyid in ids[:place]:
            raise BadSignature(f"{thing} signatures", expected="each key id once", found=f"{_short(keyid)} twice")
    kinds = [keyid.rpartition(":")[2] for keyid in ids]
    for wanted in (ECDSA, MLDSA):
        if wanted not in kinds:
            found = ", ".join(map(_short, ids)) or "no signature"
            raise BadSignature(f"{thing} signatures", expected=f"an {wanted} signature", found=found)
    if len(ids) != 2:
        raise BadSignature(f"{thing} signatures", expected="two signatures", found=", ".join(map(_short, ids)))
    if kinds != [ECDSA, MLDSA]:
        raise BadSignature(f"{thing} signatures", expected=f"{ECDSA}, then {MLDSA}", found=", then ".join(kinds))
    first, second = (keyid.rpartition(":")[0] for keyid in ids)
    if first != second:
        expected = "both signatures by one key"
        raise BadSignature(f"{thing} signatures", expected=expected, found=" and ".join(map(_short, ids)))
    return first


def _does_not_verify(thing: str, kind: str, keyid: str) -> BadSignature:
    expected = f"one by key {keyid[:_SHOWN_KEYID]} over these bytes"
    return BadSignature(f"{thing} {kind} signature", expected=expected, found="one that does not verify")


def _short(keyid: str) -> str:
    key, _, kind = keyid.rpartition(":")
    return f"{key[:_SHOWN_KEYID]}:{kind[:32]}"
