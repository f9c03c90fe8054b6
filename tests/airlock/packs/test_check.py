from __future__ import annotations

import os
from pathlib import Path

import pytest

from casemate.airlock.packs import Pack, build, check, read
from casemate.errors import BadInput, CasemateError
from tests.airlock.packs.conftest import MODEL, Registry, sha256


@pytest.fixture
def built(tmp_path: Path, small: str, registry: Registry) -> tuple[Path, Pack]:
    pack, into = read(small), tmp_path / "pack"
    build(pack, into, download=registry)
    return into, pack


def refused(folder: Path, pack: Pack) -> str:
    with pytest.raises(CasemateError) as refusal:
        check(folder, pack)
    return str(refusal.value)


def test_any_changed_byte_of_any_file_is_refused_and_names_the_file(built: tuple[Path, Pack]) -> None:
    folder, pack = built
    for file in pack.manifest.files:
        path = folder / file.path
        whole = path.read_bytes()
        for place in {0, len(whole) // 2, len(whole) - 1}:
            changed = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
            path.write_bytes(changed)
            assert refused(folder, pack) == f"{file.path}: expected {file.digest}, found sha256:{sha256(changed)}"
        path.write_bytes(whole)
    check(folder, pack)


def test_a_missing_a_longer_and_an_extra_file_are_refused(built: tuple[Path, Pack]) -> None:
    folder, pack = built
    model = folder / "model" / "small.gguf"
    model.write_bytes(MODEL + b"\x00")
    size = len(MODEL)
    assert refused(folder, pack) == f"model/small.gguf: expected {size} bytes, found {size + 1} bytes"
    model.unlink()
    assert refused(folder, pack) == "model/small.gguf: expected a file, found none"
    model.write_bytes(MODEL)
    (folder / "model" / "setup.py").write_text("")
    assert refused(folder, pack) == "model/setup.py: expected no such file, found a file that the list does not have"


def test_an_extra_folder_even_empty_is_refused(built: tuple[Path, Pack]) -> None:
    folder, pack = built
    (folder / "model" / "empty").mkdir()
    assert refused(folder, pack) == "model/empty: expected no such folder, found a folder that the list does not have"


def test_a_link_is_refused_even_to_the_right_bytes(built: tuple[Path, Pack], tmp_path: Path) -> None:
    folder, pack = built
    model = folder / "model" / "small.gguf"
    model.rename(tmp_path / "same")
    model.symlink_to(tmp_path / "same")
    assert refused(folder, pack) == "model/small.gguf: expected files and folders only, found a symbolic link"
    model.unlink()
    os.mkfifo(model)
    assert refused(folder, pack) == "model/small.gguf: expected files and folders only, found a pipe"


def test_a_linked_folder_is_refused(built: tuple[Path, Pack], tmp_path: Path) -> None:
    folder, pack = built
    (folder / "model").rename(tmp_path / "aside")
    (folder / "model").symlink_to(tmp_path / "aside")
    assert refused(folder, pack) == "model: expected files and folders only, found a symbolic link"
    link = tmp_path / "link"
    link.symlink_to(folder)
    with pytest.raises(BadInput, match="link: expected a folder, found a link or no folder"):
        check(link, pack)


def test_the_list_in_the_folder_does_not_speak_for_itself(built: tuple[Path, Pack], small: str) -> None:
    folder, _ = built
    other = read(small.replace("A small model", "A great model"))
    assert refused(folder, other).startswith("pack.json: expected sha256:")
