"""What inspection found: one line a file, kept even when clean.

The JSON is one file a line, so that `grep` finds a file and a `diff` shows a change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from casemate.errors import DigestMismatch, InspectionRefused
from casemate.store.digest import Digest

FORMAT = "casemate-inspection/2"
HOLDS_REFUSED = "member"  # the rule by which an archive is refused for what it holds


@dataclass(frozen=True)
class Finding:
    """A reason to refuse a file: the rule, what it expects, what was found; a `note` is told and refuses nothing."""

    rule: str
    expected: str
    found: str
    note: bool = False

    def to_json(self) -> dict[str, Any]:
        """The finding as a JSON object."""
        return {"rule": self.rule, "expected": self.expected, "found": self.found, "note": self.note}


@dataclass(frozen=True)
class InspectedFile:
    """What was found about one file: its type by its bytes, the scanners that read it, and reasons to refuse it.

    A member of an archive is a file like the others: `inside` is the archive's path, `path` is `archive!/member`.
    """

    path: str
    digest: Digest
    size: int
    type: str
    scanners: tuple[str, ...]
    findings: tuple[Finding, ...] = ()
    inside: str = ""

    @property
    def clean(self) -> bool:
        """Whether nothing was found that refuses it; notes do not."""
        return all(finding.note for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """The file's line."""
        return {
            "path": self.path,
            "inside": self.inside,
            "digest": str(self.digest),
            "size": self.size,
            "type": self.type,
            "scanners": list(self.scanners),
            "verdict": "clean" if self.clean else "refused",
            "findings": [finding.to_json() for finding in self.findings],
        }


@dataclass(frozen=True)
class InspectionReport:
    """Every file with its verdict, the versions of what read them, and how the readers were confined."""

    files: tuple[InspectedFile, ...]
    dropped: tuple[str, ...]
    allowed: tuple[str, ...]
    scanners: Mapping[str, Mapping[str, str]]
    confinement: Mapping[str, bool | int]

    @classmethod
    def from_json(cls, data: bytes) -> InspectionReport:
        """The report that `to_json` wrote; DigestMismatch if these are not its bytes."""
        raw = json.loads(data)
        files = tuple(_file(line) for line in raw["files"])
        report = cls(files, tuple(raw["dropped"]), tuple(raw["allowed"]), raw["scanners"], raw["confinement"])
        if report.to_json() != data:
            raise DigestMismatch("inspection report", expected=Digest.of_bytes(data), found="another spelling of it")
        return report

    @property
    def refused(self) -> tuple[InspectedFile, ...]:
        """The files in which something was found."""
        return tuple(file for file in self.files if not file.clean)

    @property
    def clean(self) -> bool:
        """Whether nothing was found in any file."""
        return not self.refused

    def to_json(self) -> bytes:
        """The report: a head, then one line a file."""
        head = {
            "allowed": list(self.allowed),
            "confinement": dict(self.confinement),
            "dropped": list(self.dropped),
            "format": FORMAT,
            "scanners": {name: dict(sorted(versions.items())) for name, versions in sorted(self.scanners.items())},
            "totals": {
                "bytes": sum(file.size for file in self.files),
                "files": len(self.files),
                "refused": len(self.refused),
            },
            "verdict": "clean" if self.clean else "refused",
        }
        lines = [f"{json.dumps(key)}: {json.dumps(value, sort_keys=True)}" for key, value in head.items()]
        files = ",\n  ".join(json.dumps(file.to_json(), sort_keys=True) for file in self.files)
        lines.append(f'"files": [\n  {files}\n ]')
        return ("{\n " + ",\n ".join(lines) + "\n}\n").encode()


def _file(line: Mapping[str, Any]) -> InspectedFile:
    findings = tuple(Finding(**finding) for finding in line["findings"])
    digest, scanners = Digest.parse(line["digest"]), tuple(line["scanners"])
    return InspectedFile(line["path"], digest, line["size"], line["type"], scanners, findings, line["inside"])


def require_clean(report: InspectionReport) -> None:
    """Raise InspectionRefused with the first finding and how many files are refused, unless the report is clean.

    What is inside an archive is the reason, and not that the archive holds it.
    """
    if report.clean:
        return
    reasons = [(line, finding) for line in report.refused for finding in line.findings if not finding.note]
    first, finding = next((pair for pair in reasons if pair[1].rule != HOLDS_REFUSED), reasons[0])
    others = len(report.refused) - 1
    more = f" (and {others} more of {len(report.files)} files refused)" if others else ""
    raise InspectionRefused(first.path, expected=finding.expected, found=f"{finding.found}{more}")
