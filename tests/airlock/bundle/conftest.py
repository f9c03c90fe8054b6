"""Stores with something to send, pens that need no key file, and a trust that knows them."""

from __future__ import annotations

import atexit
import hashlib
import random
import shutil
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, mldsa

from casemate.airlock.bundle import Carried, Label, Sealed, seal
from casemate.gates.pen import Pen
from casemate.signing import Statement, Subject, Trust, TrustedKey
from casemate.store import Digest, put_bytes, put_folder
from casemate.store.memory import MemoryStore
from casemate.store.objects import ObjectStore
from casemate.store.posix import PosixStore

NOW = datetime(2030, 6, 1, 12, 0, tzinfo=UTC)
LABEL = Label("harbour", "lighthouse", "DR", 1, "", "2030-06-01T12:00:00Z")
PEOPLE = {"anne": {"author"}, "olivia": {"officer"}, "harbour": {"site"}, "lighthouse": {"site"}}


@cache
def pen_of(name: str) -> Pen:
    seed = hashlib.sha256(name.encode()).digest()
    classic = ec.derive_private_key(int.from_bytes(seed, "big"), ec.SECP384R1())
    return Pen(classic, mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))


@pytest.fixture(scope="session")
def trust() -> Trust:
    start, end = datetime(2030, 1, 1, tzinfo=UTC), datetime(2031, 1, 1, tzinfo=UTC)
    return Trust(tuple(TrustedKey(n, pen_of(n).public, frozenset(r), start, end) for n, r in PEOPLE.items()))


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "source")


@pytest.fixture
def target(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "target")


@pytest.fixture(params=["posix", "memory"])
def any_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return PosixStore(tmp_path / "any") if request.param == "posix" else MemoryStore()


def lasting_folder() -> Path:
    """A folder for as long as the tests run."""
    folder = Path(mkdtemp())
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def noise(size: int, seed: str = "noise") -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311  the same in every run


@cache
def statement() -> bytes:
    said = Statement("urn:casemate:test:1", (Subject("thing", "0" * 64),), {"verdict": "pass"})
    return pen_of("harbour").sign(said).to_json()


def carried(digest: Digest, shape: Any = "manifest", **changes: Any) -> Carried:
    facts: dict[str, Any] = {
        "id": "e" * 32,
        "kind": "dataset",
        "name": "ports",
        "project": "harbour",
        "marking": "DR",
        "author": "anne",
        "created": "2030-05-01T12:00:00Z",
        "facts": {"modality": "imagery", "images": 12},
        "parents": ("p" * 32,),
        "licence": "CC-BY-4.0",
    }
    return Carried(digest=digest, shape=shape, **{**facts, **changes})


def folder_of(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def entry_of(store: ObjectStore, folder: Path, files: dict[str, bytes], **changes: Any) -> Carried:
    return carried(put_folder(store, folder_of(folder, files)).digest, **changes)


def a_few() -> dict[str, bytes]:
    """Files of every kind that matters: empty, tiny, text, noise, the same twice, several members long."""
    return {
        "empty": b"",
        "labels/tiny.txt": b"x",
        "text.json": b'{"images": []}\n' * 20_000,
        "noise.bin": noise(70_000),
        "again/noise.bin": noise(70_000),
        "weights.bin": noise(9 << 20, "weights"),
    }


def small_few() -> dict[str, bytes]:
    return {"empty": b"", "tiny": b"x", "text": b"words and words, " * 200, "noise": noise(3_000)}


@pytest.fixture
def sealed_small(store: PosixStore, tmp_path: Path) -> Sealed:
    entry = entry_of(store, tmp_path / "files", small_few())
    return seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"), statements={"a.dsse.json": statement()})


def sorted_stream(digests: Sequence[Digest]) -> Callable[[], Any]:
    return lambda: iter(sorted(digests))


def put(store: ObjectStore, data: bytes) -> Digest:
    return put_bytes(store, data)
