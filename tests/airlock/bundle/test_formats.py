"""Bundles made by every version ever released, verified for ever; a folder is added a version and never changed."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from casemate.airlock.bundle import BundleManifest, check, read_head, rebuild, rebuilt_path, receive, verify_head
from casemate.errors import CasemateError
from casemate.signing import PublicKey, Trust, load_trust
from casemate.store import Digest, Manifest, put_bytes
from casemate.store.memory import MemoryStore

FOLDERS = sorted((Path(__file__).resolve().parents[2] / "formats").glob("bundle-*"))
WHEN = datetime(2030, 6, 2, tzinfo=UTC)
BASE = b"".join(b"%08d," % number for number in range(120_000))  # what the destination has: one file is a change of it


def _trust(folder: Path) -> Trust:
    officer = PublicKey.from_json((folder / "officer.pub.json").read_bytes())
    return load_trust((folder / "trust.toml").read_bytes(), (folder / "trust.dsse.json").read_bytes(), officer)


def _store() -> MemoryStore:
    store = MemoryStore()
    put_bytes(store, BASE)
    return store


def _sources(folder: Path) -> list[list[Path]]:
    return [[folder / "bundle"], sorted((folder / "volumes").iterdir()), sorted((folder / "tars").iterdir())]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_bundles_of_every_version_are_received_and_rebuilt(folder: Path, tmp_path: Path) -> None:
    for number, sources in enumerate(_sources(folder)):
        head = read_head(sources[0])
        assert verify_head(head, _trust(folder), WHEN).name == "harbour"
        assert check(sources, _trust(folder), WHEN, _store()) == head.manifest
        got = [receive(source, tmp_path / f"area {number}", head) for source in sources][-1]
        assert got.whole
        rebuild(got.folder, head.manifest, _store(), tmp_path / f"{number}")
        _as_it_was(head.manifest, tmp_path / f"{number}")


def _as_it_was(manifest: BundleManifest, rebuilt: Path) -> None:
    label, (first, second) = manifest.label, manifest.entries
    assert (label.source, label.destination, label.marking, label.sequence) == ("harbour", "lighthouse", "DR//PORT", 2)
    assert (first.kind, second.kind, first.facts) == ("dataset", "report", {"modality": "imagery", "images": 12})
    listed = Manifest.from_json(rebuilt_path(rebuilt, first.digest).read_bytes())
    contents = {file.path: rebuilt_path(rebuilt, file.digest).read_bytes() for file in listed.files}
    assert set(contents) == {"empty", "tiny", "text", "noise", "folder/é.csv"}
    assert contents["folder/é.csv"] == BASE[:500_000] + b"one edit" + BASE[500_000:]
    for digest in (second.digest, *first.also):
        assert Digest.of_file(rebuilt_path(rebuilt, digest)) == digest


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_one_changed_byte_in_any_file_of_a_bundle_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    for sources in _sources(tmp_path / "copy"):
        files = [file for source in sources for file in ([source] if source.is_file() else source.rglob("*"))]
        for file in (file for file in files if file.is_file()):
            data = file.read_bytes()
            for place in {0, len(data) // 2, len(data) - 2}:
                file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
                with pytest.raises(CasemateError, match=re.escape(file.name)):
                    check(sources, _trust(folder), WHEN)
            file.write_bytes(data)


def test_there_is_a_bundle_of_each_version_so_far() -> None:
    assert [folder.name for folder in FOLDERS] == ["bundle-0.2"]
