"""What is refused of a safetensors file, and that what is taken is what the reference library takes."""

from __future__ import annotations

import random
import struct
from pathlib import Path
from typing import Any

import pytest
from safetensors import deserialize as reference

from casemate.airlock import ScanLimits
from casemate.airlock.inspect.safetensors_file import MAX_HEADER_BYTES, read_header, scan
from tests.airlock.samples.weights import safetensors, two_tensors


def found(tmp_path: Path, data: bytes) -> str:
    file = tmp_path / "m.safetensors"
    file.write_bytes(data)
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in scan(file, "safetensors", ScanLimits()))


def one(**facts: Any) -> dict[str, Any]:
    return {"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | facts}


def test_whole_tensors_are_clean_and_listed_in_the_order_of_their_bytes(tmp_path: Path) -> None:
    assert found(tmp_path, two_tensors()) == ""
    tensors, _ = read_header(tmp_path / "m.safetensors", ScanLimits())
    assert [(t.name, t.dtype, t.shape) for t in tensors] == [
        ("head.weight", "F32", (2, 3)),
        ("head.bias", "BF16", (2,)),
    ]


def test_tensors_without_numbers_scalars_and_none_at_all_are_clean(tmp_path: Path) -> None:
    empty = {"dtype": "F32", "shape": [0, 3], "data_offsets": [0, 0]}
    scalar = {"dtype": "I64", "shape": [], "data_offsets": [0, 8]}
    assert found(tmp_path, safetensors({"a": empty, "b": scalar}, bytes(8))) == ""
    assert found(tmp_path, safetensors({})) == ""
    assert found(tmp_path, safetensors(b'{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}   ', b"x")) == ""


REFUSED = [
    (b"\x01\0\0", "a header's length in 8 bytes, found 3 bytes"),
    (struct.pack("<Q", 1 << 40) + b"{}", "expected a header of 2 to 2 bytes, found 1099511627776"),
    (safetensors(b" {}"), r"a header that begins with {, found b' '"),
    (safetensors(b'{"\xff": 1}'), "a header in UTF-8, found byte 0xff at 2"),
    (safetensors(b'{"w": '), "expected JSON, found Expecting value"),
    (safetensors(b"[]"), r"a header that begins with {, found b'['"),
    (safetensors(b'{"w": {}, "w": {}}'), "found the name 'w' twice in one object"),
    (safetensors(b'{"w": ' + b"[" * 99 + b"]" * 99 + b"}"), "at most 64 levels of nesting, found 100"),
    (safetensors({"__metadata__": {"step": 3}}), "__metadata__ of texts only, found int for 'step'"),
    (safetensors({"__metadata__": []}), "__metadata__ that is an object, found list"),
    (safetensors({"__metadata__": {"a": "x\u202ey"}}), "without hidden characters, found U+202E at character 1 of 'a'"),
    (safetensors({"__metadata__": {"a": "{{ x.__class__ }}"}}), "found '__class__' in line 1 in __metadata__ 'a'"),
    (safetensors({"w\u200b": 1}), "names without hidden characters, found U+200B"),
    (safetensors({"w": 1}), "data_offsets, dtype, shape of tensor 'w', found int"),
    (safetensors(one(more=1), bytes(8)), "data_offsets, dtype, shape of tensor 'w', found data_offsets, dtype, more"),
    (safetensors(one(dtype="OBJECT"), bytes(8)), "a known type of tensor 'w', found 'OBJECT'"),
    (safetensors(one(dtype=["F32"]), bytes(8)), "a known type of tensor 'w', found ['F32']"),
    (safetensors(one(shape=[-2]), bytes(8)), "a shape of at most 32 sizes of tensor 'w', found [-2]"),
    (safetensors(one(shape=[True, 2]), bytes(8)), "a shape of at most 32 sizes of tensor 'w', found [True, 2]"),
    (safetensors(one(shape=[1] * 33), bytes(8)), "a shape of at most 32 sizes of tensor 'w'"),
    (safetensors(one(shape=[2.0]), bytes(8)), "found [2.0]"),
    (safetensors(one(data_offsets=[0]), bytes(8)), "two offsets of tensor 'w', found [0]"),
    (safetensors(one(data_offsets=[8, 0]), bytes(8)), "8 bytes for tensor 'w', F32 [2], found -8"),
    (safetensors(one(shape=[3]), bytes(8)), "12 bytes for tensor 'w', F32 [3], found 8"),
    (safetensors(one(shape=[1 << 62, 1 << 62]), bytes(8)), "found 8"),
    (safetensors(one(dtype="F4", shape=[3], data_offsets=[0, 1]), bytes(1)), "1.5 bytes for tensor 'w'"),
    (safetensors(one(), bytes(9)), "8 bytes of tensors, as the header says, found 9"),
    (safetensors(one(), bytes(7)), "8 bytes of tensors, as the header says, found 7"),
    (safetensors(one(data_offsets=[4, 12]), bytes(12)), "tensor 'w' at byte 0 of the data, found 4: it leaves a hole"),
    (
        safetensors({**one(), "v": {"dtype": "U8", "shape": [4], "data_offsets": [6, 10]}}, bytes(10)),
        "tensor 'v' at byte 8 of the data, found 6: it overlaps the one before",
    ),
]


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_what_is_no_plain_row_of_tensors_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in found(tmp_path, data)


def test_a_header_longer_than_readers_take_is_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "m.safetensors"
    with file.open("wb") as stream:
        stream.write(struct.pack("<Q", MAX_HEADER_BYTES + 1) + b"{")
        stream.truncate(MAX_HEADER_BYTES + 100)
    assert f"of 2 to {MAX_HEADER_BYTES} bytes, found {MAX_HEADER_BYTES + 1}" in found_in(file)


def found_in(file: Path) -> str:
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in scan(file, "safetensors", ScanLimits()))


def test_whatever_is_taken_the_reference_library_takes(tmp_path: Path) -> None:
    chance = random.Random(5)  # noqa: S311  damage, not secrets
    base = two_tensors()
    pieces = [b"0", b"28", b'"F32"', b"[2,3]", b"{}", b"null", b"-1", b'"', b"}", b"24", b" ", b"1e1"]
    taken = 0
    for _ in range(1500):
        data = bytearray(base)
        at = chance.randrange(8, len(data) - 28)
        piece = chance.choice(pieces)
        data[at : at + chance.choice([0, len(piece)])] = piece
        data[:8] = struct.pack("<Q", len(data) - 36)
        if found(tmp_path, bytes(data)) == "":
            taken += 1
            reference(bytes(data))
    assert taken > 10
