"""The desk: what every verb needs. A site that was verified, and a person whose key is unlocked.

Rules. Who acts is who holds the key: the key's id names the person, and a flag makes nobody somebody else. Every act
and every refusal goes into the journal, signed by that key. All reading goes through `view`, that is `seen_by(reader)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from casemate.airlock.exchange import ExchangePolicy
from casemate.catalog import Catalog, Entry, Person, Reader, View
from casemate.catalog.catalog import JOURNALLED
from casemate.catalog.site import meet
from casemate.errors import BadInput, BadSignature, CasemateError, DiskFull, NotAllowed, NotFound, Unavailable
from casemate.factory import policies
from casemate.factory.site import Site, SiteToml, read_settings
from casemate.gates import GatePolicy
from casemate.gates.pen import through_agent, unlock
from casemate.markings import Clearance, Marking, Policy
from casemate.signing import PublicKey, Signer, Trust
from casemate.signing.canonical import encode_base64
from casemate.signing.keys import KeyFile
from casemate.store import ObjectStore

ACT_TYPE = "application/vnd.casemate.act+json"

Progress = Callable[[int, int, str], None]


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


@dataclass(frozen=True)
class Desk:
    """A verified site and who acts on it."""

    site: Site
    catalog: Catalog
    store: ObjectStore
    person: Person
    reader: Reader
    pen: Signer
    trust: Trust
    officer: PublicKey
    now: Callable[[], datetime]

    @property
    def view(self) -> View:
        """The catalog as this person sees it."""
        return self.catalog.seen_by(self.reader)

    def gate_policy(self, modality: str) -> GatePolicy:
        """The gate's policy in force for models of a modality."""
        return policies.read_gates(self.view, self.store, self.trust, now=self.now(), modality=modality)

    def exchange_policy(self) -> ExchangePolicy:
        """The policy of exchange in force."""
        return policies.read_exchange(self.view, self.store, self.officer)

    def sign(self, act: bytes) -> Mapping[str, Any]:
        """The signature of who acts over an act, as the journal keeps it."""
        return signature_of(self.pen, act)

    def under(self, ceiling: str) -> Self:
        """The same desk, seeing and making nothing above `ceiling` either."""
        asked, before = self.site.policy.parse(ceiling), self.reader.ceiling
        return replace(self, reader=replace(self.reader, ceiling=asked if before is None else meet(before, asked)))

    @contextmanager
    def act(self, verb: str, subject: str) -> Iterator[None]:
        """Whatever is refused inside is in the journal before it is raised again."""
        try:
            yield
        except CasemateError as no:
            if JOURNALLED not in getattr(no, "__notes__", ()):
                self._refused(verb, subject, no)
            raise

    def _refused(self, verb: str, subject: str, no: CasemateError) -> None:
        try:
            self.catalog.journal.append(
                self.reader, verb, subject[:500], outcome="refused", reason=str(no)[:4000], sign=self.sign
            )
        except Unavailable:
            if not isinstance(no, DiskFull):  # which leaves no room for a line either, and says more
                raise
        no.add_note(JOURNALLED)

    def note(self, verb: str, subject: str, *, about: Entry, marking: Marking, facts: Mapping[str, Any]) -> None:
        """An act that makes no entry, in the journal."""
        self.catalog.journal.append(
            self.reader, verb, subject[:500], marking=marking, about=about.id, facts=facts, sign=self.sign
        )

    def admitted_marking(self, text: str, thing: str) -> Marking:
        """A marking as typed, refused early where it could not be written in the end."""
        return self.catalog.site.admit_from(self.site.policy.parse(text), self.reader, thing=thing)

    def project_marking(self, name: str) -> Marking:
        """Marking of the project in which this person is about to act, as one of its members."""
        project = self.view.project(name)
        if self.person.name not in project.members:
            raise NotAllowed(f"project {name}", expected=f"{self.person.name} among its members", found="a non-member")
        return project.marking


def open_desk(
    root: Path, *, key: Path | None, passphrase: Callable[[], bytes], ceiling: str | None, now: Callable[[], datetime]
) -> Desk:
    """Verify the site's policies, unlock the key and find whose it is."""
    settings = read_settings(root)
    officer = read_officer(root, settings)
    policy = policies.read_markings(root / "policy", officer)
    site = Site(root, settings, policy, policy.parse(settings.ceiling))
    if key is None:
        raise NotAllowed("session", expected="your key (--key, or CASEMATE_KEY)", found="none")
    pen = pen_of(key, passphrase)
    catalog = Catalog.open(site.catalog_url, policy, ceiling=site.ceiling, clock=now)
    person = _whose(catalog, pen, policy)
    reader = person.reader(policy.parse(ceiling) if ceiling else None)
    view, store = catalog.seen_by(reader), site.store()
    policies.require_latest_markings(root, view)
    trust = policies.read_trust(view, store, officer)
    _refuse_untrusted(catalog, reader, trust, pen)
    return Desk(site, catalog, store, person, reader, pen, trust, officer, now)


def read_officer(root: Path, settings: SiteToml) -> PublicKey:
    """The officer's public key, which must be the one that site.toml pins."""
    file = root / "officer.pub.json"
    if not file.is_file():
        raise NotFound(file, expected="the officer's public key", found="none")
    public = PublicKey.from_json(file.read_bytes(), thing=str(file))
    if public.keyid != settings.officer_keyid:
        raise BadSignature(file, expected=f"key {settings.officer_keyid} of site.toml", found=public.keyid)
    return public


def pen_of(key: Path, passphrase: Callable[[], bytes]) -> Signer:
    """The pen in a key file, unlocked; or that of the agent which listens at this path."""
    if key.is_socket():
        return through_agent(key)
    return unlock(key, passphrase() if is_protected(key) else None)


def is_protected(key: Path) -> bool:
    """Whether a key file needs a passphrase; one that cannot be read is reported when it is unlocked."""
    try:
        return KeyFile.from_json(key.read_bytes(), thing=f"key file {key}").protected
    except (OSError, BadInput):
        return False


def signature_of(pen: Signer, act: bytes) -> dict[str, Any]:
    """A detached signature over an act: the envelope without its payload, which is the journal's line."""
    envelope = pen.sign_bytes(ACT_TYPE, act)
    signatures = [{"keyid": s.keyid, "sig": encode_base64(s.sig)} for s in envelope.signatures]
    return {"keyid": pen.public.keyid, "payloadType": ACT_TYPE, "signatures": signatures}


def _whose(catalog: Catalog, pen: Signer, policy: Policy) -> Person:
    try:
        return catalog.sign_in_by_key(pen.public.keyid)
    except NotFound as stranger:
        # Nobody's act, told to those who may read everything.
        everything = Clearance(policy.levels[-1], policy.compartments, policy.home_nationality)
        catalog.journal.append(
            Reader(f"key {pen.public.keyid[:12]}", everything), "session.open", "this site", outcome="refused",
            reason=str(stranger),
        )  # fmt: skip
        raise


def _refuse_untrusted(catalog: Catalog, reader: Reader, trust: Trust, pen: Signer) -> None:
    for key in trust.named(reader.person_name):
        if key.public.keyid == pen.public.keyid and key.revoked:
            no = BadSignature(f"session of {key.name}", expected="a key in force", found="a revoked key")
            catalog.journal.append(reader, "session.open", "this site", outcome="refused", reason=str(no))
            raise no
