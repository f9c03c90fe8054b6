"""Bundles to send."""

from __future__ import annotations

import random
from pathlib import Path

import pytest


def write_bundle(folder: Path, *, big_bytes: int = 150_000, small: int = 20) -> Path:
    """A folder such as a bundle is: a big file, small ones, an empty one; the same bytes in every run."""
    chance = random.Random(7)  # noqa: S311  bytes, the same in every run
    (folder / "parts").mkdir(parents=True)
    (folder / "statements").mkdir()
    (folder / "manifest.json").write_text('{"a": 1}\n', encoding="utf-8")
    (folder / "parts" / "000001.tar").write_bytes(chance.randbytes(big_bytes))
    (folder / "empty").touch()
    for number in range(small):
        (folder / "statements" / f"é {number}.json").write_bytes(chance.randbytes(chance.randrange(900)))
    return folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "bundle")


@pytest.fixture
def into(tmp_path: Path) -> Path:
    place = tmp_path / "in"
    place.mkdir()
    return place
