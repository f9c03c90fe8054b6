from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import BadInput
from casemate.store import Digest, Manifest, ManifestFile
from tests import hostile

EMPTY = Digest.of_bytes(b"")
_NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=20).filter(
    lambda name: name not in {".", ".."}
)
_FILES = st.builds(
    ManifestFile,
    st.lists(_NAMES, min_size=1, max_size=4).map("/".join),
    st.integers(0, 2**60),
    st.binary(max_size=3).map(Digest.of_bytes),
)  # fmt: skip


def _manifest(*paths: str) -> Manifest:
    return Manifest(tuple(ManifestFile(path, 0, EMPTY) for path in paths))


@settings(deadline=None, max_examples=100)
@given(st.lists(_FILES, max_size=8, unique_by=lambda file: file.path))
def test_printing_and_reading_are_inverse_and_the_text_is_plain_json(files: list[ManifestFile]) -> None:
    try:
        manifest = Manifest(tuple(files))
    except BadInput as why:
        assert "as both" in str(why)  # noqa: PT017  some file may be a folder of another
        return
    text = manifest.to_json()
    assert Manifest.from_json(text) == manifest
    assert Manifest.from_json(text).digest == manifest.digest == Digest.of_bytes(text)
    facts = {
        "format": "casemate-manifest/1",
        "files": [{"path": f.path, "size": f.size, "sha256": f.digest.hex} for f in manifest.files],
    }
    assert text.decode() == json.dumps(facts, indent=1, sort_keys=True) + "\n"


def test_the_order_in_which_files_are_given_does_not_matter() -> None:
    assert _manifest("b", "a/c", "a.b").digest == _manifest("a.b", "b", "a/c").digest


def test_the_text_is_as_it_has_always_been(golden: Callable[[str, str], None]) -> None:
    files = [ManifestFile(name, len(name), Digest.of_bytes(name.encode())) for name in hostile.NAMES]
    golden("manifest.json", Manifest((*files, ManifestFile("a/b/c", 2**40, EMPTY))).to_json().decode())


@pytest.mark.parametrize("path", hostile.BAD_PATHS)
def test_a_path_that_could_leave_its_folder_is_refused_in_and_out(path: str) -> None:
    with pytest.raises(BadInput, match="manifest: expected "):
        _manifest(path)
    text = _manifest("PATH").to_json().replace(b'"PATH"', json.dumps(path).encode())
    with pytest.raises(BadInput, match="manifest: expected "):
        Manifest.from_json(text)


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["a", "a"], "manifest: expected each path once, found 'a' twice"),
        (["a", "a/b"], "manifest: expected each path to be a file or a folder, found 'a' as both"),
        (["x/y", "x/y/z/1", "x/0"], "manifest: expected each path to be a file or a folder, found 'x/y' as both"),
    ],
)
def test_paths_that_clash_are_refused(paths: list[str], said: str) -> None:
    with pytest.raises(BadInput) as why:
        _manifest(*paths)
    assert str(why.value) == said


GOOD = _manifest("a", "b").to_json()


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"\xff", b"[" * 100_000, GOOD + b" ", GOOD[:-1], GOOD.replace(b"\n", b""),
        GOOD.replace(b"manifest/1", b"manifest/2"), GOOD.replace(b'"size": 0', b'"size": -1'),
        GOOD.replace(b'"size": 0', b'"size": false'), GOOD.replace(b'"size": 0', b'"size": 0.0'),
        GOOD.replace(b'"size": 0', b'"size": 0,\n   "mode": 0'), GOOD.replace(b'"a"', b'"c"'),
        GOOD.replace(b'"a"', b'"\\u0061"'), GOOD.replace(EMPTY.hex.encode(), EMPTY.hex.upper().encode()),
        GOOD.replace(b' "format"', b' "extra": 1,\n "format"'), GOOD.replace(b'"size": 0', b'"size": 1, "size": 0'),
    ],
)  # fmt: skip
def test_text_that_is_not_canonical_is_refused(text: bytes) -> None:
    with pytest.raises(BadInput) as why:
        Manifest.from_json(text, source="it")
    assert str(why.value).startswith(("it: expected ", "digest: expected "))


def test_differences_are_named_file_by_file() -> None:
    one, other = Digest.of_bytes(b"1"), Digest.of_bytes(b"2")
    ours = Manifest((ManifestFile("gone\n", 1, one), ManifestFile("other", 1, one), ManifestFile("same", 1, one)))
    theirs = Manifest((ManifestFile("new", 1, one), ManifestFile("other", 2, other), ManifestFile("same", 1, one)))
    assert ours.differences(theirs) == [
        '"gone\\n" is missing',
        '"new" was added',
        f'"other": expected 1 bytes {one}, found 2 bytes {other}',
    ]
    assert ours.differences(ours) == []


def test_size_is_that_of_all_files() -> None:
    assert Manifest((ManifestFile("a", 2, EMPTY), ManifestFile("b", 3, EMPTY))).size == 5
