from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.store import Digest, Hashed, digest_files
from tests import hostile


@settings(deadline=None, max_examples=100)
@given(st.binary())
def test_a_digest_is_what_sha256sum_says_and_its_text_is_read_back(data: bytes) -> None:
    digest = Digest.of_bytes(data)
    assert str(digest) == "sha256:" + hashlib.sha256(data).hexdigest()
    assert Digest.parse(str(digest)) == digest


@pytest.mark.parametrize(
    "text",
    ["", "ab" * 32, "sha256:", "sha256:" + "AB" * 32, "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha512:" + "a" * 64,
     "sha256:" + "a" * 64 + "\n", " sha256:" + "a" * 64, "sha256:" + "١" * 64],
)  # fmt: skip
def test_other_text_is_no_digest(text: str) -> None:
    with pytest.raises(BadInput) as why:
        Digest.parse(text)
    assert str(why.value).startswith("digest: expected sha256: and 64 lower-case hexadecimal digits, found '")


def test_a_file_is_digested_in_a_stream_whose_chunks_are_told(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "f").write_bytes(data)
    heard: list[int] = []
    assert Digest.of_file(tmp_path / "f", on_bytes=heard.append) == Digest.of_bytes(data)
    assert sum(heard) == len(data)
    assert len(heard) > 1


@pytest.mark.parametrize("plant", hostile.PLANTS)
def test_only_regular_files_are_digested_and_nobody_waits_for_a_pipe(tmp_path: Path, plant: str) -> None:
    hostile.PLANTS[plant](tmp_path)
    with pytest.raises(BadInput, match="expected a regular file"):
        Digest.of_file(tmp_path / "planted")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInput) as why:
        Digest.of_file(tmp_path / "gone")
    assert str(why.value) == (
        f"{tmp_path / 'gone'}: expected a regular file that can be read, found No such file or directory"
    )


def test_many_files_are_digested_once_each(tmp_path: Path) -> None:
    contents = hostile.tree(tmp_path)
    found = dict(digest_files(tmp_path / path for path in contents))
    assert found == {tmp_path / path: Digest.of_bytes(data) for path, data in contents.items()}


def test_one_unreadable_file_among_many_is_raised(tmp_path: Path) -> None:
    hostile.many(tmp_path, 100)
    paths = [*tmp_path.iterdir(), tmp_path / "gone"]
    with pytest.raises(BadInput, match="gone"):
        list(digest_files(paths))


def test_a_digest_is_believed_only_of_the_untouched_file(tmp_path: Path) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"one")
    hashed = Hashed.seen(Digest.of_file(file), file.stat())
    assert hashed.still(file.stat())
    before = file.stat()
    file.write_bytes(b"two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert not hashed.still(file.stat())
    (tmp_path / "other").write_bytes(b"one")
    os.utime(tmp_path / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "other").replace(file)
    assert not hashed.still(file.stat())
