"""A delivery as its readers want it: archives replaced by what they held.

Rules. An archive becomes a folder of its name; an archive that is all that arrived becomes the root. A single
compressed file becomes the file that it held, in the same folder. A mail stays as it is, with what is attached. Files
are linked, not copied, beside the quarantine that holds them; no two may take one place. Only what an inspection found
clean is laid out.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import replace

from casemate.airlock import formats
from casemate.airlock.copying import AdmittedFile
from casemate.airlock.quarantine import Admitted
from casemate.airlock.report import InspectedFile, InspectionReport, require_clean
from casemate.airlock.rounds import member_path, place
from casemate.errors import InspectionRefused

LAID_OUT = "laid out"
_SINGLE = frozenset(formats.ARCHIVES) - {"zip", "tar"}


def lay_out(admitted: Admitted, report: InspectionReport) -> Admitted:
    """The delivery without archives, within the same quarantine; `admitted` itself where it holds none.

    InspectionRefused for a report that is not clean, or where two files would take one place.
    """
    require_clean(report)
    archives = {line.path for line in report.files if line.type in formats.ARCHIVES}
    if not archives:
        return admitted
    folder = admitted.folder.parent / LAID_OUT
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier call
    files: dict[str, AdmittedFile] = {}
    for path, line in sorted(_placed(report).items()):
        to = folder / path
        to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.link(place(admitted.folder, line), to)
        files[path] = AdmittedFile(path, line.size, line.digest)
    return replace(admitted, folder=folder, files=tuple(files.values()), dropped=report.dropped)


def _placed(report: InspectionReport) -> dict[str, InspectedFile]:
    """Every file that is no archive, by its path once laid out."""
    lines = {line.path: line for line in report.files}
    alone = sum(not line.inside for line in report.files) == 1
    placed: dict[str, InspectedFile] = {}
    for line in report.files:
        if line.type in formats.ARCHIVES or _attached(line, lines):
            continue
        path = _path(line, lines, alone=alone)
        other = placed.setdefault(path, line)
        if other is not line:
            raise InspectionRefused(line.path, expected="a place of its own once unpacked", found=f"{other.path} there")
    folders = {parent for path in placed for parent in _parents(path)}
    for path, line in placed.items():
        if path in folders:
            raise InspectionRefused(line.path, expected="a place of its own once unpacked", found="a folder there")
    return placed


def _attached(line: InspectedFile, lines: dict[str, InspectedFile]) -> bool:
    """Whether a file came out of a mail, however deep: it stays in it."""
    while line.inside:
        line = lines[line.inside]
        if line.type in formats.MAILS:
            return True
    return False


def _parents(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:i]) for i in range(1, len(parts))]


def _path(line: InspectedFile, lines: dict[str, InspectedFile], *, alone: bool) -> str:
    if not line.inside:
        return line.path
    archive = lines[line.inside]
    if archive.type in _SINGLE:
        return _join(_path(archive, lines, alone=alone).rpartition("/")[0], member_path(line))
    if alone and _is_root(archive, lines):
        return member_path(line)
    return _join(_path(archive, lines, alone=alone), member_path(line))


def _is_root(archive: InspectedFile, lines: dict[str, InspectedFile]) -> bool:
    """Whether an archive arrived alone, or was all that a compressed file held that did."""
    return not archive.inside or (lines[archive.inside].type in _SINGLE and _is_root(lines[archive.inside], lines))


def _join(folder: str, path: str) -> str:
    return f"{folder}/{path}" if folder else path
