"""Files that are there whole or as they were before."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest

from casemate.errors import BadInput, DiskFull
from casemate.store.whole import write_whole, written_whole


def names(folder: Path) -> list[str]:
    return sorted(found.name for found in folder.iterdir())


def test_a_file_is_replaced_whole_and_nothing_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "a"
    for data in (b"first", b"second"):
        write_whole(file, data)
        assert file.read_bytes() == data
    assert names(tmp_path) == ["a"]


def test_a_failure_half_way_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")

    def half() -> None:
        with written_whole(file) as stream:
            stream.write(b"new")
            raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"):
        half()
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_full_disk_is_named_and_leaves_what_was_there(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        with pytest.raises(DiskFull, match=r"expected room to write, found File too large, \d+ bytes free"):
            write_whole(file, b"x" * 200_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == b"old"
    assert names(tmp_path) == ["a"]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"^a: expected a folder that can be written, found No such file or directory"):
        write_whole(tmp_path / "gone" / "a", b"")
