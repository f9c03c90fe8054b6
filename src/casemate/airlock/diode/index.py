"""The index of a bundle on the link: its files as a manifest, and the SHA-256 of every block.

Rules. The index is what a receiver checks everything against; it is itself checked against the announcement, whose
digest is the session's name. It says that what arrived is what was sent, never who sent it: the bundle's own signature
does. Paths are checked by the manifest's rules and the receiver's limits before a file is made.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.limits import LinkLimits
from casemate.errors import BadInput
from casemate.store.manifest import Manifest

_LENGTH = struct.Struct(">I")
DIGEST_BYTES = 32


@dataclass(frozen=True)
class Index:
    """The files of a bundle and the digests of its blocks."""

    manifest: Manifest
    digests: bytes

    def to_bytes(self) -> bytes:
        """The manifest's length, the manifest, the digests."""
        text = self.manifest.to_json()
        return _LENGTH.pack(len(text)) + text + self.digests

    @classmethod
    def from_bytes(cls, data: bytes, announcement: Announcement, limits: LinkLimits) -> Index:
        """Read an index; BadInput where it contradicts its announcement, itself or the limits."""
        length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else 0
        text, digests = data[_LENGTH.size : _LENGTH.size + length], data[_LENGTH.size + length :]
        if len(digests) != announcement.blocks * DIGEST_BYTES:
            expected = f"{announcement.blocks} digests of blocks"
            raise BadInput("index", expected=expected, found=f"{len(digests)} bytes after the manifest")
        manifest = Manifest.from_json(text, source="index")
        if manifest.size != announcement.stream_bytes:
            raise BadInput("index", expected=f"{announcement.stream_bytes} bytes in its files", found=manifest.size)
        _check_limits(manifest, limits)
        return cls(manifest, digests)

    def digest(self, block: int) -> bytes:
        """The SHA-256 of a block."""
        return self.digests[block * DIGEST_BYTES : (block + 1) * DIGEST_BYTES]


def _check_limits(manifest: Manifest, limits: LinkLimits) -> None:
    if not 1 <= len(manifest.files) <= limits.max_files:
        raise BadInput("index", expected=f"1 to {limits.max_files} files", found=len(manifest.files))
    for file in manifest.files:
        size = len(file.path.encode())
        if size > limits.max_path_bytes:
            expected = f"paths of at most {limits.max_path_bytes} bytes"
            raise BadInput("index", expected=expected, found=f"{file.path[:60]!a}… of {size}")
        if file.path.count("/") >= limits.max_depth:
            expected = f"at most {limits.max_depth} folders deep"
            raise BadInput("index", expected=expected, found=f"{file.path[:60]!a}, {file.path.count('/') + 1} deep")
