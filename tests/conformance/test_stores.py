"""What every store promises, over every backend found."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput, DigestMismatch, NotFound
from casemate.store import (
    Digest,
    Manifest,
    ManifestFile,
    ObjectStore,
    checkout,
    collect_garbage,
    get_bytes,
    get_manifest,
    manifest_of,
    open_store,
    put_bytes,
    put_folder,
    store_names,
    verify_store,
)
from tests import hostile

ABSENT = Digest("0" * 64)


@pytest.fixture(params=store_names())
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(name: str, tmp_path: Path) -> ObjectStore:
    return open_store(name, tmp_path / "a 'store'\n🛰️")


def test_the_backends_are_found() -> None:
    assert store_names() == ["memory", "posix"]


def test_an_unknown_backend_is_refused_with_the_known_ones() -> None:
    with pytest.raises(BadInput) as why:
        open_store("tape", Path("x"))
    assert str(why.value) == "store: expected memory or posix, found 'tape'"


def test_what_is_put_is_got_under_its_sha256(store: ObjectStore) -> None:
    digest = put_bytes(store, b"abc")
    assert str(digest) == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert get_bytes(store, digest) == b"abc"
    assert store.has(digest)
    assert not store.has(ABSENT)


@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=5000), read=st.integers(1, 6000))
def test_every_bytes_come_back_however_they_are_read(store: ObjectStore, data: bytes, read: int) -> None:
    digest = store.put(io.BytesIO(data))
    with store.open(digest) as stream:
        chunks = []
        while chunk := stream.read(read):
            chunks.append(chunk)
    assert b"".join(chunks) == data
    assert digest == Digest.of_bytes(data)


def test_an_object_larger_than_any_buffer_comes_back(store: ObjectStore) -> None:
    data = os.urandom(1 << 20) * 5 + b"tail"
    assert get_bytes(store, put_bytes(store, data)) == data


def test_a_missing_object_is_not_found(store: ObjectStore) -> None:
    with pytest.raises(NotFound) as why:
        store.open(ABSENT)
    assert str(why.value) == f"object {ABSENT}: expected an object of the store, found nothing"


def test_objects_are_listed_once_and_deleted_once(store: ObjectStore) -> None:
    digests = {put_bytes(store, b"%d" % n) for n in range(20)}
    put_bytes(store, b"0")
    assert sorted(store.digests()) == sorted(digests)
    assert store.delete(min(digests))
    assert not store.delete(min(digests))
    assert set(store.digests()) == digests - {min(digests)}


def test_an_object_put_a_moment_ago_is_not_deleted_when_idle_time_is_asked_for(store: ObjectStore) -> None:
    digest = put_bytes(store, b"fresh")
    assert not store.delete(digest, idle_s=60)
    assert store.has(digest)


def test_a_folder_of_hostile_names_makes_the_round_trip(store: ObjectStore, tmp_path: Path) -> None:
    contents = hostile.tree(tmp_path / "in")
    manifest = put_folder(store, tmp_path / "in")
    assert {file.path for file in manifest.files} == contents.keys()
    assert get_manifest(store, manifest.digest) == manifest
    out = checkout(store, manifest, tmp_path / "out")
    assert {path: (out / path).read_bytes() for path in contents} == contents
    assert manifest_of(out) == manifest


@pytest.mark.parametrize("plant", hostile.PLANTS)
def test_what_is_no_plain_file_is_refused_and_nothing_is_kept(store: ObjectStore, tmp_path: Path, plant: str) -> None:
    (tmp_path / "in").mkdir()
    hostile.PLANTS[plant](tmp_path / "in")
    with pytest.raises(BadInput) as why:
        put_folder(store, tmp_path / "in")
    kind = plant if plant in {"pipe", "socket"} else "symbolic link"
    assert str(why.value) == f"planted: expected files and folders only, found a {kind}"
    assert list(store.digests()) == []


def test_a_name_that_is_not_utf8_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / hostile.NOT_UTF8).write_bytes(b"")
    with pytest.raises(BadInput) as why:
        put_folder(store, tmp_path)
    assert str(why.value).endswith("expected paths in UTF-8, found 'caf\\udce9.png'")


def test_moving_a_folder_in_leaves_nothing_of_it(store: ObjectStore, tmp_path: Path) -> None:
    contents = hostile.tree(tmp_path / "in")
    as_it_was = manifest_of(tmp_path / "in")
    assert put_folder(store, tmp_path / "in", move=True) == as_it_was
    assert not (tmp_path / "in").exists()
    assert {file.path: get_bytes(store, file.digest) for file in as_it_was.files} == contents


def test_checking_out_onto_something_is_refused(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(BadInput) as why:
        checkout(store, Manifest(()), tmp_path / "out")
    assert str(why.value) == f"{tmp_path / 'out'}: expected a name that is free, found something there already"


def test_checking_out_what_is_missing_leaves_no_folder(store: ObjectStore, tmp_path: Path) -> None:
    present = put_bytes(store, b"present")
    manifest = Manifest((ManifestFile("a", 7, present), ManifestFile("b", 1, ABSENT)))
    with pytest.raises(NotFound, match=str(ABSENT)):
        checkout(store, manifest, tmp_path / "new" / "out")
    assert list((tmp_path / "new").iterdir()) == []


def test_garbage_is_what_no_live_name_keeps(store: ObjectStore, tmp_path: Path) -> None:
    hostile.tree(tmp_path / "kept")
    (tmp_path / "lost").mkdir()
    (tmp_path / "lost" / "a").write_bytes(b"lost")
    kept, lost = put_folder(store, tmp_path / "kept"), put_folder(store, tmp_path / "lost")
    named = put_bytes(store, b"a statement that an entry names")
    assert set(collect_garbage(store, [kept.digest, named], idle_s=0)) == {lost.digest, lost.files[0].digest}
    assert verify_store(store, live=[kept.digest, named]) == []
    assert get_bytes(store, named) == b"a statement that an entry names"
    assert not store.has(lost.digest)


def test_nothing_young_is_garbage(store: ObjectStore) -> None:
    digest = put_bytes(store, b"its entry is being written")
    assert collect_garbage(store, []) == []
    assert store.has(digest)


def test_nothing_is_collected_while_a_live_object_is_missing(store: ObjectStore) -> None:
    digest = put_bytes(store, b"who knows")
    with pytest.raises(NotFound):
        collect_garbage(store, [ABSENT], idle_s=0)
    assert store.has(digest)


def test_json_that_begins_like_a_manifest_keeps_only_itself(store: ObjectStore) -> None:
    digest = put_bytes(store, b'{\n "files": [] }')
    assert collect_garbage(store, [digest], idle_s=0) == []


def test_a_live_manifest_whose_file_is_gone_is_named_as_damage(store: ObjectStore, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    manifest = put_folder(store, tmp_path)
    lost = Digest.of_bytes(b"a")
    store.delete(lost)
    assert verify_store(store) == []
    (damage,) = verify_store(store, live=[manifest.digest, ABSENT])[1:]
    assert str(damage) == f"object {lost}: expected an object that the manifest {manifest.digest} lists, found nothing"


def test_two_writers_of_the_same_bytes_both_succeed(store: ObjectStore) -> None:
    data = os.urandom(300_000)
    found: list[Digest] = []
    threads = [threading.Thread(target=lambda: found.append(put_bytes(store, data))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [Digest.of_bytes(data)] * 8
    assert get_bytes(store, found[0]) == data


def test_progress_counts_the_bytes_to_their_end(store: ObjectStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 50)
    heard: list[tuple[int, int, str]] = []
    manifest = put_folder(store, tmp_path / "in", progress=lambda *what: heard.append(what))
    assert heard[-1] == (manifest.size, manifest.size, "bytes")
    assert [done for done, _, _ in heard] == sorted(done for done, _, _ in heard)


@pytest.fixture
def damage(name: str, store: ObjectStore) -> Callable[[Digest, bytes], None]:
    """How each backend's bytes can go bad behind its back."""

    def on_disk(digest: Digest, data: bytes) -> None:
        file = store.path(digest)  # type: ignore[attr-defined]
        file.chmod(0o600)
        file.write_bytes(data)

    def in_memory(digest: Digest, data: bytes) -> None:
        store._objects[digest] = (data, 0.0)  # type: ignore[attr-defined]

    return {"posix": on_disk, "memory": in_memory}[name]


