"""Values between commas, semicolons or tabs: text that one reader and the next cut into the same cells."""

from __future__ import annotations

import csv
from pathlib import Path

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import read_text, refused
from casemate.store.texts import mark_of_cells

_MAX_CELL_CHARS = 1 << 20


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"csv_text": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is text, and every row can be cut."""
    text, findings = read_text(file, limits)
    if refused(findings):
        return findings
    csv.field_size_limit(_MAX_CELL_CHARS)
    delimiter = mark_of_cells(text) if limits.older_texts else "\t" if file.suffix.lower() == ".tsv" else ","
    rows = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    try:
        for _ in rows:
            pass
    except csv.Error as why:
        findings.append(Finding("csv", "rows of cells, quotes closed", f"{why} in line {rows.line_num}"))
    return findings
