"""Outlook messages (msg): the streams of a message and no others; files attached are taken out and inspected.

What a message may hold is said in `casemate.airlock.outlook` and `casemate.airlock.mail_rules`.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from casemate.airlock import outlook
from casemate.airlock.distinct import distinct
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"outlook_message": "1", "olefile": metadata.version("olefile")}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is a message that only says."""
    return distinct(outlook.scan_file(file, limits))
