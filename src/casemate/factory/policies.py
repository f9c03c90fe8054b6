"""The site's policies: markings, gates, trust, exchange. TOML, signed by the officer, versioned in the catalog.

Rules. A policy in force is the latest version in the catalog; its envelope is an object of the store, and the file in
`policy/` is a copy to read with `cat`. Only the policy of markings is read from its file, because the catalog needs it
to open; it must be the latest registered, so that an older one put back is refused.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from casemate.airlock.exchange import ExchangePolicy, load_exchange, sign_exchange
from casemate.catalog import Catalog, Entry, NewEntry, Reader, Sign, View, projects
from casemate.errors import BadInput, BadSignature, NotFound
from casemate.gates import GatePolicy, load_policy, sign_policy
from casemate.markings import Policy
from casemate.serving.answers.prompts import PROMPTS_TYPE, Prompts
from casemate.signing import Envelope, PublicKey, Signer, Trust, load_trust, sign_trust
from casemate.signing.verify import verify
from casemate.store import Digest, ObjectStore, get_bytes, put_bytes
from casemate.store.whole import write_whole

MARKINGS_TYPE = "application/vnd.casemate.marking-policy+toml"
SITE_PROJECT = projects.SITE_PROJECT
GATES = ("gates", "gates-language")  # the first is for every modality without a policy of its own
NAMES = ("markings", *GATES, "trust", "exchange", "prompts")
CHANGED_BY_FILE = ("markings", *GATES, "exchange", "prompts")


def sign_markings(text: str, pen: Signer) -> bytes:
    """The envelope in which the officer vouches for a policy of markings."""
    Policy.from_toml(text)
    return pen.sign_bytes(MARKINGS_TYPE, text.encode()).to_json()


def read_markings(folder: Path, officer: PublicKey) -> Policy:
    """The policy of markings in a site's `policy/`, which the officer must have signed."""
    file = folder / "markings.dsse.json"
    if not file.is_file():
        raise NotFound(file, expected="the site's signed policy of markings", found="none")
    envelope = Envelope.from_json(file.read_bytes(), thing=str(file))
    verify(envelope, [officer], payload_type=MARKINGS_TYPE, thing="policy of markings")
    return Policy.from_toml(envelope.payload.decode(), source=str(file))


def latest(view: View, name: str, *, until: datetime | None = None) -> Entry:
    """The entry of the policy in force, now or at another time."""
    known = [e for e in versions(view, name) if until is None or e.created <= until]
    if not known:
        raise NotFound(f"policy {name}", expected="a registered policy", found="none")
    return max(known, key=lambda entry: int(entry.facts["serial"]))


def versions(view: View, name: str) -> list[Entry]:
    """Every version of a policy that was registered."""
    return [e for e in view.walk(kind="policy", project=SITE_PROJECT) if e.facts.get("policy") == name]


def envelope_of(store: ObjectStore, entry: Entry) -> bytes:
    """The signed envelope of a registered policy."""
    return get_bytes(store, entry.digest)


def text_of(store: ObjectStore, entry: Entry) -> bytes:
    """The TOML of a registered policy (its signature is checked by who reads it as a policy)."""
    return Envelope.from_json(envelope_of(store, entry), thing=f"policy {entry.name}").payload


def read_trust(view: View, store: ObjectStore, officer: PublicKey) -> Trust:
    """The trust file in force."""
    entry = latest(view, "trust")
    text, envelope = text_of(store, entry), envelope_of(store, entry)
    return load_trust(text, envelope, officer, serial_floor=int(entry.facts["serial"]))


def gates_name(view: View, modality: str) -> str:
    """The name of the gate's policy in force for a modality: its own where the site has one, else `gates`."""
    own = f"gates-{modality}"
    return own if own in GATES and versions(view, own) else "gates"


def read_gates(view: View, store: ObjectStore, trust: Trust, *, now: datetime, modality: str = "") -> GatePolicy:
    """The gate's policy in force for a modality."""
    entry = latest(view, gates_name(view, modality))
    return load_policy(text_of(store, entry), envelope_of(store, entry), trust, now=now)


def read_exchange(view: View, store: ObjectStore, officer: PublicKey) -> ExchangePolicy:
    """The policy of exchange in force."""
    return load_exchange(envelope_of(store, latest(view, "exchange")), officer)


def read_prompts(view: View, store: ObjectStore, officer: PublicKey) -> Prompts:
    """The assistant's prompts in force: those that the officer signed last, else those that come with Casemate."""
    if not versions(view, "prompts"):
        return Prompts.shipped()
    entry = latest(view, "prompts")
    envelope = Envelope.from_json(envelope_of(store, entry), thing="prompts")
    verify(envelope, [officer], payload_type=PROMPTS_TYPE, thing="prompts")
    return Prompts.from_toml(envelope.payload.decode(), serial=int(entry.facts["serial"]))


def require_latest_markings(root: Path, view: View) -> None:
    """Refuse a policy of markings that was put back."""
    found = Digest.of_file(root / "policy" / "markings.dsse.json")
    entry = latest(view, "markings")
    if found != entry.digest:
        raise BadSignature("policy of markings", expected=f"the latest registered, {entry.digest}", found=found)


def signed(name: str, text: str, pen: Signer, *, serial: int) -> bytes:
    """The envelope of a new version of a policy; BadInput if the text is not one."""
    match name:
        case "markings":
            return sign_markings(text, pen)
        case "gates" | "gates-language":
            return sign_policy(GatePolicy.from_toml(text), pen)
        case "trust":
            trust = Trust.from_toml(text)
            if trust.serial != serial:
                raise BadInput("trust file", expected=f"serial {serial}", found=trust.serial)
            return sign_trust(trust, pen)[1]
        case "exchange":
            return sign_exchange(ExchangePolicy.from_toml(text), pen)
        case "prompts":
            return pen.sign_bytes(PROMPTS_TYPE, Prompts.from_toml(text).text.encode()).to_json()
        case _:
            raise BadInput("policy", expected=" or ".join(NAMES), found=name)


def put_in_force(
    root: Path, catalog: Catalog, store: ObjectStore, name: str, envelope: bytes,
    *, serial: int, by: Reader, reason: str, sign: Sign | None,
) -> Entry:  # fmt: skip
    """Keep the envelope, register it, and write the copies that people read."""
    digest = put_bytes(store, envelope)
    lowest = catalog.site.policy.lowest
    facts: Mapping[str, object] = {"policy": name, "serial": serial}
    new = NewEntry("policy", f"{name} {serial}", SITE_PROJECT, lowest, digest, facts=facts)
    entry = catalog.register(new, by=by, reason=reason, sign=sign)
    write_copy(root, name, envelope)
    return entry


def write_copy(root: Path, name: str, envelope: bytes) -> None:
    """The envelope and its text in `policy/`, each renamed into place."""
    folder = root / "policy"
    folder.mkdir(exist_ok=True)
    text = Envelope.from_json(envelope, thing=f"policy {name}").payload
    for file, data in ((folder / f"{name}.toml", text), (folder / f"{name}.dsse.json", envelope)):
        write_whole(file, data)


def pretty(value: object) -> bytes:
    """Readable JSON of a fact file."""
    return (json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()
