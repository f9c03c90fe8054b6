"""YARA: every file held against rules that describe what should be in none; ours, and those that the site adds.

Rules. Ours are the files of `airlock/rules/`; the site's are one text, which includes nothing. A match refuses the
file, unless the rule's meta says `note = true`. Files over a window's size are read in windows that overlap, so that a
rule which asks for `filesize` or a place sees the window's. A rule that takes too long refuses the file. A text in
another encoding than UTF-8 is read as it is, and once more as UTF-8, since rules are written in ASCII.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib import resources
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import Any

from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.text import in_utf_8
from casemate.errors import BadInput

READS_EVERY_FILE = True
WINDOW_BYTES = 64 << 20
OVERLAP_BYTES = 1 << 20
_OURS, _SITE = "casemate", "site"
_prepared: dict[str, Any] = {}


def prepare(rules: str, types: frozenset[str] = frozenset()) -> None:  # noqa: ARG001  one signature for all
    """Compile our rules and the site's; BadInput naming the line of a site's rule that does not compile."""
    import yara_x

    sources = {_OURS: own_rules(), _SITE: rules}
    digests = {f"rules of {name}": _digest(text) for name, text in sources.items() if text}
    scanner = yara_x.Scanner(_compile(sources))
    scanner.fast_scan(True)
    _prepared.update(scanner=scanner, versions={"yara": version("yara-x"), "yara_rules": "2", **digests})


def own_rules() -> str:
    """The rules of `airlock/rules/`, as one text."""
    folder = resources.files("casemate.airlock") / "rules"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yar")), key=lambda file: file.name)
    return "\n".join(file.read_text(encoding="utf-8") for file in files)


def versions() -> dict[str, str]:
    """The scanner's version, its engine's, and the digests of the rules."""
    _prepare_once()
    return dict(_prepared["versions"])


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """A finding for each rule that matches."""
    import yara_x

    _prepare_once()
    size = file.stat().st_size
    timeout_s = max(1, int(limits.time_for(size) / 2))
    found: dict[str, Finding] = {}
    scanner = _prepared["scanner"]
    scanner.set_timeout(timeout_s)
    try:
        for start, window in chain(_windows(file, size), _older(in_utf_8(file, type_name, limits))):
            for rule in scanner.scan(window).matching_rules:
                found.setdefault(f"{rule.namespace}.{rule.identifier}", _finding(rule, start))
    except yara_x.TimeoutError:
        return [*found.values(), Finding("yara", f"rules that end within {timeout_s} s", "no end")]
    except yara_x.ScanError as why:
        return [*found.values(), Finding("yara", "rules that can be applied", str(why)[:200])]
    return list(found.values())


def _compile(sources: dict[str, str]) -> Any:
    import yara_x

    compiler = yara_x.Compiler(includes_enabled=False)
    for name, text in sources.items():
        compiler.new_namespace(name)
        try:
            compiler.add_source(text)
        except yara_x.CompileError as why:
            told = " ".join(str(why).split())[:200]
            whose = "the site" if name == _SITE else name
            raise BadInput(f"rules of {whose}", expected="YARA rules that compile", found=told) from why
    return compiler.build()


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


def _prepare_once() -> None:
    if not _prepared:
        prepare("")


def _windows(file: Path, size: int) -> Iterator[tuple[int, bytes]]:
    """Where each window begins, and its bytes."""
    with file.open("rb") as stream:
        for start in range(0, max(1, size - OVERLAP_BYTES), WINDOW_BYTES - OVERLAP_BYTES):
            stream.seek(start)
            yield start, stream.read(min(WINDOW_BYTES, size - start))  # as many bytes are set aside


def _older(data: bytes | None) -> Iterator[tuple[int, bytes]]:
    if data is not None:
        yield 0, data


def _finding(rule: Any, start: int) -> Finding:
    where = min((match.offset for pattern in rule.patterns for match in pattern.matches), default=None)
    meta = dict(rule.metadata)
    what = " ".join(str(meta.get("description", "a match")).split())[:200]
    found = what if where is None else f"{what}, at byte {start + where}"
    return Finding("yara", f"no match of the rule {rule.identifier}", found, note=meta.get("note") is True)
