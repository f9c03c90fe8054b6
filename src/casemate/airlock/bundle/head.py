"""The head of a bundle: its manifest, the envelope in which a site vouches for it, and the statements that travel.

Rules. The envelope holds an in-toto statement whose subject is the manifest's SHA-256; both halves of one key sign it.
Reading a head proves nothing; `verify_head` does, for a key that the caller's trust file gives the role of a site or an
officer. There is no way round it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from casemate.airlock.bundle.manifest import ENVELOPE, MANIFEST, BundleManifest, SignedFile, kind_of_statement
from casemate.airlock.bundle.terms import Label
from casemate.errors import BadInput, BadSignature, DigestMismatch
from casemate.signing.envelope import Envelope
from casemate.signing.signer import Signer
from casemate.signing.statement import Statement, Subject
from casemate.signing.trust import Trust, TrustedKey, said
from casemate.store.digest import Digest

BUNDLE_TYPE = "urn:casemate:bundle:1"
ROLES = ("site", "officer")
_STATEMENTS_BYTES_MAX = 64 << 20


@dataclass(frozen=True)
class Head:
    """A manifest, its envelope and statements as they were read: nothing in it is trusted yet.

    The statements are those of the manifest, by name; they are at hand here because a peer's own trust file is one.
    """

    manifest: BundleManifest
    manifest_bytes: bytes
    envelope: Envelope
    envelope_bytes: bytes
    statements: Mapping[str, bytes]
    where: str = ""

    @classmethod
    def read(cls, read: Callable[[str], bytes], *, where: str = "") -> Head:
        """A head whose files are given by `read(path)`, in the order of an archive; names the one that is at fault.

        Raises BadInput, or NotTrusted for a manifest or statement that is not what the envelope or manifest says.
        `where` goes before every name.
        """
        manifest, envelope = read(MANIFEST), read(ENVELOPE)
        opened = Envelope.from_json(envelope, thing=f"{where}{ENVELOPE}")
        _refuse_other_subject(opened, Digest.of_bytes(manifest), where)
        said = BundleManifest.from_json(manifest, thing=f"{where}{MANIFEST}")
        if (size := sum(item.file.size for item in said.statements)) > _STATEMENTS_BYTES_MAX:
            raise BadInput(
                f"{where}{MANIFEST} statements", expected=f"at most {_STATEMENTS_BYTES_MAX} bytes", found=size
            )
        statements = {item.name: _statement(item, read(item.file.path), where) for item in said.statements}
        return cls(said, manifest, opened, envelope, statements, where)

    def statement(self, name: str) -> bytes | None:
        """The bytes of a statement, or None where none of that name travels."""
        return self.statements.get(name)

    @property
    def digest(self) -> Digest:
        """The name of the bundle."""
        return Digest.of_bytes(self.manifest_bytes)


def sign_manifest(manifest: BundleManifest, pen: Signer) -> Envelope:
    """The envelope in which `pen` vouches for a bundle."""
    subject = Subject(MANIFEST, manifest.digest.hex)
    return pen.sign(Statement(BUNDLE_TYPE, (subject,), _predicate(manifest.label)))


def verify_head(head: Head, trust: Trust, now: datetime) -> TrustedKey:
    """The site's or officer's key that signed `head`; BadSignature naming the file at fault otherwise."""
    thing = f"{head.where}{ENVELOPE}"
    key = trust.signer(head.envelope, thing=thing)
    role = next((role for role in ROLES if role in key.roles), None)
    if role is None:
        expected = f"a key with role {' or '.join(ROLES)}"
        raise BadSignature(f"{thing} by {key.name}", expected=expected, found=", ".join(sorted(key.roles)))
    key.check(role=role, now=now, thing=thing)
    _refuse_other_subject(head.envelope, head.digest, head.where)
    statement = said(head.envelope, predicate_type=BUNDLE_TYPE, thing=thing)
    if dict(statement.predicate) != _predicate(head.manifest.label):
        raise BadSignature(thing, expected="the label of its manifest", found="another")
    return key


def _refuse_other_subject(envelope: Envelope, manifest: Digest, where: str) -> None:
    """Damage is told from the envelope's own account, before anything that the manifest says is followed."""
    subjects = Statement.from_json(envelope.payload, thing=f"{where}{ENVELOPE}").subjects
    if [(subject.name, subject.digest) for subject in subjects] != [(MANIFEST, manifest.hex)]:
        named = " and ".join(f"{subject.name} {subject.digest}" for subject in subjects[:2])
        raise BadSignature(f"{where}{MANIFEST}", expected=f"what {ENVELOPE} names, {named}", found=manifest.hex)


def _statement(item: SignedFile, data: bytes, where: str) -> bytes:
    path = f"{where}{item.file.path}"
    if Digest.of_bytes(data) != item.file.digest:
        raise DigestMismatch(path, expected=item.file.digest, found=Digest.of_bytes(data))
    if (kind := kind_of_statement(data, path)) != item.kind:
        raise DigestMismatch(path, expected=item.kind, found=kind)
    return data


def _predicate(label: Label) -> dict[str, Any]:
    facts = vars(label)
    return {name: facts[name] for name in ("source", "destination", "marking", "sequence", "previous")}
