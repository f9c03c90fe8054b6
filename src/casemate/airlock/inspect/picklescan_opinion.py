"""A second opinion on pickles: picklescan, which knows what known attacks name.

Rules. Nothing is loaded: picklescan reads instructions. What it holds to be dangerous is refused. It was not made for
files that are no pickles: where it gives up on one, that is told and refuses nothing, as our own readers have read it,
and what it suspects in one is told only where Python could have something of that name.
"""

from __future__ import annotations

import logging
import re
import struct
import tokenize
import zipfile
import zlib
from importlib import metadata
from pathlib import Path

from casemate.airlock.limits import ScanLimits
from casemate.airlock.pickles import HINT
from casemate.airlock.report import Finding

READS_EVERY_FILE = True
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
# What reading a file of another kind as a pickle, an array or an archive raises.
_GIVES_UP = (
    ValueError, EOFError, OSError, LookupError, TypeError, AttributeError, ArithmeticError, NotImplementedError,
    RuntimeError, MemoryError, SyntaxError, struct.error, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def versions() -> dict[str, str]:
    """The scanner's version and picklescan's."""
    import picklescan.scanner

    logging.getLogger(picklescan.__name__).setLevel(logging.CRITICAL)
    return {"picklescan": metadata.version("picklescan"), "picklescan_opinion": "2"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """What picklescan holds to be dangerous in a file."""
    from picklescan.scanner import SafetyLevel, scan_file_path

    if not file.stat().st_size:
        return []
    try:
        result = scan_file_path(str(file))
    except _GIVES_UP as why:
        found = f"{type(why).__name__}: {' '.join(str(why).split())[:120]}"
        return [Finding("picklescan", "a file that picklescan can follow", found, note=True)]
    findings = []
    for level, note in ((SafetyLevel.Dangerous, False), (SafetyLevel.Suspicious, True)):
        taken = [g for g in result.globals if g.safety is level and (not note or _is_name(g.module, g.name))]
        names = sorted(_shown(f"{g.module} {g.name}") for g in taken)
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            expected = f"nothing that picklescan calls {level.value}; {HINT}"
            findings.append(Finding("picklescan", expected, f"{', '.join(names[:5])}{more}", note))
    return findings


def _is_name(module: str, name: str) -> bool:
    return all(_NAME.fullmatch(word) for word in (module, name))


def _shown(words: str) -> str:
    return "".join(c if c.isprintable() else "?" for c in words[:80])
