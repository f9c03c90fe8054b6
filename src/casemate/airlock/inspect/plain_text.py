"""Plain text: notes, licences, class names, label lines, world files, settings, chat templates."""

from __future__ import annotations

import re
from pathlib import Path

from casemate.airlock import templates
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import read_text

# YAML can name Python objects to make when it is read.
_PYTHON_TAG = re.compile(r"!!python/\S*|!<tag:yaml\.org,2002:python/\S*")


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"plain_text": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is text, whole."""
    text, findings = read_text(file, limits)  # empty where it is refused
    tag = _PYTHON_TAG.search(text) if file.suffix.lower() in {".yaml", ".yml"} else None
    if tag:
        findings.append(Finding("yaml", "plain values", f"{tag[0][:60]}, which makes Python objects"))
    if file.suffix.lower() == ".jinja":
        findings += templates.check(text, file.name)
    return findings
