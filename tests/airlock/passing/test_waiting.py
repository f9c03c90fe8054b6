"""Deliveries that wait: whole or absent, hashed again when they are taken, movable twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from casemate.airlock.waiting import OBJECTS, Waiting, keep_bytes, object_path, shelve
from casemate.errors import DigestMismatch, NotFound
from casemate.store import Digest, Manifest, get_bytes, open_store

FILES = {"a.txt": b"alpha", "folder/b.txt": b"beta", "folder/same.txt": b"alpha"}


def delivery(tmp_path: Path) -> tuple[Waiting, Manifest]:
    """A delivery of three files that waits as `order`."""
    waiting = Waiting(tmp_path / "waiting")
    with waiting.preparing() as place:
        for path, data in FILES.items():
            file = place / "files" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        prepared = place / "delivery"
        (prepared / OBJECTS).mkdir(parents=True)
        manifest = shelve(place / "files", {"a.txt": Digest.of_bytes(b"alpha")}, prepared / OBJECTS)
        waiting.keep(prepared, "order")
    return waiting, manifest


def all_of(manifest: Manifest) -> list[Digest]:
    return [manifest.digest, *(file.digest for file in manifest.files)]


@pytest.mark.parametrize("backend", ["posix", "memory"])
def test_what_waits_is_taken_whole(tmp_path: Path, backend: str) -> None:
    waiting, manifest = delivery(tmp_path)
    store = open_store(backend, tmp_path / "store")
    assert waiting.waiting() == ["order"]
    waiting.take("order", all_of(manifest), store)
    assert {file.path: get_bytes(store, file.digest) for file in manifest.files} == FILES
    waiting.discard("order")
    assert waiting.waiting() == []
    waiting.discard("order")


def test_taking_that_was_cut_goes_on(tmp_path: Path) -> None:
    waiting, manifest = delivery(tmp_path)
    store = open_store("posix", tmp_path / "store")
    waiting.take("order", [manifest.files[0].digest], store)
    waiting.take("order", all_of(manifest), store)
    assert all(store.has(digest) for digest in all_of(manifest))


def test_an_object_that_changed_while_it_waited_is_refused_and_nothing_is_taken(tmp_path: Path) -> None:
    waiting, manifest = delivery(tmp_path)
    beta, forged = Digest.of_bytes(b"beta"), Digest.of_bytes(b"BETA")
    object_path(waiting.objects("order"), beta).write_bytes(b"BETA")
    store = open_store("posix", tmp_path / "store")
    with pytest.raises(DigestMismatch) as refused:
        waiting.take("order", all_of(manifest), store)
    assert str(refused.value) == f"object {beta} of the delivery: expected {beta}, found {forged}"
    assert list(store.digests()) == []


def test_an_object_that_is_gone_is_named(tmp_path: Path) -> None:
    waiting, manifest = delivery(tmp_path)
    beta = Digest.of_bytes(b"beta")
    object_path(waiting.objects("order"), beta).unlink()
    with pytest.raises(
        NotFound, match=f"object {beta}: expected an object of the delivery, or of the store, found nothing"
    ):
        waiting.take("order", all_of(manifest), open_store("posix", tmp_path / "store"))


def test_preparing_that_fails_leaves_nothing(tmp_path: Path) -> None:
    waiting = Waiting(tmp_path / "waiting")

    def broken() -> None:
        with waiting.preparing() as place:
            (place / OBJECTS).mkdir()
            keep_bytes(place / OBJECTS, b"x")
            raise OSError

    with pytest.raises(OSError):
        broken()
    assert list((tmp_path / "waiting").iterdir()) == []
