"""OpenSSF model-signing signatures (v1.0 of the predicate), made and checked over a listing of a folder.

Source: https://github.com/sigstore/model-transparency. The public tool verifies what this module makes:
`model_signing verify key --signature model.sig --public_key site.pem FOLDER`. The format has room for one ECDSA
signature, so it vouches less than our envelopes and is never what we load a model by: it is for partners' tools. The
package itself is not used because it carries a network client (docs/adr/0003-signatures.md). Signing knows bytes and
not files: a folder comes in as its listing, relative POSIX path → SHA-256 of the file in hexadecimal.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import ConfigDict, Field

from casemate.errors import BadInput, BadSignature, DigestMismatch
from casemate.signing.canonical import Door, decode_base64, dump, encode_base64
from casemate.signing.envelope import Envelope, pae
from casemate.signing.keys import PublicKey
from casemate.signing.signer import Signer
from casemate.signing.statement import PAYLOAD_TYPE, Statement, Subject
from casemate.signing.verify import ecdsa_verifies

SIGNATURE_FILE = "model.sig"
PREDICATE_TYPE = "https://model_signing/signature/v1.0"
MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# The tool leaves these out whatever a signature says, so they cannot be in the listing.
_GIT_PATHS = (".git", ".gitattributes", ".github", ".gitignore")
_THING = "model signature"


def sign_listing(name: str, files: Mapping[str, str], pen: Signer) -> bytes:
    """The bytes of `model.sig` for a folder called `name` whose `files` are path → SHA-256 hex, signed with `pen`."""
    statement = listing_statement(name, files)
    return bundle(pen.sign(statement), pen.public)


def listing_statement(name: str, files: Mapping[str, str]) -> Statement:
    """What is signed: every file's digest, and as subject the digest over them all."""
    ignored = [SIGNATURE_FILE, *_GIT_PATHS]
    resources = [
        {"algorithm": "sha256", "digest": digest, "name": path}
        for path, digest in sorted(files.items())
        if not _is_under(path, ignored)
    ]
    predicate = {
        "resources": resources,
        "serialization": {
            "allow_symlinks": False,
            "hash_type": "sha256",
            "ignore_paths": ignored,
            "method": "files",
        },
    }
    return Statement(PREDICATE_TYPE, (Subject(name, _root([r["digest"] for r in resources])),), predicate)


def bundle(envelope: Envelope, public: PublicKey) -> bytes:
    """The Sigstore bundle that holds the ECDSA half of an envelope signed by `public`."""
    hint = hashlib.sha256(public.p384_pem()).hexdigest()
    signature = {"keyid": "", "sig": encode_base64(envelope.signatures[0].sig)}
    return dump(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": hint}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": encode_base64(envelope.payload),
                "payloadType": envelope.payload_type,
                "signatures": [signature],
            },
        }
    )


def verify_listing(signature: bytes, files: Mapping[str, str], public_pem: bytes) -> None:
    """BadSignature unless `signature` is the P-384 key's; DigestMismatch naming the file unless `files` are as signed.

    Reads what any version of the tool from 0.3.1 wrote with an EC key, so the JSON need not be canonical.
    """
    resources, ignored = _signed_listing(_verified_payload(signature, public_pem))
    for path in sorted(resources.keys() | files.keys()):
        if path not in resources and _is_under(path, ignored):
            continue
        expected, found = resources.get(path, "no such file"), files.get(path, "no such file")
        if expected != found:
            raise DigestMismatch(f"{_THING} file {path}", expected=expected, found=found)


