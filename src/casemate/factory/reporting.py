"""Inspection without taking anything in, and the reports of what waits: for officers to read, check and file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from casemate.airlock import InspectionReport, admit
from casemate.airlock.bundle import check, read_head
from casemate.airlock.bundle.manifest import ENVELOPE
from casemate.airlock.formats import ARCHIVES
from casemate.airlock.inspection_statement import check as check_report
from casemate.airlock.page import PageFacts, Signatory, page
from casemate.airlock.page_words import Words
from casemate.errors import BadInput, NotAllowed, NotFound
from casemate.factory import passage, peers
from casemate.factory.desk import Desk, Progress
from casemate.factory.inspecting import INSPECTION, Inspected, formats_of, inspected
from casemate.factory.writing import new_folder, refuse_existing
from casemate.markings import Marking
from casemate.signing import Envelope, Statement
from casemate.signing.statement import read_instant
from casemate.store import Digest, get_bytes
from casemate.store.whole import write_whole


def inspect(
    desk: Desk, source: Path, *, kind: str, modality: str, out: Path | None, progress: Progress | None = None
) -> dict[str, Any]:
    """Inspect a folder or file and take nothing in; with `out`, the signed report is written there."""
    with desk.act("airlock.inspect", f"{kind} {source.name}"):
        if out is not None:
            refuse_existing(out)
        with admit(source, desk.site.quarantine, progress=progress) as admitted:
            allowed = formats_of(kind, modality) | ARCHIVES.keys()
            found = inspected(desk, admitted, allowed, progress=progress)
        if out is not None:
            _write(desk, out, {"": found.facts()}, desk.catalog.site.highest(desk.reader), source.name, {})
        return {"verdict": "clean" if found.report.clean else "refused", **found.facts(), "files": _lines(found)}


def order_reports(desk: Desk, order: str, folder: Path) -> dict[str, Any]:
    """Write the reports of a delivery into a new folder: pages, JSON and signed statements, one set an entry."""
    with desk.act("airlock.report", f"order {order}"):
        placed = passage.find(desk, order, "in")
        facts = placed.order.facts
        items: Sequence[Mapping[str, Any]] = facts.get("entries") or [facts]
        named = {f"{number}-{item['kind']}": item for number, item in enumerate(items, 1)}
        more = {"order.json": placed.order.to_json()}
        _write(desk, folder, named, placed.entry.marking, placed.entry.name, more)
        desk.note("airlock.report", placed.entry.name, about=placed.entry, marking=placed.entry.marking, facts={})
        return {"order": placed.entry.id, "folder": str(folder), "reports": len(named)}


def verify_bundle(desk: Desk, sources: Sequence[Path], *, progress: Progress | None = None) -> dict[str, Any]:
    """Check every byte of a bundle that this site sealed, or that a peer did; nothing is taken in."""
    with desk.act("airlock.verify", ", ".join(source.name for source in sources)):
        head = read_head(sources[0])
        label = head.manifest.label
        trust = desk.trust
        if label.source != desk.site.name:
            trust = peers.trust_of(desk, desk.exchange_policy().peer(label.source, "in"), peers.offered(head))
        marking = desk.site.policy.parse(label.marking)
        if not desk.reader.may_read(marking):
            raise NotAllowed(f"bundle of {label.source}", expected=f"a reader of {marking}", found=desk.person.name)
        found = check(sources, trust, desk.now(), progress=progress)
        return {
            "source": label.source, "destination": label.destination, "marking": label.marking,
            "sequence": label.sequence, "manifest": str(found.digest), "entries": len(found.entries),
            "objects": found.count, "bytes": found.size, "sent_bytes": found.sent,
        }  # fmt: skip


def is_bundle(source: Path) -> bool:
    """Whether something says that it is a bundle, or a volume of one; whether it is one is checked later."""
    if source.is_dir():
        return (source / ENVELOPE).exists()
    try:
        read_head(source)
    except (BadInput, NotFound):
        return False  # an archive that is no bundle
    return True


def _write(
    desk: Desk, folder: Path, items: Mapping[str, Mapping[str, Any]], marking: Marking, title: str,
    more: Mapping[str, bytes],
) -> None:  # fmt: skip
    with new_folder(folder) as place:
        for stem, item in items.items():
            report, signed = (get_bytes(desk.store, Digest.parse(str(item[key]))) for key in INSPECTION)
            prefix = f"{stem}-" if stem else ""
            write_whole(place / f"{prefix}report.json", report)
            write_whole(place / f"{prefix}report.dsse.json", signed)
            write_whole(place / f"{prefix}report.html", page(_page_facts(desk, report, signed, marking, title)))
        for name, data in more.items():
            write_whole(place / name, data)


def _page_facts(desk: Desk, report: bytes, signed: bytes, marking: Marking, title: str) -> PageFacts:
    envelope = Envelope.from_json(signed, thing="inspection statement")
    statement = Statement.from_json(envelope.payload, thing="inspection statement")
    check_report(statement, report)
    at = read_instant(str(statement.predicate["inspected_at"]), "inspection statement")
    key = desk.trust.signer(envelope, thing="inspection statement").public.keyid
    policy = desk.site.policy
    return PageFacts(
        InspectionReport.from_json(report), title, desk.site.name,
        Words(policy.wording(marking, "en"), policy.wording(marking, "fr")), at,
        (Signatory(desk.site.name, Words("site", "site"), key, at),),
        first_language="fr" if policy.name == "fr" else "en",
    )  # fmt: skip


def _lines(found: Inspected) -> list[dict[str, str]]:
    return [
        {"path": line.path, "type": line.type, "verdict": "clean" if line.clean else "refused",
         "finding": "; ".join(f"expected {x.expected}, found {x.found}" for x in line.findings)}
        for line in found.report.files
    ]  # fmt: skip
