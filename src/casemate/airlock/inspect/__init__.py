"""Inspection: every file of a quarantine read by the scanner for its type, in a process that is not trusted.

Rules. Every file gets a line in the report, clean or not, and so does every file inside an archive. A file whose
scanner crashes, hangs, is missing or says nothing is refused. Each other file of this folder is a scanner, found by
listing (`casemate.airlock.scanners`).
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from casemate.airlock import formats
from casemate.airlock.clamav import ClamAV
from casemate.airlock.limits import ScanLimits
from casemate.airlock.pool import Order
from casemate.airlock.quarantine import Admitted
from casemate.airlock.report import InspectionReport
from casemate.airlock.rounds import UNPACKED, Rounds, Waiting
from casemate.compute.messages import MAX_MESSAGE_BYTES, pack
from casemate.errors import BadInput
from casemate.store.cores import Progress, Tally

__all__ = ["inspect"]


def inspect(
    admitted: Admitted,
    *,
    allowed: frozenset[str] = formats.IMAGERY,
    limits: ScanLimits | None = None,
    rules: str = "",
    antivirus: Path | None = None,
    refuse: frozenset[str] = frozenset(),
    progress: Progress | None = None,
) -> InspectionReport:
    """Read every file of a quarantine and report; `allowed` are names of formats and of archives.

    `rules` are YARA rules of the site, `antivirus` is the socket of ClamAV's daemon, `refuse` names rules whose notes
    refuse (`secret`). What archives hold is unpacked beside the quarantine and stays until that is discarded
    (`layout.lay_out`). Nothing that a file holds is raised: it is in the report, for `require_clean` to refuse.
    BadInput for rules that do not compile; DiskFull where there is no room to unpack.
    """
    limits = replace(limits or ScanLimits(), older_texts=formats.OLDER_TEXTS in allowed)
    order = _order(allowed, limits, rules)
    shutil.rmtree(admitted.folder.parent / UNPACKED, ignore_errors=True)  # of an earlier inspection
    below = admitted.folder.name
    waiting = [Waiting(replace(file, path=f"{below}/{file.path}"), file.path) for file in admitted.files]
    clamav, depth = ClamAV(antivirus, order.limits) if antivirus else None, 0
    with Rounds(admitted.folder, order, clamav, refuse) as rounds:
        while waiting:
            archives = rounds.read(waiting, _tally(progress, len(rounds.lines), len(waiting)).add)
            waiting = rounds.unpack(archives, depth) if archives else []
            depth += 1
        rounds.refuse_archives()
    lines = tuple(sorted(rounds.lines.values(), key=lambda line: line.path))
    dropped = tuple(sorted((*admitted.dropped, *rounds.dropped)))
    return InspectionReport(lines, dropped, tuple(sorted(allowed)), rounds.versions, rounds.confinement)


def _order(allowed: frozenset[str], limits: ScanLimits, rules: str) -> Order:
    order = Order(allowed, limits, rules)
    size = len(pack(order.to_json()))
    if size > MAX_MESSAGE_BYTES // 2:
        raise BadInput("rules of the site", expected=f"at most {MAX_MESSAGE_BYTES // 2} bytes as JSON", found=size)
    return order


def _tally(progress: Progress | None, done: int, more: int) -> Tally:
    tally = Tally(progress, done + more, "files")
    if done:
        tally.add(done)
    return tally
