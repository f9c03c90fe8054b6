from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from casemate.airlock import Limits
from casemate.airlock.bundle import Label, Sealed, read_head, rebuild, receive, received, seal
from casemate.airlock.bundle.delivery import open_delivery
from casemate.airlock.bundle.lines import ObjectLine
from casemate.airlock.bundle.packing import pack, unpack
from casemate.airlock.bundle.terms import MEMBER_BYTES
from casemate.errors import (
    BadInput,
    CasemateError,
    DigestMismatch,
    InspectionRefused,
    NotFound,
    NotTrusted,
    Unavailable,
)
from casemate.store import Digest
from casemate.store.posix import PosixStore
from tests import hostile
from tests.airlock.bundle.conftest import LABEL, carried, entry_of, noise, pen_of, put, small_few


def nothing_in(area: Path) -> bool:
    return not [path for path in area.rglob("*") if path.is_file() and not path.name.endswith(".lock")]


@pytest.mark.parametrize("plant", hostile.PLANTS)
def test_what_is_no_file_is_refused_and_nothing_taken(plant: str, sealed_small: Sealed, tmp_path: Path) -> None:
    head = read_head(sealed_small.folder)
    hostile.PLANTS[plant](sealed_small.folder)
    with pytest.raises(InspectionRefused, match=r"planted|sister"):
        receive(sealed_small.folder, tmp_path / "area", head)
    assert nothing_in(tmp_path / "area")


@pytest.mark.parametrize("name", [*hostile.NAMES[1:20], hostile.NOT_UTF8, "parts/000002.tar", "statements/b.dsse.json"])
def test_a_file_that_the_manifest_does_not_name_is_refused(name: str, sealed_small: Sealed, tmp_path: Path) -> None:
    head = read_head(sealed_small.folder)
    (sealed_small.folder / name).write_bytes(b"extra")
    with pytest.raises(InspectionRefused, match=r"expected (only what the manifest names|a name )"):
        receive(sealed_small.folder, tmp_path / "area", head)
    assert nothing_in(tmp_path / "area")


def _part_as_link(bundle: Path) -> None:
    part = bundle / "parts" / "000001.tar"
    part.rename(bundle.parent / "elsewhere")
    part.symlink_to(bundle.parent / "elsewhere")


def _parts_as_link(bundle: Path) -> None:
    (bundle / "parts").rename(bundle.parent / "elsewhere")
    (bundle / "parts").symlink_to(bundle.parent / "elsewhere")


def _part_as_hard_link(bundle: Path) -> None:
    os.link(bundle / "parts" / "000001.tar", bundle.parent / "elsewhere")


def _manifest_as_link(bundle: Path) -> None:
    (bundle / "manifest.json").rename(bundle.parent / "elsewhere")
    (bundle / "manifest.json").symlink_to(bundle.parent / "elsewhere")


def _part_as_pipe(bundle: Path) -> None:
    (bundle / "parts" / "000001.tar").unlink()
    os.mkfifo(bundle / "parts" / "000001.tar")


def _sparse(bundle: Path) -> None:
    (bundle / "parts" / "000001.tar").chmod(0o600)
    os.truncate(bundle / "parts" / "000001.tar", 1 << 40)


@pytest.mark.parametrize(
    "swap", [_part_as_link, _parts_as_link, _part_as_hard_link, _manifest_as_link, _part_as_pipe, _sparse]
)
def test_a_file_that_leads_elsewhere_is_refused(
    swap: Callable[[Path], None], sealed_small: Sealed, tmp_path: Path
) -> None:
    head = read_head(sealed_small.folder)
    swap(sealed_small.folder)
    with pytest.raises(CasemateError):
        receive(sealed_small.folder, tmp_path / "area", head)
    assert nothing_in(tmp_path / "area")


def test_a_head_is_not_read_through_a_link(sealed_small: Sealed, tmp_path: Path) -> None:
    _manifest_as_link(sealed_small.folder)
    with pytest.raises(InspectionRefused, match=r"manifest.json"):
        read_head(sealed_small.folder)
    (tmp_path / "link").symlink_to(sealed_small.folder)
    with pytest.raises(InspectionRefused, match="link: expected a file or folder, found a link"):
        read_head(tmp_path / "link")


