"""Inspection as this site's policies want it, and the signed report that is kept of it."""

from __future__ import annotations

from dataclasses import dataclass

from casemate.airlock import DOCUMENTS, IMAGERY, MODEL, Admitted, InspectionReport
from casemate.airlock.inspect import inspect
from casemate.airlock.inspection_statement import inspection_statement
from casemate.factory.desk import Desk, Progress
from casemate.gates.pen import unlock
from casemate.modalities import find
from casemate.store import Digest, put_bytes

INSPECTION = ("inspection", "inspection_signed")  # the facts of an entry that name its report and its statement
_READABLE = {  # what a modality does not read is refused, and not kept unread
    "imagery": IMAGERY - {"webp"},
    "language": frozenset({"json lines", "json", "text", "png", "jpeg"}),
}
_PAPERS = frozenset({"json", "html", "text", "png", "jpeg"})
_BY_KIND = {"documents": DOCUMENTS, "model": MODEL, "report": _PAPERS, "release": _PAPERS}


@dataclass(frozen=True)
class Inspected:
    """A report, its digest, and that of the statement in which this site's key vouches for it."""

    report: InspectionReport
    digest: Digest
    signed: Digest

    def facts(self) -> dict[str, str]:
        """What an entry says of its inspection."""
        return {"inspection": str(self.digest), "inspection_signed": str(self.signed)}


def formats_of(kind: str, modality: str) -> frozenset[str]:
    """What an entry of this kind may hold; a single statement is JSON."""
    if kind == "dataset":
        return _READABLE[find(modality).name]
    return _BY_KIND.get(kind, frozenset({"json"}))


def inspected(
    desk: Desk, admitted: Admitted, allowed: frozenset[str], *, progress: Progress | None = None
) -> Inspected:
    """Inspect what was admitted; report and signed statement are objects of the store even when it is refused."""
    rules = desk.exchange_policy().inspection
    report = inspect(
        admitted, allowed=allowed, rules=rules.rules, antivirus=rules.antivirus, refuse=rules.refuse, progress=progress
    )
    kept = report_kept(desk, report)
    if not report.clean:
        desk.catalog.journal.append(
            desk.reader, "airlock.inspect", f"report {kept.digest}", outcome="refused",
            reason=f"{len(report.refused)} of {len(report.files)} files", sign=desk.sign,
        )  # fmt: skip
    return kept


def report_kept(desk: Desk, report: InspectionReport) -> Inspected:
    """The report and its statement, signed by this site, as objects of the store."""
    digest = put_bytes(desk.store, report.to_json())
    envelope = unlock(desk.site.site_key, None).sign(inspection_statement(report, at=desk.now()))
    return Inspected(report, digest, put_bytes(desk.store, envelope.to_json()))