def _verified_payload(signature: bytes, public_pem: bytes) -> bytes:
    try:
        key = serialization.load_pem_public_key(public_pem)
    except (ValueError, UnsupportedAlgorithm) as why:
        raise BadInput("public key", expected="an ECDSA P-384 key in PEM", found=why) from why
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP384R1):
        raise BadInput("public key", expected="an ECDSA P-384 key in PEM", found=type(key).__name__)
    raw = _BundleJson.enter(_parse(signature), _THING)
    if raw.media_type != MEDIA_TYPE:
        raise BadSignature(f"{_THING} media type", expected=MEDIA_TYPE, found=raw.media_type)
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    hint = hashlib.sha256(pem).hexdigest()
    if raw.material.public_key.hint not in {None, hint}:
        raise BadSignature(f"{_THING} key", expected=hint, found=raw.material.public_key.hint)
    dsse = raw.envelope
    if dsse.payload_type != PAYLOAD_TYPE:
        raise BadSignature(f"{_THING} payload type", expected=PAYLOAD_TYPE, found=dsse.payload_type)
    if len(dsse.signatures) != 1:
        raise BadSignature(_THING, expected="one signature", found=f"{len(dsse.signatures)}")
    payload = decode_base64(dsse.payload, f"{_THING} payload")
    signed = pae(dsse.payload_type, payload)
    if not ecdsa_verifies(key, decode_base64(dsse.signatures[0].sig, f"{_THING} sig"), signed, low_s=False):
        raise BadSignature(_THING, expected=f"one by key {hint[:12]}", found="one that does not verify")
    return payload


def _signed_listing(payload: bytes) -> tuple[dict[str, str], list[str]]:
    """Path → digest, and the paths that the signer left out."""
    raw = _parse(payload)
    if raw.get("predicateType") != PREDICATE_TYPE:
        raise BadSignature(f"{_THING} statement", expected=PREDICATE_TYPE, found=raw.get("predicateType"))
    statement = _ListingJson.enter(raw, _THING)
    how, listed = statement.predicate.serialization, statement.predicate.resources
    if (how.method, how.hash_type) != ("files", "sha256") or any(r.algorithm != "sha256" for r in listed):
        raise BadSignature(f"{_THING} method", expected="files by sha256", found=f"{how.method} by {how.hash_type}")
    root = _root([r.digest for r in listed])
    if [s.digest.get("sha256") for s in statement.subject] != [root]:
        raise BadSignature(f"{_THING} subject", expected=root, found="another digest, or not one subject")
    resources = {r.name: r.digest for r in listed}
    if len(resources) != len(listed):
        raise BadSignature(f"{_THING} resources", expected="each path once", found="a path twice")
    return resources, how.ignore_paths


def _parse(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as why:
        raise BadInput(_THING, expected="JSON", found=why) from why
    if not isinstance(value, dict):
        raise BadInput(_THING, expected="a JSON object", found=type(value).__name__)
    return value


def _root(digests: Iterable[str]) -> str:
    return hashlib.sha256(b"".join(bytes.fromhex(digest) for digest in digests)).hexdigest()


def _is_under(path: str, folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for folder in folders)


class _Foreign(Door):
    """A JSON object that another program wrote: strict types, but fields that we do not know are left alone."""

    model_config = ConfigDict(extra="ignore")


class _HintJson(_Foreign):
    hint: str | None = None  # absent before version 1.0.1


class _MaterialJson(_Foreign):
    public_key: _HintJson = Field(alias="publicKey")


class _SigJson(_Foreign):
    sig: str = Field(max_length=1024)


class _DsseJson(_Foreign):
    payload: str
    payload_type: str = Field(alias="payloadType")
    signatures: list[_SigJson]


class _BundleJson(_Foreign):
    media_type: str = Field(alias="mediaType")
    material: _MaterialJson = Field(alias="verificationMaterial")
    envelope: _DsseJson = Field(alias="dsseEnvelope")


class _ResourceJson(_Foreign):
    name: str
    algorithm: str
    digest: str = Field(pattern=r"^[0-9a-f]{64}\z")


class _SerializationJson(_Foreign):
    method: str
    hash_type: str
    ignore_paths: list[str] = Field(default=[])


class _PredicateJson(_Foreign):
    resources: list[_ResourceJson]
    serialization: _SerializationJson


class _SubjectJson(_Foreign):
    digest: dict[str, str]


class _ListingJson(_Foreign):
    subject: list[_SubjectJson]
    predicate: _PredicateJson
