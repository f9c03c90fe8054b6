"""No pickle comes in, whatever it is called or wrapped in; nothing here loads one."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import random
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.airlock import ScanLimits
from casemate.airlock.formats import FORMATS
from casemate.airlock.inspect import picklescan_opinion
from casemate.airlock.inspect.safetensors_file import scan as scan_safetensors
from casemate.airlock.pickles import follow
from tests.airlock.conftest import Arrive, Inspected
from tests.airlock.samples.weights import npy

ALL = frozenset(FORMATS)
REDUCE = b"cposix\nsystem\n(S'id'\ntR."  # protocol 0, which is text
STACKED = b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."
ENDINGS = ("txt", "json", "yaml", "npy", "npz", "safetensors", "onnx", "gguf")


def expected_verdicts(folder: Path) -> dict[str, str]:
    lines = (folder / "expected_picklescan_1.0.5.tsv").read_text(encoding="utf-8").splitlines()
    return {name: code for name, code, *_ in (line.split("\t") for line in lines)}


def is_malicious(path: str, code: str) -> bool:
    return code == "1" or Path(path).name.startswith(("malicious", "GHSA"))


@pytest.mark.real_data
def test_no_malicious_file_of_the_reference_set_is_taken_and_benign_pickles_are_refused_as_pickles(
    real_data: Callable[[str], Path], arrive: Arrive, inspected: Inspected
) -> None:
    folder = real_data("reference_picklescan")
    verdicts = expected_verdicts(folder)
    there = {str(f.relative_to(folder)): f.read_bytes() for f in (folder / "tests").rglob("*") if f.is_file()}
    assert there.keys() == verdicts.keys()
    assert len(there) > 80
    report = inspected(arrive(there), allowed=ALL)
    taken = {f.path for f in report.files if f.clean}
    assert taken == {f"tests/data2/int_array{end}" for end in (".npy", "s.npz", "s_compressed.npz")}
    assert [name for name in taken if is_malicious(name, verdicts[name])] == []
    reasons = {f.path: f"{f.findings[0].expected}, found {f.findings[0].found}" for f in report.refused}
    assert reasons.keys() == there.keys() - taken
    for benign in ("benign0_v0.pkl", "benign0_v3.pkl", "benign0_v4.pkl", "pytorch_model.bin", "new_pytorch_model.bin"):
        assert "found" in reasons[f"tests/data/{benign}"]
    for objects in ("object_array.npy", "object_arrays.npz", "object_arrays_compressed.npz"):
        assert "an array of Python objects ('|O'), which is a pickle" in reasons[f"tests/data2/{objects}"]
    broken = [f.path for f in report.refused if any(x.rule == "scanner" for x in f.findings)]
    assert broken == []


@pytest.mark.real_data
def test_no_malicious_file_is_taken_under_another_name(
    real_data: Callable[[str], Path], arrive: Arrive, inspected: Inspected
) -> None:
    folder = real_data("reference_picklescan")
    bad = [
        name
        for name, code in expected_verdicts(folder).items()
        if is_malicious(name, code) and (folder / name).is_file()
    ]
    files = {f"{Path(name).name}.{end}": (folder / name).read_bytes() for name in bad for end in ENDINGS}
    report = inspected(arrive(files), allowed=ALL, limits=ScanLimits(workers=2))
    assert len(report.files) == len(files) > 500
    assert [f.path for f in report.files if f.clean] == []


@pytest.mark.real_data
def test_every_pickle_of_the_reference_set_is_followed_to_its_end_or_to_a_call(
    real_data: Callable[[str], Path],
) -> None:
    files = [f for f in real_data("reference_picklescan").rglob("*") if f.suffix in {".pkl", ".pickle"}]
    assert len(files) > 60
    missed = []
    for file in files:
        with file.open("rb") as stream:
            if not follow(stream).is_pickle:
                missed.append(file.name)
    assert missed == ["broken_model.pkl"]  # names exec, and breaks before it calls it


def zipped(**members: bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name.replace("__", "/"), data)
    return out.getvalue()


def tarred(data: bytes, name: str = "data.pkl") -> bytes:
    import tarfile

    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo(name)
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


LZ4 = b"\x04\x22\x4d\x18\x64\x40\xa7" + struct.pack("<I", 0x80000000 | len(STACKED)) + STACKED + bytes(4)
DISGUISES = {
    "weights.pkl": STACKED,
    "old.txt": REDUCE,
    "old.json": REDUCE,
    "old.csv": REDUCE,
    "notes": REDUCE,
    "inst.txt": b"(S'id'\niposix\nsystem\n.",
    "object.txt": b"(cposix\nsystem\nS'id'\no.",
    "broken.txt": REDUCE[:-1] + b"\nthis is not a pickle any more",
    "followed.txt": REDUCE + b"\nbut a text, as everybody can see\n",
    "plain.txt": b"(lp0\nI1\naI2\na.",
    "padded.bin": bytes(64) + STACKED,
    "padded.txt": b"\n\n" + STACKED,
    "joblib zlib.pkl": zlib.compress(STACKED),
    "joblib.gz": gzip.compress(STACKED),
    "joblib.bz2": bz2.compress(STACKED),
    "joblib.xz": lzma.compress(STACKED),
    "joblib.lzma": lzma.compress(STACKED, lzma.FORMAT_ALONE),
    "joblib.lz4": LZ4,
    "model.pt": zipped(model__data__pkl=STACKED),
    "model.npz": zipped(data__pkl=STACKED),
    "model.docx": zipped(data__pkl=STACKED),
    "model.keras": zipped(config__json=b'{"class_name": "Lambda"}'),
    "model.mar": zipped(handler__py=b"import os"),
    "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "model.7z": b"7z\xbc\xaf\x27\x1c" + bytes(100),
    "model.tar": tarred(STACKED),
    "model.npy": npy(np.array([{}], dtype=object)),
    "model.rds": b"X\n\0\0\0\x02\0\x04\x03\0" + bytes(20),
    "model.rda": gzip.compress(b"RDX3\nX\n" + bytes(20)),
    "model.msgpack": b"\x81\xa1a\x01",
    "model.joblib": STACKED,
    "model.safetensors": STACKED,
    "model.onnx": STACKED,
    "model.gguf": REDUCE,
}


def test_a_pickle_in_any_disguise_is_refused_with_a_reason(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive(DISGUISES), allowed=ALL)
    assert {f.path for f in report.files if f.clean} == set()
    assert {f.path for f in report.files} == DISGUISES.keys()
    for name in ("old.txt", "old.csv", "notes", "inst.txt", "object.txt", "broken.txt", "followed.txt", "plain.txt"):
        (said,) = (f.findings for f in report.files if f.path == name)
        texts = [f"expected {x.expected}, found {x.found}" for x in said if x.rule == "pickle"]
        assert len(texts) == 1
        assert texts[0].startswith(
            "expected data and no pickle, which runs code when it is loaded; `casemate airlock convert"
        )
        assert "found a pickle of " in texts[0]


def test_the_second_opinion_names_what_it_holds_to_be_dangerous_and_its_version_is_in_the_report(
    arrive: Arrive, inspected: Inspected
) -> None:
    report = inspected(arrive({"old.txt": REDUCE}), allowed=frozenset({"text"}))
    (line,) = report.files
    assert "picklescan_opinion" in line.scanners
    assert report.scanners["picklescan_opinion"].keys() == {"picklescan", "picklescan_opinion"}
    (opinion,) = (x for x in line.findings if x.rule == "picklescan")
    assert opinion.expected.startswith("nothing that picklescan calls dangerous")
    assert opinion.found == "posix system"


def test_where_the_second_opinion_gives_up_that_is_told_and_refuses_nothing(tmp_path: Path) -> None:
    picklescan_opinion.versions()
    file = tmp_path / "a.safetensors"
    file.write_bytes(b"\x93" + bytes(20))  # an instruction that it looks back from
    (finding,) = picklescan_opinion.scan(file, "safetensors", ScanLimits())
    assert finding.note
    assert finding.found.startswith("ValueError: Found 0 values for STACK_GLOBAL")


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (tarred(b"hello\nworld\n", "cat.txt"), []),  # c, then what stands in its head up to two ends of lines
        (b"cars in the port\nseen today\nand so on\n", []),
        (b"cnumbers.of\nfleet\n.", ["numbers.of fleet"]),
        (b"cos\nsystem \x1b\n.", ["os system ?"]),  # known to be dangerous, whatever it takes from there
    ],
)
def test_the_second_opinion_suspects_only_what_python_could_have(tmp_path: Path, data: bytes, found: list[str]) -> None:
    picklescan_opinion.versions()
    file = tmp_path / "a"
    file.write_bytes(data)
    assert [finding.found for finding in picklescan_opinion.scan(file, "text", ScanLimits())] == found


def polyglot() -> bytes:
    """A true safetensors file that is a pickle as well: its length reads as an instruction, its texts are skipped."""
    skipped = 100
    length = ord("X") | skipped << 8  # X takes a text of so many bytes, from byte 5 on
    at = 5 + skipped
    header = b'{"__metadata__":{"a":"'.ljust(at - 8, b"x")
    facts = b'"},"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}' % (len(REDUCE), len(REDUCE))
    while length - len(header) > 128 + 2 + len(facts):
        header += b"U~" + b"x" * 126  # U takes a text of 126 bytes
    left = length - len(header) - 2
    if left > 126:
        header += b"U@" + b"x" * 64
        left -= 66
    header += b"U" + bytes([left]) + facts.ljust(left)
    return struct.pack("<Q", length) + header + REDUCE


def test_a_file_that_is_a_pickle_and_something_else_as_well_is_refused(
    arrive: Arrive, inspected: Inspected, tmp_path: Path
) -> None:
    file = tmp_path / "m.safetensors"
    file.write_bytes(polyglot())
    assert scan_safetensors(file, "safetensors", ScanLimits()) == []  # nothing is wrong with it as weights
    report = inspected(arrive({"m.safetensors": polyglot()}), allowed=ALL)
    (line,) = report.files
    assert line.type == "safetensors"
    (finding,) = (x for x in line.findings if x.rule == "pickle")
    assert "that names posix system, in a file of type safetensors" in finding.found


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=200))
def test_following_any_bytes_ends_without_an_error(data: bytes) -> None:
    walk = follow(io.BytesIO(data))
    assert walk.steps <= len(data)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ABCDEFGHIJ0123456789,;:'\"\n", max_size=200))
def test_ordinary_lines_of_text_are_not_taken_for_pickles(text: str) -> None:
    assert not follow(io.BytesIO(("Title\n" + text).encode())).is_pickle


@pytest.mark.parametrize(
    "text",
    [
        "cat\ndog\nplane\n",
        "(in French)\nfoo\n",
        "0 0.5 0.5 0.1 0.1\n",
        "igloo\n",
        "Nice\n",
        "",
        "]\n",
        "I am\n",
        "Vessel\n.\n..",
    ],
)
def test_labels_and_notes_are_not_taken_for_pickles(text: str) -> None:
    walk = follow(io.BytesIO(text.encode()))
    assert walk.is_pickle == (text == "Vessel\n.\n..")  # which would load, as the text "essel"


def test_random_bytes_are_not_taken_for_pickles() -> None:
    chance = random.Random(5)  # noqa: S311  noise, not secrets
    noise = [chance.randbytes(200) for _ in range(20_000)]
    assert [data[:8] for data in noise if follow(io.BytesIO(data)).is_pickle] == []


def test_containers_with_random_contents_are_not_taken_for_pickles() -> None:
    chance = random.Random(6)  # noqa: S311
    head = b"PK\x03\x04\x14\0\0\0\x08\0\0\0!\0"  # P takes a line
    packed = [head + chance.randbytes(12) + b"\x05\0\0\0a.png\n." + chance.randbytes(100) for _ in range(5_000)]
    names = b"".join(b'"model.layers.%d.weight":{"dtype":"F32"},' % i for i in range(2_000))
    lengths = [struct.pack("<Q", chance.randrange(100, len(names))) + b"{" + names for _ in range(5_000)]
    assert [data[:8] for data in (*packed, *lengths) if follow(io.BytesIO(data)).is_pickle] == []


@pytest.mark.parametrize("text", ["N.B. the scale is in metres\n", "). \n", "].\n", "K1.2\n", "\x88. \n"])
def test_what_ends_by_chance_after_an_instruction_or_two_is_no_pickle(text: str) -> None:
    assert not follow(io.BytesIO(text.encode("latin-1"))).is_pickle


CALLED = [
    b"V" + b"x" * 200_000 + b"\n0" + REDUCE,  # a line longer than is kept
    b"I0x10\n0" + REDUCE,
    b"I 7 \n0" + REDUCE,
    b"P1\n0" + REDUCE,
    b"PK\x03\x04\n0" + REDUCE,  # what begins as a ZIP archive does
    b"\x8c\x05posix\x94\x8c\x06system\x94h\0h\x01\x93\x8c\x02id\x85R",  # by way of its memory
    b"cposix\nsystem\nq\x070h\x07(S'id'\ntR",
    b"X\x05\0\0\0posixU\x06system\x93(S'id'\ntR",
    b"cposix\nsystem\n2R",  # what was named may be a tuple
    b"ccopyreg\n__newobj__\n)\x81",
    b"cbuiltins\nset\n)}\x92",
    b"Qnot",
    b"NQ)R",  # what the loading program decides
]


@pytest.mark.parametrize("program", CALLED)
@pytest.mark.parametrize("then", [b"", b".", b"\xff broken"])
def test_what_calls_is_a_pickle_however_it_came_by_what_it_calls(program: bytes, then: bytes) -> None:
    assert follow(io.BytesIO(program + then)).is_pickle == (program != b"Qnot")


@pytest.mark.parametrize("program", [b"\x80\x04N.", b"(dp0\n.", b"S'a'\n.", b"]q\0(K\x01K\x02K\x03K\x04e.",
                                     b"cos\nsystem\n.", b"\x82\x01)R."])  # fmt: skip
def test_what_ends_as_it_was_written_to_is_a_pickle_even_of_plain_data(program: bytes) -> None:
    assert follow(io.BytesIO(program)).is_pickle


@pytest.mark.parametrize("program", [b"K\x01)R", b"NNb", b"NN\x93)R", b"h\x05)R", b"\x80\x63N.", b"\x82\x01)R"])
def test_what_would_fail_before_it_called_is_no_pickle(program: bytes) -> None:
    assert not follow(io.BytesIO(program + b"\xff")).is_pickle


def test_a_very_long_program_is_not_followed_for_ever_and_counts_as_one() -> None:
    assert follow(io.BytesIO(b"N" * 1_000_001)).is_pickle
    assert not follow(io.BytesIO(b"(" * 10 + b"N" * 1000)).is_pickle