def test_what_is_no_bundle_is_said(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(NotFound, match=r"empty/manifest.json: expected a file of the bundle, found nothing"):
        read_head(tmp_path / "empty")
    (tmp_path / "text.tar").write_bytes(b"no archive" * 1000)
    with pytest.raises(NotTrusted, match=r"text.tar at byte 0: expected a tar header as bundles have them"):
        read_head(tmp_path / "text.tar")


def test_damage_is_named_after_all_that_is_sound_was_taken(store: PosixStore, tmp_path: Path) -> None:
    entry = entry_of(store, tmp_path / "files", {f"{n}": noise(60_000, f"{n}") for n in range(4)})
    volumes = seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"), volume_bytes=10 << 20).volumes
    head, (part,) = read_head(volumes[0]), volumes[0].glob("parts/*")
    data = part.read_bytes()
    part.write_bytes(data[:5000] + b"?" + data[5001:])
    with pytest.raises(DigestMismatch, match=r"volume-1-of-1/parts/000001.tar: expected sha256:\w+, found sha256:"):
        receive(volumes[0], tmp_path / "area", head)
    assert received(tmp_path / "area", head).missing == ("parts/000001.tar",)
    part.write_bytes(data)
    assert receive(volumes[0], tmp_path / "area", head).whole


def test_a_file_that_changes_after_it_was_looked_at_is_refused(sealed_small: Sealed) -> None:
    part = sealed_small.folder / "parts" / "000001.tar"
    with open_delivery(sealed_small.folder, read_head(sealed_small.folder), Limits()) as delivery:
        part.write_bytes(part.read_bytes() + b"more")
        with (
            pytest.raises(InspectionRefused, match=r"000001.tar: expected a file of \d+ bytes, as listed"),
            delivery.open("parts/000001.tar"),
        ):
            pass
        part.unlink()
        part.symlink_to("/etc/passwd")
        with pytest.raises(InspectionRefused), delivery.open("parts/000001.tar"):
            pass


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(max_bytes=5_000), "manifest.json: expected at most 5000 bytes"),
        (Limits(max_file_bytes=1_000), "parts/000001.tar: expected at most 1000 bytes"),
        (Limits(max_files=3), "manifest.json: expected at most 3 files, found 2 files, 5 objects"),
    ],
)
def test_what_is_too_much_is_refused_from_its_manifest(
    limits: Limits, message: str, sealed_small: Sealed, tmp_path: Path
) -> None:
    with pytest.raises(InspectionRefused, match=message):
        receive(sealed_small.folder, tmp_path / "area", read_head(sealed_small.folder), limits)
    assert nothing_in(tmp_path / "area")


def test_a_bundle_is_received_by_one_process_at_a_time(sealed_small: Sealed, tmp_path: Path) -> None:
    head = read_head(sealed_small.folder)

    def meanwhile(*_: object) -> None:
        with pytest.raises(Unavailable, match="expected nobody else receives it"):
            receive(sealed_small.folder, tmp_path / "area", head)

    assert receive(sealed_small.folder, tmp_path / "area", head, None, meanwhile).whole


def test_the_received_folder_is_a_bundle_that_common_tools_check(sealed_small: Sealed, tmp_path: Path) -> None:
    import subprocess

    folder = receive(sealed_small.folder, tmp_path / "area", read_head(sealed_small.folder)).folder
    for command in (
        ["sha256sum", "--strict", "-c", "SHA256SUMS"],
        ["tar", "-tf", "parts/000001.tar"],
    ):
        tool = shutil.which(command[0])
        if tool is None:
            pytest.skip(f"{command[0]} is absent")
        ran = subprocess.run([tool, *command[1:]], cwd=folder, capture_output=True, text=True, check=True)
        assert ran.stdout
        assert not ran.stderr


def test_a_frame_that_is_not_what_is_declared_is_refused_before_it_expands() -> None:
    bomb = memoryview(zstandard.ZstdCompressor().compress(bytes(64 << 20)))
    with pytest.raises(NotTrusted, match="member: expected a zstd frame of 4096 bytes, found one of 67108864"):
        unpack(bomb, 4096, "member")
    silent = memoryview(zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1 << 20)))
    with pytest.raises(NotTrusted, match="member: expected a zstd frame of 4096 bytes"):
        unpack(silent, 4096, "member")
    honest = pack(bytes(4096)).stored
    assert unpack(memoryview(honest), 4096, "member") == bytes(4096)
    for wrong in (honest + b"\0", honest[:-1], honest + honest, b"no frame"):
        with pytest.raises(NotTrusted, match="member: expected a zstd frame of 4096 bytes"):
            unpack(memoryview(wrong), 4096, "member")


