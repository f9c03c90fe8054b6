"""XML labels: elements, attributes and text, and nothing that makes a reader open or expand anything else.

What may not stand in it is said in `casemate.airlock.strict_xml`.
"""

from __future__ import annotations

from pathlib import Path
from xml.parsers import expat

from casemate.airlock import strict_xml
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import read_decoded, refused
from casemate.store.texts import said_in_xml


def versions() -> dict[str, str]:
    """The scanner's version and its parser's."""
    return {"expat": expat.EXPAT_VERSION.removeprefix("expat_"), "xml_text": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is plain XML, whole."""
    decoded, findings = read_decoded(file, limits, said_in_xml)
    if refused(findings):
        return findings
    parsed = strict_xml.parse([decoded.text.encode()], max_nesting=limits.max_nesting, encoding=decoded)
    return [*findings, *parsed]
