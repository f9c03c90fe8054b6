"""Archives that two readers would see differently are refused before anything is unpacked."""

from __future__ import annotations

import io
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from casemate.airlock.limits import ScanLimits
from casemate.airlock.zips import NotStrictError, StrictZip, open_strict

_LIMITS = ScanLimits()


def _zip(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return out.getvalue()


def _open(data: bytes, limits: ScanLimits = _LIMITS) -> StrictZip:
    return open_strict(io.BytesIO(data), limits)


def _refusal(data: bytes, limits: ScanLimits = _LIMITS) -> str:
    with pytest.raises(NotStrictError) as refused:
        _open(data, limits).verify()
    assert refused.value.finding.rule == "zip"
    return str(refused.value)


@given(some.dictionaries(some.from_regex(r"[a-zé0-9]{1,5}(/[a-z]{1,3})?", fullmatch=True), some.binary(), max_size=5))
def test_what_python_writes_is_read_back_whole(files: dict[str, bytes]) -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        if any(name.split("/")[0] in files and "/" in name for name in files):
            continue
        archive = _open(_zip(*files.items(), method=method))
        assert {name: archive.read(name, at_most=1 << 20) for name in archive.members} == files


class _Pipe(io.RawIOBase):
    """A stream that cannot seek: its writer must put sizes after the data."""

    def __init__(self) -> None:
        self.data = b""

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.data += bytes(data)
        return len(data)


def test_sizes_after_the_data_are_read_and_verified() -> None:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("a.txt", b"x" * 1000)
        archive.writestr("b.txt", b"y")
    assert _open(pipe.data).read("a.txt", at_most=1000) == b"x" * 1000
    at = pipe.data.index(b"PK\x07\x08")
    wrong = pipe.data[: at + 4] + b"\0\0\0\0" + pipe.data[at + 8 :]
    assert "expected the sizes of 'a.txt' again after its data, found others, or none" in _refusal(wrong)


def test_an_npz_with_its_zip64_fields_is_read() -> None:
    out = io.BytesIO()
    np.savez_compressed(out, weights=np.zeros(100_000), other=np.arange(3))
    archive = _open(out.getvalue())
    assert set(archive.members) == {"weights.npy", "other.npy"}
    archive.verify()


def test_a_zip64_end_record_is_read() -> None:
    data = _zip(("a", b"abc"))
    *_, count, _, size, start, _ = struct.unpack("<4s4H2IH", data[-22:])
    end64 = struct.pack("<4sQ2H2I4Q", b"PK\x06\x06", 44, 45, 45, 0, 0, count, count, size, start)
    locator = struct.pack("<4sIQI", b"PK\x06\x07", 0, len(data) - 22, 1)
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    assert _open(data[:-22] + end64 + locator + end).read("a", at_most=3) == b"abc"
    assert "a ZIP64 end record just before the end record" in _refusal(data[:-22] + locator + end64 + end)


@pytest.mark.parametrize(
    "name",
    ["../up", "a/../b", "/etc/passwd", "a//b", "./a", "C:/a", "a\\b", "tab\tin", "\u202egnp.exe", "a/.", ".."],
)
def test_names_that_leave_the_folder_or_hide_are_refused(name: str) -> None:
    assert "expected plain relative names, found" in _refusal(_zip((name, b"x")))


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("names", [("a", "a"), ("a.txt", "A.TXT"), ("\u00e9", "e\u0301")])
def test_one_name_twice_is_refused_whatever_its_case_or_form(names: tuple[str, str]) -> None:
    assert "expected each name once, found" in _refusal(_zip((names[0], b"1"), (names[1], b"2")))


def test_names_in_another_encoding_are_refused() -> None:
    data = _zip(("aé.txt", b"x"))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + flags
        data = data[:at] + b"\0\0" + data[at + 2 :]
    assert "expected names in UTF-8" in _refusal(data)


def test_a_second_name_in_an_extra_field_is_refused() -> None:
    info = zipfile.ZipInfo("safe.txt")
    other = b"\x01" + struct.pack("<I", zlib.crc32(b"safe.txt")) + b"evil.exe"
    info.extra = struct.pack("<2H", 0x7075, len(other)) + other
    assert "expected one name a member, found a second name for 'safe.txt'" in _refusal(_zip((info, b"x")))


@pytest.mark.parametrize("mode", [0o120777, 0o020666, 0o060666, 0o010666, 0o040777])
def test_links_devices_and_pipes_are_refused(mode: int) -> None:
    info = zipfile.ZipInfo("link")
    info.external_attr = mode << 16
    assert "expected files and folders, found 'link'" in _refusal(_zip((info, b"/etc/passwd")))


def test_encrypted_members_are_refused() -> None:
    data = _zip(("a", b"x"))
    for mark, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(mark) + flags
        data = data[:at] + b"\x01\0" + data[at + 2 :]
    assert "expected nothing encrypted, found 'a' is" in _refusal(data)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_methods_are_refused(method: int) -> None:
    assert f"found 'a' by method {method}" in _refusal(_zip(("a", b"x"), method=method))


def test_a_header_that_names_another_file_than_the_directory_is_refused() -> None:
    data = _zip(("picture.png", b"x"))
    assert "expected a header that says what the directory says of 'picture.png', found b'program.exe'" in _refusal(
        data.replace(b"picture.png", b"program.exe", 1)
    )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda data: b"MZ" + data, "a directory that ends at byte"),
        (lambda data: data + b"more", "ends with its end record"),
        (lambda data: data[:-2] + b"\x03\x00abc", "ends with its end record"),
        (lambda data: data[:-9], "ends with its end record"),
        (lambda data: data[:0], "ends with its end record"),
        (lambda data: data[:-22], "ends with its end record"),
    ],
)
def test_bytes_before_or_after_and_archives_cut_short_are_refused(change: Callable[[bytes], bytes], why: str) -> None:
    assert why in _refusal(change(_zip(("a", b"x" * 100))))


