from __future__ import annotations

import os
from pathlib import Path

import pytest

from casemate.errors import BadInput, DigestMismatch
from casemate.store import (
    Digest,
    Hashed,
    Manifest,
    ManifestFile,
    checkout,
    get_bytes,
    list_files,
    manifest_of,
    put_folder,
    verify_store,
)
from casemate.store.posix import PosixStore
from tests import hostile


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "store")


def _known(folder: Path, lie: Digest) -> dict[str, Hashed]:
    return {item.path: Hashed.seen(lie, item.facts) for item in list_files(folder)}


def test_digests_known_of_untouched_files_are_taken_and_nothing_is_hashed_twice(
    store: PosixStore, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(b"content")
    lie = Digest.of_bytes(b"something else")  # only a lie shows that the bytes were not read
    manifest = put_folder(store, tmp_path / "in", move=True, known=_known(tmp_path / "in", lie))
    assert manifest.files[0].digest == lie
    with pytest.raises(DigestMismatch):
        get_bytes(store, lie)
    assert [damage.digest for damage in verify_store(store)] == [lie]


def test_a_file_touched_since_it_was_digested_is_hashed_again(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    file = tmp_path / "in" / "f"
    file.write_bytes(b"content")
    known = _known(tmp_path / "in", Digest.of_bytes(b"content"))
    file.write_bytes(b"CONTENT")
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    manifest = put_folder(store, tmp_path / "in", move=True, known=known)
    assert manifest.files[0].digest == Digest.of_bytes(b"CONTENT")
    assert verify_store(store) == []


def test_what_is_known_is_not_believed_of_files_that_stay_where_they_are(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(b"content")
    manifest = put_folder(store, tmp_path / "in", known=_known(tmp_path / "in", Digest.of_bytes(b"lie")))
    assert manifest.files[0].digest == Digest.of_bytes(b"content")


def test_a_file_in_the_place_of_a_folder_is_refused(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(BadInput) as why:
        put_folder(store, tmp_path / "f")
    assert str(why.value) == f"{tmp_path / 'f'}: expected a folder, found a file"
    with pytest.raises(BadInput) as why:
        put_folder(store, tmp_path / "g")
    assert str(why.value) == f"{tmp_path / 'g'}: expected a folder, found nothing"


def test_the_manifest_of_a_folder_names_one_changed_byte(tmp_path: Path) -> None:
    contents = hostile.tree(tmp_path)
    before = manifest_of(tmp_path)
    for path, data in list(contents.items())[::9]:
        (tmp_path / path).write_bytes(bytes([data[0] ^ 1]) + data[1:])
        (difference,) = before.differences(manifest_of(tmp_path))
        assert str(Digest.of_bytes(data)) in difference
        (tmp_path / path).write_bytes(data)
    assert before.differences(manifest_of(tmp_path)) == []


def test_a_checkout_names_the_file_whose_object_is_wrong(store: PosixStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 5)
    manifest = put_folder(store, tmp_path / "in")
    wrong = manifest.files[3]
    store.path(wrong.digest).chmod(0o600)
    store.path(wrong.digest).write_bytes(b"wrong")
    with pytest.raises(DigestMismatch) as why:
        checkout(store, manifest, tmp_path / "out")
    assert str(why.value) == f"000003: expected {wrong.digest}, found {Digest.of_bytes(b'wrong')}"
    assert not (tmp_path / "out").exists()


def test_a_manifest_with_another_size_than_its_object_is_refused(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(b"four")
    digest = put_folder(store, tmp_path / "in").files[0].digest
    with pytest.raises(DigestMismatch) as why:
        checkout(store, Manifest((ManifestFile("f", 5, digest),)), tmp_path / "out")
    assert str(why.value) == "f: expected 5 bytes, found 4 bytes"


def test_a_checkout_killed_half_way_is_swept_by_the_next(store: PosixStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 3)
    manifest = put_folder(store, tmp_path / "in")
    (tmp_path / "jobs" / ".checkout-dead").mkdir(parents=True)
    (tmp_path / "jobs" / ".checkout-dead.lock").touch()
    checkout(store, manifest, tmp_path / "jobs" / "out")
    assert [entry.name for entry in (tmp_path / "jobs").iterdir()] == ["out"]
