"""The way in for what is no bundle: a folder from a courier, a starter pack, Casemate's own software.

Rules. Nobody vouches for a courier's folder, so everything in it is inspected, read as what it is said to be, and waits
for two people. A starter pack is exactly what the officer's signed list says, file by file. Software is what its own
list says, and the digest of that list is typed by who asks for it and seen by who decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from casemate.airlock import Admitted, AdmittedFile, Finding, InspectedFile, admit, require_clean
from casemate.airlock.formats import ARCHIVES
from casemate.airlock.layout import lay_out
from casemate.airlock.packs import Pack, check, load_pack, read, shipped, sign_pack
from casemate.airlock.packs.software import SOFTWARE_FILE, check_software
from casemate.airlock.waiting import OBJECTS, Waiting, shelve
from casemate.errors import BadInput, DigestMismatch
from casemate.factory import incoming, policies
from casemate.factory.datasets import Reading
from casemate.factory.desk import Desk, Progress
from casemate.factory.documents import Read, Told, read_set
from casemate.factory.inspecting import Inspected, formats_of, inspected, report_kept
from casemate.factory.members import require_officer
from casemate.factory.taking import CONTENT
from casemate.markings import Marking
from casemate.signing.openssf import SIGNATURE_FILE, verify_listing
from casemate.store import Digest
from casemate.store.staging import full_disk_named

KINDS = ("dataset", "documents", "model", "software")


@dataclass(frozen=True)
class Delivery:
    """What a courier's folder is said to be, and where it shall go; `origin` says where it came from."""

    kind: str
    name: str
    project: str
    marking: str
    reason: str
    origin: str
    reading: Reading
    accept_markings: bool = False
    ocr: str = ""
    pack: str = ""
    expect: str = ""
    publisher_key: Path | None = None


