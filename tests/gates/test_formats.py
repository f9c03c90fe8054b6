"""Releases made by every version ever released, verified for ever; a folder is added a version and never changed."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from casemate.errors import CasemateError
from casemate.gates.release_check import Release, check, read_revocation
from casemate.signing.envelope import Envelope
from casemate.signing.keys import PublicKey
from casemate.signing.openssf import verify_listing
from casemate.signing.trust import Trust, load_trust
from casemate.store.digest import Digest
from casemate.store.manifest import Manifest, ManifestFile

FORMATS = Path(__file__).resolve().parents[1] / "formats"
FOLDERS = sorted(FORMATS.glob("release-*"))
WHEN = datetime(2030, 6, 2, tzinfo=UTC)


def _verified(files: dict[str, bytes]) -> tuple[Release, Trust]:
    """The release in a folder, after everything in it was verified."""
    officer = PublicKey.from_json(files["officer.pub.json"])
    trust = load_trust(files["trust.toml"], files["trust.dsse.json"], officer)
    model = {name.removeprefix("model/"): data for name, data in files.items() if name.startswith("model/")}
    listed = tuple(ManifestFile(name, len(data), Digest.of_bytes(data)) for name, data in model.items())
    approvals = [Envelope.from_json(files[name]) for name in sorted(files) if name.startswith("approval-")]
    release = check(
        Envelope.from_json(files["release.dsse.json"]),
        approvals,
        trust=trust,
        now=WHEN,
        site="harbour",
        model=Manifest(listed).digest,
    )
    digests = {name: hashlib.sha256(data).hexdigest() for name, data in model.items()}
    verify_listing(files["model.sig"], digests, files["site.pem"])
    assert read_revocation(Envelope.from_json(files["revocation.dsse.json"]), trust).reason
    return release, trust


def _read(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_releases_of_every_version_verify(folder: Path) -> None:
    release, trust = _verified(_read(folder))
    assert (release.name, release.author, release.sites) == ("plane finder", "anne", ("harbour",))
    assert release.calibration == Digest.of_bytes(b"calibration")
    assert {key.name for key in trust.keys} >= {"bob", "carol", "harbour", "olivia"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_one_changed_byte_in_any_file_of_a_release_is_refused(folder: Path) -> None:
    files = _read(folder)
    for name, data in files.items():
        for place in {0, len(data) // 2, len(data) - 2}:
            changed = bytearray(data)
            changed[place] ^= 1
            with pytest.raises(CasemateError):
                _verified({**files, name: bytes(changed)})


def test_there_is_a_release_of_each_version_so_far() -> None:
    assert [folder.name for folder in FOLDERS] == ["release-0.1"]