@pytest.mark.parametrize("bad", [b"", b"abd", b"ab", b"abcd", b"abc" * 1_000_000])
def test_wrong_bytes_are_refused_with_both_digests_and_named_by_verify(
    store: ObjectStore, damage: Callable[[Digest, bytes], None], tmp_path: Path, bad: bytes
) -> None:
    good = put_bytes(store, b"good")
    digest = put_bytes(store, b"abc")
    damage(digest, bad)
    with pytest.raises(DigestMismatch) as why:
        get_bytes(store, digest)
    said = f"object {digest}: expected {digest}, found {Digest.of_bytes(bad)}"
    assert str(why.value) == said
    assert [str(found) for found in verify_store(store)] == [said]
    assert get_bytes(store, good) == b"good"
    with pytest.raises(DigestMismatch, match=str(Digest.of_bytes(bad))):
        checkout(store, Manifest((ManifestFile("f", 3, digest),)), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_end_of_wrong_bytes_is_never_handed_over(
    store: ObjectStore, damage: Callable[[Digest, bytes], None]
) -> None:
    digest = put_bytes(store, bytes(3_000_000))
    damage(digest, bytes(2_999_999) + b"!")
    got: list[bytes] = []
    with store.open(digest) as stream, pytest.raises(DigestMismatch):
        got.extend(iter(lambda: stream.read(65536), b""))
    assert got
    assert b"!" not in b"".join(got)


def test_putting_the_right_bytes_again_heals(store: ObjectStore, damage: Callable[[Digest, bytes], None]) -> None:
    digest = put_bytes(store, b"abc")
    damage(digest, b"xyz")
    assert put_bytes(store, b"abc") == digest
    assert verify_store(store) == []


def test_a_damaged_live_manifest_stops_the_collection(
    store: ObjectStore, damage: Callable[[Digest, bytes], None], tmp_path: Path
) -> None:
    (tmp_path / "a").write_bytes(b"a")
    manifest = put_folder(store, tmp_path)
    damage(manifest.digest, manifest.to_json().replace(b'"a"', b'"b"'))
    with pytest.raises(DigestMismatch):
        collect_garbage(store, [manifest.digest], idle_s=0)
    assert store.has(Digest.of_bytes(b"a"))
