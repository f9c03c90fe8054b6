"""The verb that proves: every byte of the store, the journal's chain and signatures, policies and releases.

Rules. What is checked is all of it; what is told is what the reader may know: whether a thing holds, and names only of
what they may read. A check that fails does not stop the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial

from casemate.catalog import Entry, Journal, JournalLine
from casemate.catalog.journal import read as read_line
from casemate.errors import BadSignature, CasemateError
from casemate.factory import policies
from casemate.factory.access import ENTER
from casemate.factory.desk import Desk, Progress
from casemate.factory.serving import load
from casemate.signing import Envelope, PublicKey, Signature
from casemate.signing.canonical import decode_base64
from casemate.signing.verify import verify as verify_envelope
from casemate.store import Digest, get_manifest, verify_store

_FOUNDED_WITH = frozenset({"markings", "gates", "trust", "exchange"})


def verify(desk: Desk, *, progress: Progress | None = None) -> list[dict[str, str]]:
    """Check everything; one row a check, `ok` or `damaged` with what was expected and found."""
    checks: tuple[Callable[[], Iterator[dict[str, str]]], ...] = (
        lambda: _policies(desk),
        lambda: _journal(desk),
        lambda: _objects(desk, progress),
        lambda: _releases(desk),
    )
    return [row for check in checks for row in check()]


def _row(what: str, detail: object, *, verdict: str = "ok") -> dict[str, str]:
    return {"what": what, "verdict": verdict, "detail": str(detail)}


def _told(what: str, check: Callable[[], object]) -> dict[str, str]:
    try:
        return _row(what, check())
    except CasemateError as no:
        return _row(what, no, verdict="damaged")


def _policies(desk: Desk) -> Iterator[dict[str, str]]:
    for name in policies.NAMES:
        if name not in _FOUNDED_WITH and not policies.versions(desk.view, name):
            continue  # a site has it from its first version on
        yield _told(f"policy {name}", partial(_copy_matches, desk, name))


def _copy_matches(desk: Desk, name: str) -> str:
    entry = policies.latest(desk.view, name)
    file = desk.site.root / "policy" / f"{name}.toml"
    expected, found = Digest.of_bytes(policies.text_of(desk.store, entry)), Digest.of_file(file)
    if expected != found:
        raise BadSignature(file, expected=f"the policy in force, {expected}", found=found)
    return f"version {entry.facts['serial']}, signed by the officer"


def _journal(desk: Desk) -> Iterator[dict[str, str]]:
    def chain() -> str:
        desk.catalog.verify()
        return "the chain holds, and every record is the one that was written"

    rows = [_told("journal", chain), _told("journal signatures", lambda: _signatures(desk, desk.catalog.journal))]
    for row in rows:
        # A line that does not hold may be about something above the reader: only officers are told which.
        yield row if row["verdict"] == "ok" or _is_officer(desk) else {**row, "detail": "does not hold; ask an officer"}


def _signatures(desk: Desk, journal: Journal) -> str:
    keys: dict[str, PublicKey] = {}
    owners: dict[str, str] = {}  # of API keys, as the lines before tell
    for text in journal.lines():
        line = read_line(text)
        if line.act.verb == "apikey.add" and line.act.outcome == "done":
            owners[line.act.about] = line.act.actor
        if line.signature is not None:
            _check_signature(desk, line, keys, owners)
    return "each signed act was signed by the key of who acted, or by the site's for an API key of theirs"


def _check_signature(desk: Desk, line: JournalLine, keys: dict[str, PublicKey], owners: Mapping[str, str]) -> None:
    seal = line.signature or {}
    keyid = str(seal.get("keyid"))
    if keyid not in keys:
        keys[keyid] = _public(desk, keyid)
    if keyid in _of_the_site(desk):
        _refuse_unless_for_a_program(line, owners)
    thing = f"journal line of {line.act.time}"
    pairs = seal.get("signatures", [])
    signatures = tuple(Signature(str(s["keyid"]), decode_base64(str(s["sig"]), thing)) for s in pairs)
    payload_type = str(seal.get("payloadType"))
    verify_envelope(
        Envelope(payload_type, line.act.to_json(), signatures), [keys[keyid]], payload_type=payload_type, thing=thing
    )


def _public(desk: Desk, keyid: str) -> PublicKey:
    sites = _of_the_site(desk)
    if keyid in sites:
        return sites[keyid]
    return PublicKey.from_json(desk.catalog.sign_in_by_key(keyid).public_key.encode(), thing=f"key {keyid}")


def _of_the_site(desk: Desk) -> dict[str, PublicKey]:
    return {key.public.keyid: key.public for key in desk.trust.keys if "site" in key.roles}


def _refuse_unless_for_a_program(line: JournalLine, owners: Mapping[str, str]) -> None:
    """The site's key signs for who came with an API key of their own, and what it refuses at the entrance."""
    if line.act.verb == ENTER and line.act.outcome == "refused":
        return
    expected = owners.get(str(line.act.facts.get("apikey")), "an API key of who acted")
    if expected != line.act.actor:
        thing = f"journal line of {line.act.time}, signed by the site"
        raise BadSignature(thing, expected=expected, found=line.act.actor)


def _objects(desk: Desk, progress: Progress | None) -> Iterator[dict[str, str]]:
    live = [entry.digest for entry in desk.view.walk()]
    damaged = verify_store(desk.store, live=live, progress=progress)
    if not _is_officer(desk):
        # Others learn nothing of objects that only entries above them name, not even that one is damaged.
        named = {digest for entry in live for digest in _named_by(desk, entry)}
        damaged = [damage for damage in damaged if damage.digest in named]
    if not damaged:
        yield _row("objects", "every object is the one that its name says")
    for damage in damaged:
        yield _row(f"object {damage.digest}", f"expected {damage.expected}, found {damage.found}", verdict="damaged")


def _named_by(desk: Desk, digest: Digest) -> Iterator[Digest]:
    """An entry's digest and, where it is that of a manifest, those of its files."""
    yield digest
    try:
        yield from (file.digest for file in get_manifest(desk.store, digest).files)
    except CasemateError:
        return  # not a manifest, or a damaged one, which has its own line


def _is_officer(desk: Desk) -> bool:
    return "officer" in desk.person.roles


def _releases(desk: Desk) -> Iterator[dict[str, str]]:
    for entry in desk.view.walk(kind="release"):
        yield _told(f"release {entry.name}", partial(_held, desk, entry))


def _held(desk: Desk, entry: Entry) -> str:
    return f"valid until {load(desk, entry).release.expires.date()}"
