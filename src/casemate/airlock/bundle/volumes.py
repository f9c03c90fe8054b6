"""Volumes: a bundle's files shared out over pieces of a given size, which arrive in any order.

Rules. How files are shared out follows from the manifest and the size of a volume alone, so that a volume's own account
of itself can be compared with what it must be. Every volume carries the manifest, its envelope and the statements: each
can be verified, and told from any other bundle's, by itself. The size of a volume counts as in an archive, so that it
holds as a folder or as a tar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import Field

from casemate.airlock.bundle.head import Head
from casemate.airlock.bundle.manifest import ENVELOPE, HEX, MANIFEST, SUMS, statement_path, sums_of
from casemate.airlock.bundle.terms import LEAST_VOLUME_BYTES, PART_BYTES, FileFacts
from casemate.airlock.bundle.ustar import END, taken
from casemate.errors import BadInput, DigestMismatch
from casemate.signing.canonical import Door, dump, load
from casemate.store.digest import Digest

VOLUME = "volume.json"
_FORMAT: Literal["casemate-volume/1"] = "casemate-volume/1"
_LISTED_BYTES = 512  # more than a file's lines in volume.json and SHA256SUMS
_OWN_BYTES = 4096  # more than the rest of volume.json and SHA256SUMS, with their headers


@dataclass(frozen=True)
class Volume:
    """One volume of a bundle: its number of `count`, and its share of the files."""

    bundle: Digest
    number: int
    count: int
    volume_bytes: int
    files: tuple[FileFacts, ...]

    @property
    def name(self) -> str:
        """How its folder is called."""
        return f"volume-{self.number}-of-{self.count}"

    def to_json(self) -> bytes:
        """The canonical text of its volume.json."""
        files = [{"path": file.path, "size": file.size, "sha256": file.digest.hex} for file in self.files]
        numbers = {"number": self.number, "count": self.count, "volume_bytes": self.volume_bytes}
        return dump({"format": _FORMAT, "bundle": self.bundle.hex, **numbers, "files": files})


def share_out(head: Head, volume_bytes: int) -> tuple[Volume, ...]:
    """The volumes of a bundle; BadInput that says how large they must be where `volume_bytes` is too small."""
    fixed = sum(taken(len(data)) + _LISTED_BYTES for _, data in _signed_files(head)) + _OWN_BYTES + len(END)
    shares: list[list[FileFacts]] = [[]]
    room = volume_bytes - fixed
    for file in head.manifest.files():
        needed = taken(file.size) + _LISTED_BYTES
        if needed + fixed > volume_bytes:
            expected = f"at least {needed + fixed} bytes, for {file.path}"
            raise BadInput("volumes", expected=expected, found=f"{volume_bytes} bytes")
        if needed > room:
            shares.append([])
            room = volume_bytes - fixed
        shares[-1].append(file)
        room -= needed
    numbered = enumerate(shares, start=1)
    return tuple(Volume(head.digest, n, len(shares), volume_bytes, tuple(share)) for n, share in numbered)


def read_volume(data: bytes, head: Head, *, thing: str = VOLUME) -> Volume:
    """The volume of this bundle that `data` accounts for; DigestMismatch unless it is spelled as it must be."""
    raw = _VolumeJson.enter(load(data, thing), thing)
    if raw.bundle != head.digest.hex:
        raise DigestMismatch(f"{thing} bundle", expected=head.digest.hex, found=raw.bundle)
    volumes = share_out(head, raw.volume_bytes)
    if raw.number > len(volumes) or volumes[raw.number - 1].to_json() != data:
        expected = f"volume {raw.number} of {len(volumes)}, as the manifest is shared out"
        raise DigestMismatch(thing, expected=expected, found=f"another account of volume {raw.number} of {raw.count}")
    return volumes[raw.number - 1]


def own_files(head: Head, volume: Volume | None) -> list[tuple[str, bytes]]:
    """The small files in front of a bundle or a volume of it, in their order in an archive."""
    files = _signed_files(head)
    if volume is not None:
        files.append((VOLUME, volume.to_json()))
    facts = [FileFacts(path, len(data), Digest.of_bytes(data)) for path, data in files]
    return [*files, (SUMS, sums_of([*facts, *(volume.files if volume else head.manifest.files())]))]


def _signed_files(head: Head) -> list[tuple[str, bytes]]:
    statements = [(statement_path(name), head.statements[name]) for name in sorted(head.statements)]
    return [(MANIFEST, head.manifest_bytes), (ENVELOPE, head.envelope_bytes), *statements]


def part_bytes_for(volume_bytes: int | None) -> int:
    """The size of parts that fill volumes of this size well; BadInput for volumes that are too small for anything."""
    if volume_bytes is None:
        return PART_BYTES
    if volume_bytes < LEAST_VOLUME_BYTES:
        raise BadInput("volumes", expected=f"at least {LEAST_VOLUME_BYTES} bytes", found=f"{volume_bytes} bytes")
    room = volume_bytes - volume_bytes // 16 - LEAST_VOLUME_BYTES // 2
    return room // -(-room // PART_BYTES)


class _FileJson(Door):
    path: str
    size: int
    sha256: str


class _VolumeJson(Door):
    format: Literal["casemate-volume/1"]
    bundle: str = Field(pattern=HEX)
    number: int = Field(ge=1)
    count: int = Field(ge=1)
    volume_bytes: int = Field(ge=1)
    files: list[_FileJson]
