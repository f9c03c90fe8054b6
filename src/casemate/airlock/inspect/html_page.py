"""HTML pages: text, tables, pictures and drawings for people to read, and nothing that runs or loads.

What a page may hold is said in `casemate.airlock.html_rules`.
"""

from __future__ import annotations

from pathlib import Path

from casemate.airlock import html_rules
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import read_decoded, refused
from casemate.store.texts import said_in_html


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"html_page": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a page that only shows."""
    decoded, findings = read_decoded(file, limits, said_in_html)
    return findings if refused(findings) else [*findings, *html_rules.check(decoded.text, decoded)]
