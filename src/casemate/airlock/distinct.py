"""Findings told once: a page with ten thousand links gets a line for the first few and a count."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from casemate.airlock.report import Finding

_SHOWN = 20


def distinct(findings: Iterable[Finding], shown: int = _SHOWN) -> list[Finding]:
    """Each finding once, refusals first; of each rule the first `shown`, then how many more there are."""
    counts = Counter(findings)
    seen: Counter[tuple[bool, str]] = Counter()
    kept, last = [], {}
    for finding in sorted(counts, key=lambda finding: finding.note):  # a stable sort: the order of the file remains
        key = (finding.note, finding.rule)
        seen[key] += 1
        if seen[key] <= shown:
            times = counts[finding]
            found = f"{finding.found} ({times} times)" if times > 1 else finding.found
            kept.append(Finding(finding.rule, finding.expected, found, finding.note))
        last[key] = finding
    for key, finding in last.items():
        if seen[key] > shown:
            kept.append(Finding(finding.rule, finding.expected, f"and {seen[key] - shown} more", finding.note))
    return kept
