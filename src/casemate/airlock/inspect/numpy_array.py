"""Arrays of NumPy, one (npy) or several in a ZIP archive (npz): numbers, texts and times, never objects.

Rules. A header is read without evaluating it (`casemate.airlock.npy_header`), and the data are as long as it says:
nothing is missing, nothing follows. An npz is a strict archive (`casemate.airlock.zips`) of arrays only, each unpacked
within its declared size and checked against its checksum.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

from casemate.airlock.limits import ScanLimits
from casemate.airlock.npy_header import NotArrayError, read_header
from casemate.airlock.pickles import EXPECTED, follow
from casemate.airlock.report import Finding
from casemate.airlock.zips import NotStrictError, StrictZip, open_strict

_ENDING = ".npy"
_HEAD_BYTES = 128 << 10


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"numpy_array": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Whether it is an array or an archive of arrays, whole."""
    with file.open("rb") as stream:
        try:
            if type_name == "npy":
                _check_array(stream, file.stat().st_size)
                return []
            return _check_archive(open_strict(stream, limits))
        except (NotArrayError, NotStrictError) as why:
            return [why.finding]


def _check_array(head: BinaryIO, size: int) -> None:
    header = read_header(head)
    if header.start + header.data_bytes != size:
        expected = f"{header.data_bytes} bytes of data, for {header.shape} of {header.item_bytes}"
        raise NotArrayError(expected, str(size - header.start))


def _check_archive(archive: StrictZip) -> list[Finding]:
    if not archive.members:
        return [Finding("numpy", "at least one array", "an empty archive")]
    for name, member in archive.members.items():
        head = bytearray()
        for piece in archive.chunks(name):
            head += piece[: _HEAD_BYTES - len(head)]
        if follow(io.BytesIO(head)).is_pickle:
            return [Finding("pickle", EXPECTED, f"a pickle in {name!a}")]
        if not name.endswith(_ENDING):
            return [Finding("numpy", "arrays only, with names that end in .npy", f"{name!a}")]
        try:
            _check_array(io.BytesIO(head), member.size)
        except NotArrayError as why:
            return [Finding(why.finding.rule, why.finding.expected, f"{why.finding.found} in {name!a}")]
    return []
