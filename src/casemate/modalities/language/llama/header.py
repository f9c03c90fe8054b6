"""The first bytes of a GGUF file: enough to refuse, with words, what is none.

Rules. The airlock read the whole file once (its GGUF scanner); this is for files that were cut or changed on a way that
nobody checked, so that the refusal names the file and not a dead process.
"""

from __future__ import annotations

import struct
from pathlib import Path

from casemate.errors import BadInput, NotFound

_HEAD = struct.Struct("<4sIQQ")
_VERSIONS = (2, 3)
_TENSOR_BYTES_AT_LEAST = 24  # its name's length, its number of dimensions, its type, its offset


def check(file: Path) -> None:
    """Refuse a file that cannot be a GGUF model: NotFound or BadInput."""
    try:
        size = file.stat().st_size
        with file.open("rb") as stream:
            head = stream.read(_HEAD.size)
    except FileNotFoundError as why:
        raise NotFound(file.name, expected="a model in GGUF", found="no such file") from why
    if len(head) < _HEAD.size:
        raise BadInput(file.name, expected="a whole GGUF file", found=f"{size} bytes")
    magic, version, tensors, _ = _HEAD.unpack(head)
    if magic != b"GGUF":
        raise BadInput(file.name, expected="a file that begins with GGUF", found=f"{magic!r}")
    if version not in _VERSIONS:
        raise BadInput(file.name, expected="GGUF version 2 or 3", found=f"version {version}")
    if tensors < 1 or tensors * _TENSOR_BYTES_AT_LEAST > size:
        raise BadInput(file.name, expected="a whole GGUF file", found=f"{size} bytes for {tensors} tensors")
