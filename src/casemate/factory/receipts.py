"""Receipts: signed answers to bundles, written for their senders, and read back where the bundles came from.

Rules. The site's key signs a receipt in the same act that takes a bundle in, or refuses it. A receipt that comes back
is believed only for a bundle that this site sealed, under the number and marking that it has here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from casemate.airlock.bundle import BundleManifest
from casemate.airlock.ledger import Place
from casemate.airlock.receipts import Outcome, Receipt, read_receipt
from casemate.catalog import Entry, NewEntry
from casemate.errors import BadInput, BadSignature, NameTaken, NotFound
from casemate.factory import peers, policies
from casemate.factory.desk import Desk
from casemate.factory.policies import SITE_PROJECT
from casemate.factory.writing import new_folder, small_file
from casemate.gates.pen import unlock
from casemate.markings import Marking
from casemate.signing import Envelope, Statement
from casemate.store import get_bytes, put_bytes
from casemate.store.whole import write_whole

TRUST_FILE = "trust.dsse.json"
_MAX_FILES = 10_000


def new_receipt(
    desk: Desk, manifest: BundleManifest, marking: Marking, where: Place, outcome: Outcome, reason: str,
    entries: Mapping[str, str],
) -> NewEntry:  # fmt: skip
    """The entry of a receipt that this site's key signs now."""
    label = manifest.label
    receipt = Receipt(
        manifest.digest.hex, label.source, desk.site.name, label.marking, label.sequence, outcome, reason[:4000],
        entries, where.missing, desk.now(),
    )  # fmt: skip
    envelope = unlock(desk.site.site_key, None).sign(receipt.statement())
    digest = put_bytes(desk.store, envelope.to_json())
    name = f"receipt for {label.source} {label.sequence}: {outcome} ({envelope.hex[:8]})"
    return NewEntry("receipt", name, SITE_PROJECT, marking, digest, facts=_facts(receipt, "out", label.source))


def refuse(desk: Desk, manifest: BundleManifest, marking: Marking, where: Place, reason: str) -> None:
    """Keep a receipt that says that a bundle was refused, and why."""
    entries = {entry.id: "refused" for entry in manifest.entries}
    new = new_receipt(desk, manifest, marking, where, "refused", reason, entries)
    desk.catalog.register(new, by=desk.reader, reason=reason[:4000], sign=desk.sign)


def receipts(desk: Desk) -> list[dict[str, Any]]:
    """The receipts given and received that this person may see, newest first; and the bundles without one."""
    with desk.act("airlock.receipts", "receipts"):
        rows = [_row(entry) for entry in desk.view.walk(kind="receipt", project=SITE_PROJECT)]
        answered = {row["manifest"] for row in rows if row["direction"] == "in"}
        open_ = [_unanswered(e) for e in desk.view.walk(kind="bundle", project=SITE_PROJECT)
                 if e.facts["direction"] == "out" and e.facts["manifest"] not in answered]  # fmt: skip
        return [*open_, *rows]


def write_receipts(desk: Desk, peer: str, folder: Path) -> dict[str, Any]:
    """Write the receipts for a peer into a new folder, with the trust file that vouches for them."""
    with desk.act("airlock.receipts.write", f"receipts for {peer}"):
        found = [entry for entry in desk.view.walk(kind="receipt", project=SITE_PROJECT)
                 if (entry.facts["direction"], entry.facts["peer"]) == ("out", peer)]  # fmt: skip
        if not found:
            raise NotFound(
                f"receipts for {peer}", expected="a bundle of theirs that was taken in or refused", found="none"
            )
        with new_folder(folder) as place:
            write_whole(place / TRUST_FILE, policies.envelope_of(desk.store, policies.latest(desk.view, "trust")))
            for entry in found:
                write_whole(place / f"receipt-{entry.digest.hex}.dsse.json", get_bytes(desk.store, entry.digest))
                desk.note("airlock.receipt", entry.name, about=entry, marking=entry.marking, facts={"peer": peer})
        return {"peer": peer, "receipts": len(found), "folder": str(folder)}


def read_receipts(desk: Desk, source: Path) -> list[dict[str, Any]]:
    """Reconcile receipts that came back (a file, or a folder of them) with the bundles that this site sent."""
    with desk.act("airlock.receipts.read", f"receipts in {source.name}"):
        files = sorted(source.glob("receipt-*.dsse.json")) if source.is_dir() else [source]
        if not files or len(files) > _MAX_FILES:
            raise BadInput(source, expected="receipts (receipt-….dsse.json)", found=f"{len(files)} files")
        trust = source / TRUST_FILE if source.is_dir() else source.with_name(TRUST_FILE)
        offered = small_file(trust) if trust.is_file() else None
        return [row for file in files for row in _reconcile(desk, file, offered)]


def _reconcile(desk: Desk, file: Path, offered: bytes | None) -> Iterator[dict[str, Any]]:
    envelope = Envelope.from_json(small_file(file), thing=file.name)
    sent = _about(desk, envelope, file.name)
    peer = desk.exchange_policy().peer(str(sent.facts["peer"]), "out")
    receipt = read_receipt(envelope, peers.trust_of(desk, peer, offered), now=desk.now())
    said = (receipt.manifest, receipt.sender, receipt.by, receipt.marking, receipt.sequence)
    known = (sent.facts["manifest"], desk.site.name, peer.name, sent.facts["channel"], sent.facts["sequence"])
    if said != known:
        raise BadSignature(file.name, expected=f"a receipt for bundle {known}", found=said)
    peers.keep_trust(desk, peer, offered)
    digest = put_bytes(desk.store, envelope.to_json())
    name = f"receipt of {peer.name} {receipt.sequence}: {receipt.outcome} ({envelope.hex[:8]})"
    facts = _facts(receipt, "in", peer.name)
    new = NewEntry("receipt", name, SITE_PROJECT, sent.marking, digest, (sent.id,), facts)
    try:
        made = desk.catalog.register(new, by=desk.reader, sign=desk.sign)
    except NameTaken:  # the same receipt once more
        yield {**_row(desk.view.find(name, kind="receipt")), "state": "known"}
        return
    yield {**_row(made), "state": "reconciled"}


def _about(desk: Desk, envelope: Envelope, thing: str) -> Entry:
    """The bundle that a receipt claims to answer, by what it says; whether it may say so is checked afterwards."""
    statement = Statement.from_json(envelope.payload, thing=thing)
    claimed = {subject.digest for subject in statement.subjects}
    for entry in desk.view.walk(kind="bundle", project=SITE_PROJECT):
        if entry.facts["direction"] == "out" and entry.facts["manifest"] in claimed:
            return entry
    raise NotFound(thing, expected="a receipt for a bundle that this site sent", found="for none that you may see")


def _facts(receipt: Receipt, direction: str, peer: str) -> dict[str, Any]:
    return {**receipt.facts(), "direction": direction, "peer": peer}


def _row(entry: Entry) -> dict[str, Any]:
    keys = ("direction", "peer", "marking", "sequence", "outcome", "reason", "manifest", "missing", "at")
    return {"id": entry.id, **{key: entry.facts[key] for key in keys}}


def _unanswered(bundle: Entry) -> dict[str, Any]:
    return {
        "id": bundle.id, "direction": "awaited", "peer": bundle.facts["peer"], "marking": str(bundle.marking),
        "sequence": bundle.facts["sequence"], "outcome": "", "reason": "", "manifest": bundle.facts["manifest"],
        "missing": [], "at": "",
    }  # fmt: skip
