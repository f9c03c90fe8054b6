from __future__ import annotations

from pathlib import Path

import pytest

from casemate.airlock.packs import Order, Target, pip_download
from casemate.airlock.packs.download import order_for, pip_arguments
from casemate.airlock.packs.pack import Wheel
from casemate.errors import DigestMismatch, Unavailable
from casemate.store.digest import Digest
from tests.airlock.packs.conftest import real_wheel, sha256

ZERO = Digest("0" * 64)


def test_a_hashed_order_asks_pip_for_wheels_alone_and_for_these_bytes_only() -> None:
    arguments = pip_arguments(Order(("one==1 --hash=sha256:ab",)), Path("/r"), Path("/c"), Path("/into"))
    expected = ["download", "--only-binary", ":all:", "--dest", "/into", "--requirement", "/r", "--no-deps"]
    assert arguments == [*expected, "--require-hashes"]


def test_an_order_without_hashes_is_bound_by_its_constraints() -> None:
    order = Order(("torch==2",), hashed=False, constraints=("one==1",), target=Target("3.12", ("a", "b")))
    arguments = pip_arguments(order, Path("/r"), Path("/c"), Path("/into"))
    assert arguments[:3] == ["download", "--only-binary", ":all:"]
    assert "--require-hashes" not in arguments
    tail = [
        "--constraint",
        "/c",
        "--python-version",
        "3.12",
        "--implementation",
        "cp",
        "--platform",
        "a",
        "--platform",
        "b",
    ]
    assert arguments[7:] == tail


def test_a_wheel_for_another_python_is_ordered_as_such() -> None:
    name = "vad-1-cp312-cp312-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"
    order = order_for(Wheel("vad", "1", name, ZERO))
    assert order.target == Target("3.12", ("manylinux2014_x86_64", "manylinux_2_17_x86_64"), "cp312")
    assert order_for(Wheel("vad", "1", "vad-1-py3-none-any.whl", ZERO)).target is None


@pytest.fixture
def folder_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of wheels, and pip told to look nowhere else."""
    folder = tmp_path / "links"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def test_pip_fetches_what_is_ordered_and_says_what_it_could_not(folder_registry: Path, tmp_path: Path) -> None:
    wheel = real_wheel(folder_registry, "leaf")
    into = tmp_path / "into"
    into.mkdir()
    pip_download(Order((f"leaf==1.0 --hash=sha256:{sha256(wheel.read_bytes())}",)), into)
    assert [file.name for file in into.iterdir()] == ["leaf-1.0-py3-none-any.whl"]
    with pytest.raises(DigestMismatch) as mismatch:
        pip_download(Order((f"leaf==1.0 --hash=sha256:{ZERO.hex}",)), tmp_path)
    assert str(mismatch.value) == f"leaf==1.0: expected {ZERO.hex}, found {sha256(wheel.read_bytes())}"
    with pytest.raises(Unavailable) as absent:
        pip_download(Order((f"absent==1.0 --hash=sha256:{ZERO.hex}",)), tmp_path)
    assert str(absent.value).startswith(
        "absent==1.0: expected pip to do its part, found ERROR: No matching distribution"
    )


def test_a_source_archive_is_never_built(folder_registry: Path, tmp_path: Path) -> None:
    import tarfile

    trap = tmp_path / "setup.py"
    trap.write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nfrom setuptools import setup\nsetup(name='trap', version='1.0')\n"
    )
    with tarfile.open(folder_registry / "trap-1.0.tar.gz", "w:gz") as archive:
        archive.add(trap, "trap-1.0/setup.py")
    digest = sha256((folder_registry / "trap-1.0.tar.gz").read_bytes())
    with pytest.raises(Unavailable):
        pip_download(Order((f"trap==1.0 --hash=sha256:{digest}",)), tmp_path)
    assert not (tmp_path / "ran").exists()
