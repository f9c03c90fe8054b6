"""The process that reads what arrived: `python -m casemate.airlock.child`, started by `pool`.

Rules. It is told its limits first, confines itself, then answers one file after another until its input ends. It loads
the scanners of the types that it is told to expect, and what they need, before it confines itself; a file of another
type is refused. An error that no scanner answers ends it, and its parent reports that as a refusal.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from casemate.airlock import formats, pickles, scanners
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding
from casemate.airlock.scanners import Scanner
from casemate.compute.cell import allow_processor_s, confine
from casemate.compute.messages import Unpacker, pack
from casemate.errors import BadInput

_READ_BYTES = 1 << 16
_WITH_MACROS = frozenset({"docm", "xlsm", "pptm", "dotm", "xltm", "potm"})
_CHECKPOINTS = frozenset({"pt", "pth", "bin", "ckpt"})  # PyTorch writes them as ZIP archives


def main() -> None:
    """Read the first message, then files, from standard input; answer on standard output."""
    out = os.dup(1)
    os.dup2(2, 1)  # a library that prints must not speak in our name
    messages = _messages()
    start = next(messages)
    limits = ScanLimits(**start["limits"])
    allowed = frozenset(start["allowed"])
    every = scanners.of_every_file()
    try:
        loaded = _load(frozenset(start["types"]), every, start["rules"])
    except BadInput as why:
        _write(out, {"bad_input": [why.thing, why.expected, why.found]})
        return
    versions = {name: scanner.versions() for name, scanner in loaded.items()}
    folder = Path(start["folder"])
    facts = confine(folder, memory_bytes=limits.memory_bytes)
    _write(out, {"confinement": facts, "versions": versions})
    for message in messages:
        allow_processor_s(limits.time_for(message["size"]))
        answer = look(folder, message["path"], allowed, limits, every, loaded)
        _write(out, {"path": message["path"], **answer})


def _load(types: frozenset[str], every: Sequence[str], rules: str) -> dict[str, Scanner]:
    named = {formats.FORMATS[name].scanner for name in types} & set(scanners.names())
    loaded = {name: scanners.find(name) for name in (*sorted(named), *every)}
    for scanner in loaded.values():
        prepare = getattr(scanner, "prepare", None)
        if prepare is not None:
            prepare(rules, types)
    return loaded


def look(
    folder: Path,
    path: str,
    allowed: frozenset[str],
    limits: ScanLimits,
    every: Sequence[str] = (),
    loaded: Mapping[str, Scanner] | None = None,
) -> dict[str, Any]:
    """The answer for one file: its type, the scanners that read it (its format's, then `every`) and what they found.

    `loaded` are the scanners by name; without them, all of this installation.
    """
    if loaded is None:
        loaded = {name: scanners.find(name) for name in scanners.names()}
    file = folder / path
    with file.open("rb") as stream:
        head = stream.read(formats.HEAD_BYTES)
    type_name = formats.sniff(head, path)
    finding = _refuse_type(type_name, path, allowed)
    if finding is not None:
        return _answer(type_name, ["formats"], [finding])
    if type_name in formats.ARCHIVES:
        return _answer(type_name, every, _scan([loaded[name] for name in every], file, type_name, limits))
    scanner = formats.FORMATS[type_name].scanner
    if scanner not in loaded:
        return _answer(type_name, [scanner], [Finding("scanner", f"a scanner named {scanner}", "none")])
    used = [scanner, *every]
    return _answer(type_name, used, _scan([loaded[name] for name in used], file, type_name, limits))


def _scan(used: Sequence[Scanner], file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    return [finding for scanner in used for finding in scanner.scan(file, type_name, limits)]


def _refuse_type(type_name: str, path: str, allowed: frozenset[str]) -> Finding | None:
    sidecar = next((s for s in formats.SIDECARS if path.lower().endswith(s)), None)
    if sidecar:
        return Finding("format", "an image without side files", f"{sidecar}, which image readers open by name")
    if type_name not in allowed:
        found = f"{type_name} archive" if type_name in formats.ARCHIVES else type_name
        return Finding("format", f"one of {formats.names_allowed(allowed)}", f"{found}{_hint(found, path, allowed)}")
    if not formats.agrees(type_name, path):
        end = formats.ending(path)
        expected = f"a name ending in {_endings(type_name)}, as its bytes are {type_name}"
        return Finding("name", expected, f".{end}" if end else "no ending")
    return None


def _hint(found: str, path: str, allowed: frozenset[str]) -> str:
    """What to do about a type that is not allowed."""
    end = formats.ending(path)
    if found == "pickle" or (found == "zip archive" and end in _CHECKPOINTS):
        return f"; {pickles.HINT}"
    if found == "Microsoft compound file":
        encrypted = end in formats.endings_of("ooxml")
        return "; if it is encrypted, save it without a password" if encrypted else "; save it as .docx, .xlsx or .pptx"
    if found == "zip archive" and end in _WITH_MACROS:
        return "; a document with macros: save it without them"
    if found == "zip archive" and "ooxml" in allowed and any(end in f.endings for f in formats.FORMATS.values() if end):
        return f", which is not what .{end} says: a document of Office is named by its kind"
    return "; unpack it first" if found.endswith("archive") else ""


def _endings(type_name: str) -> str:
    return " or ".join(f".{end}" for end in sorted(formats.endings_of(type_name)) if end)


def _answer(type_name: str, used: Sequence[str], findings: list[Finding]) -> dict[str, Any]:
    return {"type": type_name, "scanners": list(used), "findings": [finding.to_json() for finding in findings]}


def _messages() -> Iterator[dict[str, Any]]:
    unpacker = Unpacker()
    while data := os.read(0, _READ_BYTES):
        yield from unpacker.feed(data)


def _write(fd: int, message: dict[str, Any]) -> None:
    data = memoryview(pack(message))
    while data:
        data = data[os.write(fd, data) :]


if __name__ == "__main__":
    main()
