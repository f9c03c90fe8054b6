"""A folder of software: `software.json` names every file with its size and digest, and the officer may sign it.

Rules. The folder is exactly what `software.json` says. `requirements.txt` and the bill of materials name the same
digests as it does, wheel by wheel: what an auditor reads is what pip installs. Same input, same `software.json`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from casemate.airlock.packs.check import check_exactly
from casemate.errors import BadInput, BadSignature, DigestMismatch
from casemate.signing.canonical import Door, dump, load
from casemate.signing.envelope import Envelope
from casemate.signing.keys import PublicKey
from casemate.signing.signer import Signer
from casemate.signing.verify import verify
from casemate.store.cores import Progress
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest, ManifestFile, check_path

FORMAT = "casemate-software/1"
SOFTWARE_TYPE = "application/vnd.casemate.software+json"
SOFTWARE_FILE, REQUIREMENTS_FILE, SBOM_FILE, INSTALLER_FILE = (
    "software.json",
    "requirements.txt",
    "sbom.cdx.json",
    "install.sh",
)
_MAX_TEXT_BYTES = 32 << 20
_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+) --hash=sha256:([0-9a-f]{64})$", re.MULTILINE | re.ASCII)


@dataclass(frozen=True)
class Software:
    """What a folder of software holds: its files but for `software.json` itself."""

    name: str
    version: str
    python: str
    platform: str
    files: tuple[ManifestFile, ...]

    @property
    def wheels(self) -> tuple[ManifestFile, ...]:
        """Those of the files that pip installs."""
        return tuple(file for file in self.files if file.path.endswith(".whl"))

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        files = [{"path": file.path, "size": file.size, "sha256": file.digest.hex} for file in sorted(self.files)]
        about = {"name": self.name, "version": self.version, "python": self.python, "platform": self.platform}
        return dump({"format": FORMAT, **about, "files": files})

    @classmethod
    def from_json(cls, data: bytes) -> Software:
        """Read `software.json`; BadInput naming the first wrong field."""
        raw = _SoftwareJson.enter(load(data, SOFTWARE_FILE), SOFTWARE_FILE)
        for file in raw.files:
            check_path(file.path, SOFTWARE_FILE)
        files = tuple(ManifestFile(file.path, file.size, Digest(file.sha256)) for file in raw.files)
        return cls(raw.name, raw.version, raw.python, raw.platform, files)


def check_software(folder: Path, *, progress: Progress | None = None) -> Software:
    """The software in `folder` if every file is the one that its `software.json` names, and all its lists agree."""
    data = _read_text(folder / SOFTWARE_FILE)
    software = Software.from_json(data)
    itself = ManifestFile(SOFTWARE_FILE, len(data), Digest.of_bytes(data))
    check_exactly(folder, Manifest((itself, *software.files)), progress=progress)
    listed = {file.path for file in software.files}
    for name in (REQUIREMENTS_FILE, SBOM_FILE, INSTALLER_FILE):
        if name not in listed:
            raise BadInput(SOFTWARE_FILE, expected=f"a file {name}", found="none")
    expected = {_named(file.path): file.digest.hex for file in software.wheels}
    _compare(REQUIREMENTS_FILE, expected, _requirements(_read_text(folder / REQUIREMENTS_FILE)))
    _compare(SBOM_FILE, expected, _components(_read_text(folder / SBOM_FILE)))
    return software


def sign_software(software_json: bytes, pen: Signer) -> bytes:
    """The envelope in which the officer vouches for a `software.json`; BadInput if it is not one."""
    Software.from_json(software_json)
    return pen.sign_bytes(SOFTWARE_TYPE, software_json).to_json()


def load_software(software_json: bytes, envelope_bytes: bytes, officer: PublicKey) -> Software:
    """The software whose `software.json` the officer signed; BadSignature if these are not the bytes."""
    envelope = Envelope.from_json(envelope_bytes, thing="software's signature")
    verify(envelope, [officer], payload_type=SOFTWARE_TYPE, thing="software")
    if envelope.payload != software_json:
        raise BadSignature("software", expected="the bytes that the officer signed", found="other bytes")
    return Software.from_json(software_json)


def _read_text(file: Path) -> bytes:
    if not file.is_file() or file.is_symlink():
        raise BadInput(file, expected="a regular file", found="a link" if file.is_symlink() else "none")
    with file.open("rb") as stream:
        return stream.read(_MAX_TEXT_BYTES)


def _requirements(data: bytes) -> dict[tuple[str, str], str]:
    text = re.sub(r"\s*\\\n\s*", " ", data.decode("utf-8", "replace"))
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    found: dict[tuple[str, str], str] = {}
    for line in lines:
        pinned = _PINNED.fullmatch(line)
        if not pinned or _key(pinned[1], pinned[2]) in found:
            raise BadInput(f"{REQUIREMENTS_FILE} line", expected="name==version and one hash, once", found=line[:120])
        found[_key(pinned[1], pinned[2])] = pinned[3]
    return found


def _components(data: bytes) -> dict[tuple[str, str], str]:
    try:
        bill = json.loads(data)
        components = [bill["metadata"]["component"], *bill.get("components", [])]
        pairs = [(_key(c["name"], c["version"]), _sha256(c)) for c in components]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as why:
        raise BadInput(
            SBOM_FILE, expected="a CycloneDX bill of materials", found=f"{type(why).__name__} {why}"
        ) from why
    if len(dict(pairs)) != len(pairs):
        raise BadInput(SBOM_FILE, expected="each component once", found="one twice")
    return dict(pairs)


def _sha256(component: dict[str, Any]) -> str:
    return ", ".join(str(h["content"]) for h in component.get("hashes", []) if h["alg"] == "SHA-256") or "no SHA-256"


def _compare(thing: str, expected: dict[tuple[str, str], str], found: dict[tuple[str, str], str]) -> None:
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            name = "==".join(key)
            raise DigestMismatch(
                f"{thing} {name}", expected=expected.get(key, "no such package"), found=found.get(key, "none")
            )


def _named(path: str) -> tuple[str, str]:
    parts = path.split("-")
    if len(parts) not in {5, 6} or "/" in path:
        raise BadInput(f"{SOFTWARE_FILE} {path}", expected="the name of a wheel", found=path)
    return _key(parts[0], parts[1])


def _key(name: str, version: str) -> tuple[str, str]:
    return re.sub(r"[-_.]+", "-", name).lower(), version


_WORD = r"^[A-Za-z0-9._+!-]{1,128}\z"


class _FileJson(Door):
    path: str
    size: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}\z")


class _SoftwareJson(Door):
    format: Literal["casemate-software/1"]
    name: str = Field(pattern=_WORD)
    version: str = Field(pattern=_WORD)
    python: str = Field(pattern=_WORD)
    platform: str = Field(pattern=_WORD)
    files: list[_FileJson] = Field(min_length=1, max_length=10_000)
