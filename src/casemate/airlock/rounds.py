"""Rounds of an inspection: files that arrived, then what their archives held, then what those held.

Rules. In each round every file is read by the scanners of a child, and by the antivirus where there is one; an archive
in which nothing was found is unpacked beside the quarantine, and its members make the next round. The archive is
refused if any member is. Archives are at most so many deep, and share one budget. What is attached to a mail is taken
out like the members of an archive.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Self

from casemate.airlock import formats, scanners
from casemate.airlock.clamav import NAME as CLAMAV
from casemate.airlock.clamav import ClamAV
from casemate.airlock.copying import AdmittedFile
from casemate.airlock.mail_rules import ATTACHED
from casemate.airlock.pool import Answer, Child, Crew, Order
from casemate.airlock.report import HOLDS_REFUSED, Finding, InspectedFile
from casemate.airlock.unpack import Archive, Budget, Unpacked, unpack
from casemate.store.cores import cores, on_all_cores

UNPACKED = "unpacked"
_MEMBER = "!/"
# About half a second of work: to start a process for less takes longer than it saves.
_FILES_A_CHILD, _BYTES_A_CHILD = 256, 4 << 20


@dataclass(frozen=True)
class Waiting:
    """A file to be read: where it is below the quarantine, its path in the report, the archive that held it."""

    file: AdmittedFile
    path: str
    inside: str = ""


class Rounds:
    """An inspection under way: lines so far, versions and facts of what reads."""

    def __init__(self, folder: Path, order: Order, antivirus: ClamAV | None, refuse: frozenset[str]) -> None:
        """`folder` holds what arrived; `refuse` names the rules whose notes refuse."""
        self.lines: dict[str, InspectedFile] = {}
        self.dropped: list[str] = []
        self.versions: dict[str, Mapping[str, str]] = {}
        self.confinement: Mapping[str, bool | int] = {}
        self._folder, self._antivirus, self._refuse = folder, antivirus, refuse
        self._order, self._limits = order, order.limits
        self._on_files: Callable[[int], None] = _ignore
        self._crew = Crew(lambda: Child(folder.parent, self._order), [], order.limits, lambda: self._on_files(1))
        self._total = Budget.of_delivery(order.limits)
        self._budgets: dict[str, Budget] = {}
        self._like_members: dict[str, str] = {}  # what a path begins with that could be an archive's, and the path
        if antivirus is not None:
            self.versions[CLAMAV] = antivirus.versions

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._crew.dismiss()

    def read(self, waiting: list[Waiting], on_files: Callable[[int], None]) -> list[InspectedFile]:
        """Read every file of a round; returns the archives that may be unpacked."""
        self._on_files = on_files
        self._scan([w.file for w in waiting])
        viruses = self._ask_antivirus([w.file for w in waiting])
        archives = []
        for w in waiting:
            line = self._line(w, self._crew.answers.pop(w.file.path), viruses.get(w.file.path))
            self.lines[w.path] = line
            for mark in re.finditer(_MEMBER, w.path):
                self._like_members.setdefault(w.path[: mark.end()], w.path)
            if line.clean and _holds_files(line):
                archives.append(line)
        return archives

    def unpack(self, archives: list[InspectedFile], depth: int) -> list[Waiting]:
        """Unpack archives that stand `depth` deep (0: they arrived); what they held waits for the next round."""
        if depth >= self._limits.max_archive_depth:
            expected = f"at most {self._limits.max_archive_depth} archives, one inside the other"
            for line in archives:
                self._add(line, Finding("archive", expected, "one more"))
            return []
        for line in archives:
            budget = self._budgets[line.inside] if line.inside else self._total.of_archive(line.size, self._limits)
            self._budgets[line.path] = budget
        done = on_all_cores(self._unpack, archives, threads=self._limits.workers or None)
        came = {line.path: unpacked for line, unpacked in done}
        return [w for line in archives for w in self._note(line, came[line.path])]

    def refuse_archives(self) -> None:
        """Refuse every archive that holds something refused, from the innermost outwards."""
        members: dict[str, list[InspectedFile]] = {}
        for line in reversed(list(self.lines.values())):
            refused = [m for m in members.get(line.path, []) if not self.lines[m.path].clean]
            if refused:
                more = f" (and {len(refused) - 1} more)" if len(refused) > 1 else ""
                self._add(line, Finding(HOLDS_REFUSED, "every file inside clean", f"{refused[-1].path}{more} refused"))
            if line.inside:
                members.setdefault(line.inside, []).append(line)

    def _scan(self, files: list[AdmittedFile]) -> None:
        if not files:
            return
        types = scanners.types_of((file.path for file in files), self._order.allowed)
        if not types <= self._order.types:  # its children have not loaded what these need
            self._crew.dismiss()
            self._order = replace(self._order, types=self._order.types | types)
        count = min(self._limits.workers or cores(), worth_starting(files))
        self._crew.prepare(sorted(files, key=lambda file: -file.size), count)
        for _ in on_all_cores(lambda _: self._crew.labour(), range(count), threads=count):
            pass
        self.versions |= self._crew.hello.get("versions", {})
        self.confinement = self._crew.hello.get("confinement", {})

    def _ask_antivirus(self, files: list[AdmittedFile]) -> dict[str, list[Finding]]:
        antivirus = self._antivirus
        if antivirus is None:
            return {}
        done = on_all_cores(lambda file: antivirus.read(self._folder.parent, file), files)
        return {file.path: findings for file, findings in done}

    def _line(self, w: Waiting, answer: Answer, viruses: list[Finding] | None) -> InspectedFile:
        used = answer.scanners if viruses is None else (*answer.scanners, CLAMAV)
        findings = tuple(self._weigh(finding) for finding in (*answer.findings, *(viruses or ())))
        return InspectedFile(w.path, w.file.digest, w.file.size, answer.type, used, findings, w.inside)

    def _weigh(self, finding: Finding) -> Finding:
        return replace(finding, note=False) if finding.note and finding.rule in self._refuse else finding

    def _unpack(self, line: InspectedFile) -> Unpacked:
        name = line.path.rpartition("/")[2]
        archive = Archive(place(self._folder, line), line.type, name, line.size)
        return unpack(archive, folder_of_members(self._folder, line.path), self._budgets[line.path], self._limits)

    def _note(self, line: InspectedFile, unpacked: Unpacked) -> list[Waiting]:
        self.versions["unpack"] = {**self.versions.get("unpack", {}), **unpacked.versions}
        start = line.path + _MEMBER
        findings = list(unpacked.findings)
        if start in self._like_members:
            found = f"{self._like_members[start]!a}"
            findings.append(Finding("archive", f"no folder called {line.path + '!'!a} beside it", found))
        self.lines[line.path] = replace(line, scanners=(*line.scanners, "unpack"))
        for finding in findings:
            self._add(line, finding)
        if findings:
            return []
        self.dropped += [start + path for path in unpacked.dropped]
        at = f"{UNPACKED}/{_key(line.path)}"
        return [Waiting(replace(f, path=f"{at}/{f.path}"), start + f.path, line.path) for f in unpacked.files]

    def _add(self, line: InspectedFile, finding: Finding) -> None:
        now = self.lines[line.path]
        self.lines[line.path] = replace(now, findings=(*now.findings, finding))


def _holds_files(line: InspectedFile) -> bool:
    """Whether there is something to take out of a file: an archive, or a mail with files attached."""
    return line.type in formats.ARCHIVES or (
        line.type in formats.MAILS and any(finding.rule == ATTACHED for finding in line.findings)
    )


def worth_starting(files: Sequence[AdmittedFile]) -> int:
    """How many processes so many files keep busy for longer than it takes to start one."""
    work = len(files) / _FILES_A_CHILD + sum(file.size for file in files) / _BYTES_A_CHILD
    return min(len(files), ceil(work))


def place(folder: Path, line: InspectedFile) -> Path:
    """Where a file of a report is: in `folder` of the quarantine, or unpacked beside it."""
    if not line.inside:
        return folder / line.path
    return folder_of_members(folder, line.inside) / member_path(line)


def member_path(line: InspectedFile) -> str:
    """The path of a file within the archive that held it, or its path where none did."""
    return line.path.removeprefix(line.inside + _MEMBER) if line.inside else line.path


def folder_of_members(folder: Path, archive_path: str) -> Path:
    """Where the members of an archive are, beside `folder` of the quarantine."""
    return folder.parent / UNPACKED / _key(archive_path)


def _ignore(_files: int) -> None:
    return None


def _key(archive_path: str) -> str:
    return hashlib.sha256(archive_path.encode()).hexdigest()[:32]
