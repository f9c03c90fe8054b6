"""What is refused of arrays, alone or in archives."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.lib import format as reference

from casemate.airlock import ScanLimits
from casemate.airlock.inspect.numpy_array import scan
from casemate.airlock.npy_header import NotArrayError, read_header
from tests.airlock.samples.weights import npy, npz

PICKLE = "data and no pickle, which runs code when it is loaded"


def found(tmp_path: Path, data: bytes, kind: str = "npy") -> str:
    file = tmp_path / f"a.{kind}"
    file.write_bytes(data)
    return "; ".join(f"expected {f.expected}, found {f.found}" for f in scan(file, kind, ScanLimits()))


def header(text: str, data: bytes = b"", version: bytes = b"\x01\0") -> bytes:
    line = text.encode() + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H" if version == b"\x01\0" else "<I", len(line)) + line + data


ARRAYS: list[Any] = [
    np.zeros((3, 4)), np.zeros(()), np.zeros((0, 3), "u1"), np.array(["a", "bc"]), np.array([b"a", b"bc"]),
    np.array([(1, 2.0)], [("a", "<i4"), ("b", ">f8", (2, 3))]), np.array(["2020-01-01"], "M8[D]"),
    np.asfortranarray(np.zeros((3, 4), "c16")), np.zeros(2, [("é", "f4")]), np.zeros(2, [(("title", "n"), "i8")]),
    np.zeros(3, np.dtype({"names": ["a", "b"], "formats": ["i1", "f8"], "offsets": [0, 8], "itemsize": 24})),
    np.zeros(2, [("in", [("a", "f2"), ("b", [("c", "?")])])]), np.zeros(2, "V7"), np.zeros(3, "m8[25us]"),
    np.zeros(4, "f2"), np.zeros(4, np.longdouble),
]  # fmt: skip


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: str(array.dtype)[:40])
@pytest.mark.filterwarnings("ignore:Stored array in format 3.0")
def test_every_kind_of_numbers_texts_and_times_is_clean(tmp_path: Path, array: Any) -> None:
    assert found(tmp_path, npy(array)) == ""
    assert found(tmp_path, npz(a=array, b=array), "npz") == ""


@pytest.mark.parametrize(
    "array", [np.array([{}, 1]), np.array([(1, "x")], [("a", "i4"), ("b", "O")]), np.array(None, dtype=object)]
)
def test_arrays_of_objects_are_pickles_and_refused_as_such(tmp_path: Path, array: Any) -> None:
    message = found(tmp_path, npy(array))
    assert message.startswith(f"expected {PICKLE}; `casemate airlock convert FILE` makes")
    assert "an array of Python objects (" in message
    assert "is a pickle in 'a.npy'" in found(tmp_path, npz(a=array), "npz")


FINE = "{'descr': '<f8', 'fortran_order': False, 'shape': (2,), }"
REFUSED = [
    (header(FINE, bytes(16), b"\x04\0"), "an array of NumPy, of version 1.0, 2.0 or 3.0"),
    (header(FINE, bytes(17)), "16 bytes of data, for (2,) of 8, found 17"),
    (header(FINE, bytes(15)), "16 bytes of data, for (2,) of 8, found 15"),
    (header(FINE)[:-1] + b" " + bytes(16), "a header of 58 bytes that ends its line"),
    (header(FINE)[:30], "a header of 58 bytes that ends its line, found one cut short or open"),
    (b"\x93NUMPY\x02\0" + struct.pack("<I", 1 << 30), "a header of at most 65536 bytes, found 1073741824"),
    (header(FINE.replace("(2,)", "(2, -1)"), b""), "a header of texts, numbers, tuples and lists, found ' -1)"),
    (header(FINE.replace("(2,)", "__import__('os')"), b""), 'of texts, numbers, tuples and lists, found " __imp'),
    (header(FINE.replace("(2,)", "[2]"), b""), "a shape of at most 64 numbers, found [2]"),
    (header(FINE.replace("(2,)", "(True,)"), b""), "a shape of at most 64 numbers, found (True,)"),
    (header(FINE.replace("(2,)", "(1 2)"), b""), "a comma or ), found ' 2)"),
    (header(FINE.replace("False", "None"), b""), "True or False for fortran_order, found None"),
    (header(FINE.replace("'<f8'", "'<f3'"), b""), "a type of numbers, texts or times, found '<f3'"),
    (header(FINE.replace("'<f8'", "'x8'"), b""), "a type of numbers, texts or times, found 'x8'"),
    (header(FINE.replace("'<f8'", "[]"), b""), "a plain type, or fields of plain types, found []"),
    (header(FINE.replace("'<f8'", "[('a',)]"), b""), "fields with a name, a type and perhaps a shape, found ('a',)"),
    (header(FINE.replace("'<f8'", "[(1, 'f4')]"), b""), "a field with a name, found 1"),
    (header(FINE.replace("'<f8'", "[('a', 'f4', 3)]"), b""), "a field with a shape of numbers, found 3"),
    (header(FINE[:-1].replace("}", "") + "'more': 1}", b""), "descr, fortran_order and shape, found"),
    (header(FINE.replace("'shape'", "'descr'"), b""), "each name once with its value, and commas between, found"),
    (header(FINE + "; import os", b""), "nothing after the header's }, found '; import os'"),
    (header("(" * 40, b""), "a header nested at most 12 deep, found more"),
    (header("é", b"", b"\x03\0").replace(b"\xc3", b"\xff"), "a header of text, found byte 0xff at 0"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), REFUSED)
def test_headers_that_are_not_plain_are_refused(tmp_path: Path, data: bytes, message: str) -> None:
    assert message in found(tmp_path, data)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="(){}[],:'\"<f8i4Od escrtanohpFlTu_1 \n", max_size=80))
def test_whatever_header_is_taken_numpy_takes_and_means_the_same(text: str) -> None:
    data = header(f"{{'descr': '<f8', 'fortran_order': False, 'shape': (2,), {text}}}")
    try:
        mine = read_header(io.BytesIO(data))
    except NotArrayError:
        return
    stream = io.BytesIO(data[8:])
    shape, _, dtype = reference.read_array_header_1_0(stream)
    assert (mine.shape, mine.item_bytes) == (shape, dtype.itemsize)


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "."), data)
    return out.getvalue()


def test_archives_of_anything_but_arrays_are_refused(tmp_path: Path) -> None:
    array = npy(np.zeros(3))
    assert "arrays only, with names that end in .npy, found 'b.txt'" in found(
        tmp_path, zipped(a__npy=array, b__txt=b"x"), "npz"
    )
    assert "found a pickle in 'data.pkl'" in found(tmp_path, zipped(data__pkl=b"\x80\x04N."), "npz")
    assert "found a pickle in 'a.npy'" in found(tmp_path, zipped(a__npy=b"cos\nsystem\n(S'id'\ntR."), "npz")
    assert "an array of NumPy, of version 1.0, 2.0 or 3.0" in found(tmp_path, zipped(a__npy=b"x"), "npz")
    assert "at least one array, found an empty archive" in found(tmp_path, zipped(), "npz")
    assert "24 bytes of data, for (3,) of 8, found 25 in 'a.npy'" in found(tmp_path, zipped(a__npy=array + b"x"), "npz")


def test_archives_that_two_readers_see_differently_are_refused(tmp_path: Path) -> None:
    whole = npz(a=np.zeros(3))
    assert "found b'b.npy'" in found(tmp_path, whole.replace(b"a.npy", b"b.npy", 1), "npz")
    assert "expected" in found(tmp_path, b"x" + whole, "npz")
    assert "expected" in found(tmp_path, whole + b"x", "npz")
    broken = bytearray(npz(a=np.random.default_rng(1).random(99)))
    broken[200] ^= 1
    assert "expected" in found(tmp_path, bytes(broken), "npz")


def test_an_archive_that_unpacks_too_far_is_refused_unpacked(tmp_path: Path) -> None:
    file = tmp_path / "bomb.npz"
    file.write_bytes(npz(a=np.zeros(4 << 20, "u1")))
    limits = ScanLimits(expands_freely_bytes=1 << 20, max_expansion=10)
    (finding,) = scan(file, "npz", limits)
    assert "bytes once unpacked" in finding.expected
