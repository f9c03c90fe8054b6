"""A build that is killed leaves nothing half-written, and goes on where it was."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from casemate.airlock.packs import build, check, read
from tests.airlock.packs.conftest import Registry

CHECKOUT = Path(__file__).resolve().parents[3]
KILLED = """
import os, signal, sys
from pathlib import Path
from casemate.airlock.packs import build, read
from tests.airlock.packs.conftest import Registry

folder, into, when = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
registry, seen = Registry(folder), []

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def download(order, place):
    registry(order, place)
    seen.append(order)
    if when == f"download {len(seen)}":
        die()

def progress(done, total, unit):
    if when == "first byte" or (when == "last byte" and done == total):
        die()

build(read((folder / "list.toml").read_text()), into, download=download, progress=progress)
"""


@pytest.mark.parametrize(
    ("when", "fetched_again"), [("download 1", 2), ("download 2", 1), ("first byte", 0), ("last byte", 0)]
)
def test_a_killed_build_shows_nothing_and_the_next_one_ends_it(
    tmp_path: Path, small: str, registry: Registry, when: str, fetched_again: int
) -> None:
    (registry.folder / "list.toml").write_text(small, encoding="utf-8")
    place = tmp_path / "place"
    argv = [sys.executable, "-c", KILLED, str(registry.folder), str(place / "small"), when]
    assert subprocess.run(argv, cwd=CHECKOUT, check=False).returncode == -9
    assert not (place / "small").exists()

    pack = read(small)
    build(pack, place / "small", download=registry)
    assert len(registry.asked) == fetched_again
    assert check(place / "small", pack) == pack.manifest
    assert [entry.name for entry in place.iterdir()] == ["small"]
