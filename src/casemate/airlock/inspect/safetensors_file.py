"""Safetensors: a header that says where each tensor lies, and tensors that fill the rest of the file.

Rules. The header is JSON that two readers understand alike, within a size that readers take. Tensors follow one another
from the first byte of the data to the last: no hole, no overlap, nothing after. A tensor's bytes are its shape times
its type. `__metadata__` holds texts only, and what looks like a template in it is read as one. The tensors themselves
are numbers, and any numbers are taken.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from importlib import metadata
from math import prod
from pathlib import Path
from typing import Any

from casemate.airlock import templates
from casemate.airlock.hidden import hidden_character
from casemate.airlock.inspect import json_text
from casemate.airlock.limits import ScanLimits
from casemate.airlock.report import Finding

MAX_HEADER_BYTES = 100_000_000  # what the reference reader takes
MAX_DIMENSIONS = 32
DTYPE_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "C64": 64, "F64": 64, "I64": 64, "U64": 64,
}  # fmt: skip
_LENGTH = struct.Struct("<Q")
_METADATA = "__metadata__"
_TENSOR_KEYS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class Tensor:
    """One tensor of a header: its bytes are those of the data from `begin` to `end`."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


class _NotTensorsError(ValueError):
    """What is wrong with a header."""

    def __init__(self, expected: str, found: str) -> None:
        self.finding = Finding("safetensors", expected, found)
        super().__init__(f"expected {expected}, found {found}")


def versions() -> dict[str, str]:
    """The scanner's version, and that of the library whose rules these are."""
    return {"safetensors": metadata.version("safetensors"), "safetensors_file": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:  # noqa: ARG001  one signature for all
    """Whether it is tensors, whole, and nothing else."""
    return read_header(file, limits)[1]


def read_header(file: Path, limits: ScanLimits) -> tuple[list[Tensor], list[Finding]]:
    """The tensors of a file in the order of their bytes, and what is wrong with it (then there are none)."""
    size = file.stat().st_size
    try:
        header, data_bytes = _header_text(file, size)
        value, findings = json_text.parse(header, "", limits)
        if findings:
            return [], findings
        findings = _check_metadata(value.pop(_METADATA, {}))
        tensors = sorted((_tensor(name, facts) for name, facts in value.items()), key=lambda t: (t.begin, t.end))
        _check_layout(tensors, data_bytes)
    except _NotTensorsError as why:
        return [], [why.finding]
    refused = any(not finding.note for finding in findings)
    return [] if refused else tensors, findings


def _header_text(file: Path, size: int) -> tuple[str, int]:
    with file.open("rb") as stream:
        head = stream.read(_LENGTH.size)
        if len(head) < _LENGTH.size:
            raise _NotTensorsError("a header's length in 8 bytes", f"{len(head)} bytes")
        (length,) = _LENGTH.unpack(head)
        room = min(size - _LENGTH.size, MAX_HEADER_BYTES)
        if not 2 <= length <= room:
            raise _NotTensorsError(f"a header of 2 to {room} bytes", str(length))
        header = stream.read(length)
    if not header.startswith(b"{"):
        raise _NotTensorsError("a header that begins with {", f"{header[:1]!a}")
    try:
        return header.decode("utf-8"), size - _LENGTH.size - length
    except UnicodeDecodeError as why:
        raise _NotTensorsError("a header in UTF-8", f"byte 0x{header[why.start]:02x} at {why.start}") from why


def _check_metadata(value: Any) -> list[Finding]:
    if not isinstance(value, dict):
        raise _NotTensorsError(f"{_METADATA} that is an object", type(value).__name__)
    findings = []
    for key, text in value.items():
        if not isinstance(text, str):
            raise _NotTensorsError(f"{_METADATA} of texts only", f"{type(text).__name__} for {key!a}")
        hidden = hidden_character(key) or hidden_character(text)
        if hidden:
            raise _NotTensorsError(f"{_METADATA} without hidden characters", f"{hidden} of {key[:60]!a}")
        if templates.looks_like_one(text):
            findings += templates.check(text, f"{_METADATA} {key[:60]!a}")
    return findings


def _tensor(name: str, facts: Any) -> Tensor:
    shown = f"tensor {name[:120]!a}"
    if hidden_character(name):
        raise _NotTensorsError("names without hidden characters", f"{hidden_character(name)} of {shown}")
    if not isinstance(facts, dict) or facts.keys() != _TENSOR_KEYS:
        raise _NotTensorsError(f"{', '.join(sorted(_TENSOR_KEYS))} of {shown}", _kind(facts))
    dtype, shape, offsets = facts["dtype"], facts["shape"], facts["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        raise _NotTensorsError(f"a known type of {shown}", f"{dtype!a}"[:60])
    if not _counts(shape) or len(shape) > MAX_DIMENSIONS:
        raise _NotTensorsError(f"a shape of at most {MAX_DIMENSIONS} sizes of {shown}", f"{shape!a}"[:60])
    if not _counts(offsets) or len(offsets) != 2:
        raise _NotTensorsError(f"two offsets of {shown}", f"{offsets!a}"[:60])
    bits, (begin, end) = prod(shape) * DTYPE_BITS[dtype], offsets
    if bits % 8 or bits // 8 != end - begin:
        raise _NotTensorsError(f"{bits / 8:.10g} bytes for {shown}, {dtype} {shape}", f"{end - begin}")
    return Tensor(name, dtype, tuple(shape), begin, end)


def _check_layout(tensors: list[Tensor], data_bytes: int) -> None:
    at = 0
    for tensor in tensors:
        if tensor.begin != at:
            what = "overlaps the one before" if tensor.begin < at else "leaves a hole"
            raise _NotTensorsError(
                f"tensor {tensor.name[:120]!a} at byte {at} of the data", f"{tensor.begin}: it {what}"
            )
        at = tensor.end
    if at != data_bytes:
        raise _NotTensorsError(f"{at} bytes of tensors, as the header says", f"{data_bytes}")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _kind(facts: Any) -> str:
    return ", ".join(sorted(map(str, facts)))[:120] if isinstance(facts, dict) else type(facts).__name__