LINE = {"members": "[[1,512,3,3]]", "sha256": f'"{"a" * 64}"', "size": "3"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": "4"}, "expected members of 4 bytes in all, found 3"),
        ({"size": "-1"}, "expected whole numbers"),
        ({"size": "true"}, "expected whole numbers"),
        ({"size": "3.0"}, "expected whole numbers"),
        ({"members": "[[0,512,3,3]]"}, "expected 0 < stored <= plain"),
        ({"members": f"[[1,512,3,{MEMBER_BYTES + 1}]]"}, "expected 0 < stored <= plain"),
        ({"members": "[[1,512,4,3]]"}, "expected 0 < stored <= plain"),
        ({"members": "[[1,512,3]]"}, "expected members of part, at, stored, plain"),
        ({"sha256": '"A"'}, "expected sha256: and 64 lower-case hexadecimal digits"),
        ({"more": "1"}, "expected members, sha256, size"),
        ({"bases": "[]", "extents": "[[4]]"}, "expected extents of 3 bytes, 3 of them here"),
        ({"bases": "[]", "extents": "[[0,0,3]]"}, "expected each base to be used, and no other"),
        ({"bases": f'["{"b" * 64}"]', "extents": "[[3]]"}, "expected each base to be used, and no other"),
        ({"bases": "[]", "extents": "[[3],[0]]"}, "extents of one or three numbers"),
    ],
)
def test_a_line_that_does_not_add_up_is_refused(changes: dict[str, str], message: str) -> None:
    facts = LINE | changes
    line = "{" + ",".join(f'"{key}":{facts[key]}' for key in sorted(facts)) + "}\n"
    with pytest.raises(BadInput, match=message):
        ObjectLine.from_line(line.encode(), "objects.jsonl line 1")


def test_a_line_is_read_back_as_it_was_written() -> None:
    line = ObjectLine(Digest("a" * 64), 3, (), (Digest("b" * 64),), ((0, 5, 3),))
    assert ObjectLine.from_line(line.to_line(), "line") == line


@pytest.mark.parametrize(
    ("label", "message"),
    [
        (Label("", "lighthouse", "DR", 1, "", "2030-06-01T12:00:00Z"), "manifest.json source"),
        (Label("harbour", "lighthouse", "DR", 0, "", "2030-06-01T12:00:00Z"), "manifest.json sequence"),
        (Label("harbour", "lighthouse", "DR", 1, "beef", "2030-06-01T12:00:00Z"), "manifest.json previous"),
        (Label("harbour", "lighthouse", "DR", 1, "", "yesterday"), "manifest.json created: expected an instant"),
    ],
)
def test_a_label_that_no_reader_would_take_is_not_sealed(
    label: Label, message: str, store: PosixStore, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=message):
        seal(store, label, [carried(put(store, b"x"), "single")], tmp_path / "out", pen_of("harbour"))


@pytest.mark.parametrize("name", ["../up.dsse.json", "a/b.dsse.json", "note.txt", ".dsse.json", "é.dsse.json"])
def test_a_statement_has_a_plain_name(name: str, store: PosixStore, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="expected letters, digits"):
        seal(store, LABEL, [], tmp_path / "out", pen_of("harbour"), statements={name: b"{}"})


def test_an_object_that_the_store_lacks_is_named(store: PosixStore, tmp_path: Path) -> None:
    absent = Digest.of_bytes(b"absent")
    with pytest.raises(NotFound, match=f"object {absent}: expected an object of the store, found nothing"):
        seal(store, LABEL, [carried(absent, "single")], tmp_path / "out", pen_of("harbour"))


def test_an_object_that_is_damaged_in_the_store_is_not_sealed(store: PosixStore, tmp_path: Path) -> None:
    entry = entry_of(store, tmp_path / "files", small_few())
    path = store.path(Digest.of_bytes(small_few()["noise"]))
    path.chmod(0o600)
    path.write_bytes(noise(3_000, "other"))
    with pytest.raises(DigestMismatch, match=f"object {Digest.of_bytes(small_few()['noise'])}"):
        seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))


def test_a_part_damaged_after_it_was_received_makes_no_object(
    sealed_small: Sealed, target: PosixStore, tmp_path: Path
) -> None:
    folder = receive(sealed_small.folder, tmp_path / "area", read_head(sealed_small.folder)).folder
    part = folder / "parts" / "000001.tar"
    data = part.read_bytes()
    for at in range(0, len(data), 701):
        part.chmod(0o600)
        part.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        with pytest.raises(NotTrusted):
            rebuild(folder, sealed_small.manifest, target, tmp_path / "rebuilt")
    part.write_bytes(data)
    rebuild(folder, sealed_small.manifest, target, tmp_path / "rebuilt")