def take_folder(
    desk: Desk, source: Path, *, kind: str, name: str, project: str, marking: str, reason: str, origin: str = "courier",
    modality: str = "imagery", taxonomy: Path | None = None, rename: Mapping[str, str] | None = None,
    exhaustive: Iterable[str] | None = None, licence: str = "", pack: str = "", expect: str = "",
    publisher_key: Path | None = None, accept_markings: bool = False, ocr: str = "", progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Admit and inspect a courier's folder; clean, it waits for the decision of two people."""
    reading = Reading(modality, taxonomy, rename or {}, exhaustive, licence)
    delivery = Delivery(
        kind, name, project, marking, reason, origin, reading, accept_markings, ocr, pack, expect, publisher_key
    )
    with desk.act("airlock.in", f"{delivery.kind} {delivery.project}/{delivery.name}"):
        if delivery.kind not in KINDS:
            raise BadInput("kind of delivery", expected=" or ".join(KINDS), found=delivery.kind)
        thing = f"{delivery.kind} {delivery.name}"
        marked = desk.admitted_marking(delivery.marking, thing).join(desk.project_marking(delivery.project))
        waiting = Waiting(desk.site.waiting)
        waiting.sweep(desk.catalog.registered)
        with (
            admit(source, desk.site.quarantine, progress=progress) as admitted,
            waiting.preparing() as place,
            full_disk_named(desk.site.waiting),
        ):
            found, read = _examined(desk, admitted, delivery, marked, progress)
            content, marked = read.content, read.marking
            prepared = place / "delivery"
            (prepared / OBJECTS).mkdir(parents=True)
            known = {file.path: file.digest for file in content.files}
            manifest = shelve(content.folder, known, prepared / OBJECTS)
            (prepared / CONTENT).write_bytes(manifest.to_json())
            told = {
                "kind": delivery.kind, "name": delivery.name, "project": delivery.project, "marking": str(marked),
                "reason": delivery.reason, "origin": delivery.origin, "digest": str(manifest.digest),
                **found.facts(),
                "files": len(manifest.files), "bytes": manifest.size,
                "notes": sum(x.note for line in found.report.files for x in line.findings),
                "facts": {**read.facts, "bytes": manifest.size}, "parents": list(read.parents),
            }  # fmt: skip
            title = f"{delivery.kind} {delivery.name} from {delivery.origin}"
            return {"state": "waiting", **incoming.wait(desk, waiting, prepared, title, marked, told)}


def trust_pack(desk: Desk, name: str, *, reason: str) -> dict[str, Any]:
    """Sign a starter pack's list (a shipped name, or a TOML file): such a pack may then come in. Officers only."""
    with desk.act("pack.trust", f"pack {name}"):
        require_officer(desk, f"pack {name}")
        file = Path(name)
        pack = read(file.read_text(encoding="utf-8")) if file.is_file() else shipped(name)
        called = f"pack {pack.name}"
        versions = [
            e for e in desk.view.walk(kind="policy", project=policies.SITE_PROJECT) if e.facts["policy"] == called
        ]
        envelope, serial = sign_pack(pack.text, desk.pen), len(versions) + 1
        entry = policies.put_in_force(
            desk.site.root, desk.catalog, desk.store, called, envelope, serial=serial, by=desk.reader, reason=reason,
            sign=desk.sign,
        )  # fmt: skip
        return {"pack": pack.name, "serial": serial, "id": entry.id, "digest": str(entry.digest)}


def _examined(
    desk: Desk, admitted: Admitted, delivery: Delivery, marked: Marking, progress: Progress | None
) -> tuple[Inspected, Read]:
    """The report of a delivery's inspection, and what it shall become: its facts, its marking, what goes into it."""
    if delivery.pack or delivery.kind == "software":
        of = _pack(desk, admitted, delivery, progress) if delivery.pack else _software(desk, admitted, delivery)
        return of[0], Read(admitted, of[1], marked, ())
    reading = delivery.reading
    allowed = formats_of(delivery.kind, reading.modality) | ARCHIVES.keys()
    found = inspected(desk, admitted, allowed, progress=progress)
    require_clean(found.report)
    content = lay_out(admitted, found.report)
    if delivery.kind == "dataset":
        return found, Read(content, reading.read(content.folder, progress=progress), marked, ())
    vouched = _publisher(content, delivery.publisher_key)
    if delivery.kind == "documents":
        told = Told(reading.licence, delivery.accept_markings, delivery.ocr)
        read = read_set(desk, content, marked, f"documents {delivery.name}", told, progress=progress)
        return found, replace(read, facts={**read.facts, **vouched})
    facts = {"licence": reading.licence, "modality": reading.modality, "files": len(content.files)}
    return found, Read(content, {**facts, **vouched}, marked, ())


def _publisher(content: Admitted, key: Path | None) -> dict[str, str]:
    """The key of an OpenSSF signature (`model.sig`) that holds over a delivery, where the courier names one."""
    if key is None:
        return {}
    files = {file.path: file.digest.hex for file in content.files if file.path != SIGNATURE_FILE}
    signature = content.folder / SIGNATURE_FILE
    if not signature.is_file():
        raise BadInput(SIGNATURE_FILE, expected="the publisher's signature in the delivery", found="none")
    verify_listing(signature.read_bytes(), files, key.read_bytes())
    return {"publisher_key": str(Digest.of_file(key))}


def _pack(
    desk: Desk, admitted: Admitted, delivery: Delivery, progress: Progress | None
) -> tuple[Inspected, dict[str, Any]]:
    pack = _trusted_pack(desk, delivery.pack)
    check(admitted.folder, pack, progress=progress)
    opaque = {file.path for file in pack.files if file.format == "opaque"}
    seen = replace(admitted, files=tuple(f for f in admitted.files if f.path not in opaque))
    found = inspected(desk, seen, formats_of("model", ""), progress=progress)
    require_clean(found.report)
    vouched = [f for f in admitted.files if f.path in opaque]
    found = report_kept(desk, replace(found.report, files=_with(found.report.files, vouched, "the officer's list")))
    facts = {"pack": pack.name, "modality": pack.modality, "licence": pack.licence, "files": len(admitted.files)}
    task = {"task": pack.task} if pack.task else {}
    return found, {**facts, **task, "upstream": pack.upstream, "list": str(pack.digest)}


def _trusted_pack(desk: Desk, name: str) -> Pack:
    entry = policies.latest(desk.view, f"pack {name}")
    return load_pack(policies.text_of(desk.store, entry), policies.envelope_of(desk.store, entry), desk.officer)


def _software(desk: Desk, admitted: Admitted, delivery: Delivery) -> tuple[Inspected, dict[str, Any]]:
    software = check_software(admitted.folder)
    digest = Digest.of_file(admitted.folder / SOFTWARE_FILE)
    if str(digest) != delivery.expect:
        raise DigestMismatch(SOFTWARE_FILE, expected=delivery.expect or "a digest (--expect)", found=digest)
    empty = inspected(desk, replace(admitted, files=()), frozenset({"text"}))
    found = report_kept(desk, replace(empty.report, files=_with((), admitted.files, SOFTWARE_FILE)))
    facts = {"software": software.name, "version": software.version, "list": str(digest), "files": len(admitted.files)}
    return found, {**facts, "licence": delivery.reading.licence}


def _with(lines: Iterable[InspectedFile], vouched: Iterable[AdmittedFile], by: str) -> tuple[InspectedFile, ...]:
    """The lines of a report with those of files that no scanner reads, and that a list vouches for by their digests."""
    note = Finding("opaque", "a file that a scanner reads", f"one that {by} vouches for by its digest", note=True)
    more = [InspectedFile(f.path, f.digest, f.size, "opaque", (by,), (note,)) for f in vouched]
    return tuple(sorted([*lines, *more], key=lambda line: line.path))