def test_a_hidden_member_that_the_directory_does_not_list_is_refused() -> None:
    shown, hidden = _zip(("a", b"shown")), _zip(("b", b"hidden"))
    at, end = shown.index(b"PK\x01\x02"), hidden.index(b"PK\x01\x02")
    extra = hidden[:end]
    fields = list(struct.unpack("<4s4H2IH", shown[-22:]))
    fields[6] += len(extra)
    data = shown[:at] + extra + shown[at:-22] + struct.pack("<4s4H2IH", *fields)
    assert f"expected a directory at byte {at}, where the last member ends, found {at + len(extra)}" in _refusal(data)


def test_members_that_share_bytes_are_refused() -> None:
    """The quoted bomb of overlapping members."""
    data = _zip(("a", b"x" * 1000))
    at = data.index(b"PK\x01\x02")
    entry = data[at:-22]
    two = entry + entry[:46] + b"b" + entry[47:]
    fields = list(struct.unpack("<4s4H2IH", data[-22:]))
    fields[3] = fields[4] = 2
    fields[5] = len(two)
    assert "expected a member that begins at byte" in _refusal(data[:at] + two + struct.pack("<4s4H2IH", *fields))


def test_a_bomb_is_refused_by_its_declared_sizes_before_it_is_unpacked() -> None:
    bomb = _zip(("zeros", bytes(30 << 20)))
    limits = ScanLimits(expands_freely_bytes=1 << 20, max_expansion=100)
    assert f"expected at most {max(1 << 20, 100 * len(bomb))} bytes once unpacked" in _refusal(bomb, limits)


def test_a_bomb_that_lies_about_its_size_stops_at_the_size_it_declared() -> None:
    data = _zip(("zeros", bytes(30 << 20)))
    said = struct.pack("<I", 30 << 20)
    lying = data.replace(said, struct.pack("<I", 1000))
    assert "expected 1000 bytes in 'zeros', found more" in _refusal(lying)


def test_too_many_members_are_refused_before_the_directory_is_read() -> None:
    data = _zip(*((f"{i}", b"") for i in range(11)))
    assert "expected at most 10 members, found 11" in _refusal(data, ScanLimits(max_members=10))


def test_reading_more_than_is_asked_for_is_refused() -> None:
    with pytest.raises(NotStrictError, match=r"expected at most 2 bytes in 'a', found 3"):
        _open(_zip(("a", b"abc"))).read("a", at_most=2)


def test_a_flipped_byte_anywhere_is_refused_or_changes_no_content() -> None:
    files = {"a.txt": b"hello " * 30, "b/c.bin": bytes(range(256))}
    good = _zip(*files.items())
    for at in range(len(good)):
        bad = bytearray(good)
        bad[at] ^= 0x55
        try:
            archive = _open(bytes(bad))
            read = {name: archive.read(name, at_most=1 << 20) for name in archive.members}
        except NotStrictError:
            continue
        assert list(read.values()) == list(files.values()), f"byte {at}"


def test_memory_stays_small_while_a_large_member_is_read() -> None:
    archive = _open(_zip(("zeros", bytes(50 << 20))))
    assert max(len(piece) for piece in archive.chunks("zeros")) <= 1 << 20
    assert sys.getsizeof(next(archive.chunks("zeros"))) < 2 << 20
