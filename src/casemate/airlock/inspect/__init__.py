"""Inspection: every file of a quarantine read by the scanner for its type, in a process that is not trusted.

Rules. Every file gets a line in the report, clean or not. A file whose scanner crashes, hangs, is missing or says
nothing is refused. Each other file of this folder is a scanner, found by listing (`casemate.airlock.scanners`).
"""

from __future__ import annotations

from casemate.airlock import formats, scanners
from casemate.airlock.copying import AdmittedFile
from casemate.airlock.limits import ScanLimits
from casemate.airlock.pool import Answer, Child, Crew
from casemate.airlock.quarantine import Admitted
from casemate.airlock.report import InspectedFile, InspectionReport
from casemate.store.cores import Progress, Tally, cores, on_all_cores

__all__ = ["inspect"]


def inspect(
    admitted: Admitted,
    *,
    allowed: frozenset[str] = formats.IMAGERY,
    limits: ScanLimits | None = None,
    progress: Progress | None = None,
) -> InspectionReport:
    """Read every file of a quarantine and report; `allowed` are names of formats.

    Nothing that a file holds is raised: it is in the report, for `require_clean` to refuse.
    """
    limits = limits or ScanLimits()
    needed = sorted({formats.FORMATS[name].scanner for name in allowed} & set(scanners.names()))
    tally = Tally(progress, len(admitted.files), "files")
    largest_first = sorted(admitted.files, key=lambda file: -file.size)

    def start() -> Child:
        return Child(admitted.folder, allowed, needed, limits)

    crew = Crew(start, largest_first, limits, lambda: tally.add(1))
    count = min(limits.workers or cores(), len(admitted.files))
    for _ in on_all_cores(lambda _: crew.labour(), range(count), threads=count):
        pass
    lines = tuple(_line(file, crew.answers[file.path]) for file in admitted.files)
    hello = crew.hello
    return InspectionReport(
        lines, admitted.dropped, tuple(sorted(allowed)), hello.get("versions", {}), hello.get("confinement", {})
    )


def _line(file: AdmittedFile, answer: Answer) -> InspectedFile:
    return InspectedFile(file.path, file.digest, file.size, answer.type, answer.scanners, answer.findings)
