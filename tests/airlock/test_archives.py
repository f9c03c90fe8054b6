"""Archives are unpacked by a process that can write nothing, and every member is inspected like a file that arrived."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import json
import lzma
import random
import stat
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import zstandard

from casemate.airlock import ScanLimits, admit, require_clean
from casemate.airlock import unpack as unpack_module
from casemate.airlock.archives.compressed import inner_name
from casemate.airlock.formats import ARCHIVES, DOCUMENTS, IMAGERY, MODEL, SPEECH
from casemate.airlock.inspect import inspect
from casemate.airlock.layout import lay_out
from casemate.airlock.unpack import Archive, Budget, unpack
from casemate.errors import DiskFull, InspectionRefused
from casemate.store.digest import Digest
from tests.airlock.archives import entry, overlapping_zip, pax, tar_block, tar_of, tarred, zipped
from tests.airlock.conftest import Arrive, Inspected, picture
from tests.airlock.test_inspect import findings

ALLOWED = frozenset({"text", "json", "png"}) | frozenset(ARCHIVES)
HELLO = {"notes/a.txt": b"hello\n", "b.json": b"[1, 2]"}
MIB = 1 << 20


def zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor().compress(data)


def tree(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


# ── Good archives ────────────────────────────────────────────────────────────────────────────────────────────────────
GOOD = {
    "a.zip": zipped(HELLO),
    "stored.zip": zipped(HELLO, zipfile.ZIP_STORED),
    "a.tar": tarred(HELLO),
    "gnu.tar": tarred(HELLO, tarfile.GNU_FORMAT),
    "ustar.tar": tarred(HELLO, tarfile.USTAR_FORMAT),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_member_is_a_line_of_the_report_with_its_own_digest(
    name: str, arrive: Arrive, inspected: Inspected
) -> None:
    report = inspected(arrive({name: GOOD[name]}), allowed=ALLOWED)
    require_clean(report)
    assert {f.path: (f.type, f.inside) for f in report.files} == {
        name: (name.rpartition(".")[2], ""),
        f"{name}!/b.json": ("json", name),
        f"{name}!/notes/a.txt": ("text", name),
    }
    lines = {f.path: f for f in report.files}
    assert lines[f"{name}!/b.json"].digest == Digest.of_bytes(b"[1, 2]")
    assert lines[f"{name}!/notes/a.txt"].size == 6
    assert "unpack" in lines[name].scanners
    assert report.scanners["unpack"]["unpack"] == "1"
    assert json.loads(report.to_json())["files"][1]["inside"] == name


SQUEEZE = {"gz": gzip.compress, "bz2": bz2.compress, "xz": lzma.compress, "zst": zstd}


@pytest.mark.parametrize("end", SQUEEZE)
def test_compressed_files_and_archives_are_read_through(end: str, arrive: Arrive, inspected: Inspected) -> None:
    squeeze = SQUEEZE[end]
    twice = squeeze(b'{"a": 1}') + squeeze(b"\n" * 3_000_000)  # as parallel compressors write it
    report = inspected(arrive({f"x.json.{end}": twice, f"d/y.tar.{end}": squeeze(tarred(HELLO))}), allowed=ALLOWED)
    assert findings(report) == {}
    assert [f.path for f in report.files] == [
        f"d/y.tar.{end}",
        f"d/y.tar.{end}!/y.tar",
        f"d/y.tar.{end}!/y.tar!/b.json",
        f"d/y.tar.{end}!/y.tar!/notes/a.txt",
        f"x.json.{end}",
        f"x.json.{end}!/x.json",
    ]
    assert report.files[5].digest == Digest.of_bytes(b'{"a": 1}' + b"\n" * 3_000_000)


def test_compressed_names_lose_their_ending() -> None:
    names = ("a.json.gz", "a.tgz", "a.b.TBZ2", "c.txz", "d.tzst", "e.xz")
    assert [inner_name(n) for n in names] == ["a.json", "a.tar", "a.b.tar", "c.tar", "d.tar", "e"]


def test_archives_are_allowed_only_where_a_caller_lists_them(arrive: Arrive, inspected: Inspected) -> None:
    for kind in (IMAGERY, SPEECH, DOCUMENTS, MODEL):
        assert not kind & ARCHIVES.keys()
    files = {"a.zip": zipped(HELLO), "b.tar.gz": gzip.compress(tarred(HELLO)), "c.tar": tarred(HELLO)}
    report = inspected(arrive(files), allowed=frozenset({"text", "tar"}))
    assert findings(report) == {
        "a.zip": "expected one of tar, text, found zip archive; unpack it first",
        "b.tar.gz": "expected one of tar, text, found gzip archive; unpack it first",
        "c.tar": "expected every file inside clean, found c.tar!/b.json refused",
        "c.tar!/b.json": "expected one of tar, text, found json",
    }


OTHERS = {
    "a.7z": (b"7z\xbc\xaf\x27\x1c" + b"\0" * 30, "7-Zip archive"),
    "b.rar": (b"Rar!\x1a\x07\x01\0", "RAR archive"),
    "c.a": (b"!<arch>\n", "ar archive"),
    "d.cpio": (b"070701" + b"0" * 104, "cpio archive"),
}


def test_other_archives_are_refused_by_name(arrive: Arrive, inspected: Inspected) -> None:
    report = inspected(arrive({name: data for name, (data, _) in OTHERS.items()}), allowed=ALLOWED)
    listed = ", ".join(sorted(ALLOWED))
    assert findings(report) == {
        name: f"expected one of {listed}, found {kind}; unpack it first" for name, (_, kind) in OTHERS.items()
    }


def test_a_refused_member_refuses_every_archive_around_it(arrive: Arrive, inspected: Inspected) -> None:
    inner = zipped({"deep/p.png": b"\x7fELF" + b"\0" * 60, "q.txt": b"fine", "r.png": picture("PNG")[:100]})
    report = inspected(arrive({"out.tar": tarred({"in.zip": inner}), "z.txt": b"fine"}), allowed=ALLOWED)
    found = findings(report)
    assert found["out.tar!/in.zip!/deep/p.png"].endswith("found ELF program")
    assert found["out.tar!/in.zip"] == (
        "expected every file inside clean, found out.tar!/in.zip!/deep/p.png (and 1 more) refused"
    )
    assert found["out.tar"] == "expected every file inside clean, found out.tar!/in.zip refused"
    assert "z.txt" not in found


def test_what_file_browsers_scatter_is_left_out_and_named(arrive: Arrive, inspected: Inspected) -> None:
    files = {"a.txt": b"x", ".DS_Store": b"\0\1", "__MACOSX/._a.txt": b"\0\5\x16\7"}
    report = inspected(arrive({"m.zip": zipped(files)}), allowed=ALLOWED)
    require_clean(report)
    assert report.dropped == ("m.zip!/.DS_Store", "m.zip!/__MACOSX/._a.txt")


def test_members_are_private_files_that_nobody_can_execute(arrive: Arrive, tmp_path: Path) -> None:
    info = tarfile.TarInfo("set-uid.txt")
    info.mode, info.uid = 0o6777, 0
    with admit(arrive({"a.tar": tar_of([(info, b"x")])}), tmp_path / "q") as admitted:
        inspect(admitted, allowed=ALLOWED, limits=ScanLimits(workers=1))
        (unpacked,) = (p for p in (admitted.folder.parent / "unpacked").rglob("*") if p.is_file())
        assert stat.S_IMODE(unpacked.stat().st_mode) == 0o400
        inspect(admitted, allowed=ALLOWED, limits=ScanLimits(workers=1))  # again is nothing special
    assert tree(tmp_path / "q") == [".lock"]


# ── Hostile archives ─────────────────────────────────────────────────────────────────────────────────────────────────
def zip_with(name: str, data: bytes = b"x", attributes: int = 0) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        info = zipfile.ZipInfo("placeholder")
        info.filename, info.external_attr = name, attributes
        archive.writestr(info, data)
    return out.getvalue()


def two_in_zip() -> bytes:
    data = zipped({"a.txt": b"one", "b.txt": b"two"}, zipfile.ZIP_STORED)
    return data.replace(b"b.txt", b"a.txt")


PLAIN = "expected plain relative names, found"
HOSTILE = {
    "up.tar": (tarred({"../up.txt": b"x"}), f"{PLAIN} '../up.txt'"),
    "root.tar": (tarred({"/tmp/moo.txt": b"x"}), f"{PLAIN} '/tmp/moo.txt'"),
    "inner-up.tar": (tarred({"a/../../up.txt": b"x"}), f"{PLAIN} 'a/../../up.txt'"),
    "windows.tar": (tarred({"a\\b.txt": b"x"}), f"{PLAIN} 'a\\\\b.txt'"),
    "drive.tar": (tarred({"C:evil.txt": b"x"}), f"{PLAIN} 'C:evil.txt'"),
    "pax-up.tar": (pax(path="../up.txt") + tar_block(b"ok.txt", 0) + bytes(1024), f"{PLAIN} '../up.txt'"),
    "up.zip": (zip_with("../up.txt"), f"{PLAIN} '../up.txt'"),
    "root.zip": (zip_with("/tmp/moo.txt"), f"{PLAIN} '/tmp/moo.txt'"),
    "link.tar": (
        tar_of([entry("l", tarfile.SYMTYPE, "/etc"), (tarfile.TarInfo("l/x.txt"), b"x")]),
        "expected files and folders, found 'l', a symbolic link",
    ),
    "hard.tar": (
        tar_of([entry("h.txt", tarfile.LNKTYPE, "/etc/passwd")]),
        "expected files and folders, found 'h.txt', a hard link",
    ),
    "device.tar": (
        tar_of([entry("sda", tarfile.BLKTYPE)]),
        "expected files and folders, found 'sda', a block device",
    ),
    "tty.tar": (tar_of([entry("t", tarfile.CHRTYPE)]), "expected files and folders, found 't', a character device"),
    "pipe.tar": (tar_of([entry("p", tarfile.FIFOTYPE)]), "expected files and folders, found 'p', a named pipe"),
    "sparse.tar": (
        tar_block(b"s.txt", 512, b"S") + bytes(1536),
        "expected files and folders, found 's.txt', a sparse file",
    ),
    "pax-sparse.tar": (
        pax(**{"GNU.sparse.major": "1", "GNU.sparse.realsize": "1099511627776"}) + tar_block(b"s", 0) + bytes(1024),
        "expected files and folders, found a sparse file",
    ),
    "pax-size.tar": (
        pax(size="10240") + tar_block(b"a.txt", 512) + tar_block(b"hidden.txt", 0) + bytes(10240),
        "expected one size for each entry, found 512 in its header and '10240' in pax",
    ),
    "pax-link.tar": (
        pax(linkpath="/etc/passwd") + tar_block(b"a.txt", 0) + bytes(1024),
        "expected pax headers that change no file, found 'linkpath'",
    ),
    "long-header.tar": (
        tar_block(b"pax", 1 << 30, b"x") + bytes(1024),
        "expected a header of at most 65536 bytes, found 1073741824",
    ),
    "huge.tar": (tar_block(b"a.txt", (8 << 30) - 1) + bytes(1024), "expected a whole tar archive, found one cut short"),
    "twice.tar": (
        tar_of([(tarfile.TarInfo("a.txt"), b"1"), (tarfile.TarInfo("a.txt"), b"2")]),
        "expected each name once, found 'a.txt' twice",
    ),
    "case.tar": (
        tarred({"a/b.txt": b"1", "A/c.txt": b"2"}),
        "expected names that differ by more than case or encoding, found 'a' and 'A'",
    ),
    "accents.tar": (
        tarred({"\u00e9.txt": b"1", "e\u0301.txt": b"2"}),
        "expected names that differ by more than case or encoding, found '\\xe9.txt' and 'e\\u0301.txt'",
    ),
    "both.tar": (
        tarred({"a": b"1", "a/b.txt": b"2"}),
        "expected names that differ by more than case or encoding, found 'a' and 'a'",
    ),
    "latin.tar": (
        tar_block(b"caf\xe9.txt", 0) + bytes(1024),
        "expected names in UTF-8, found b'caf\\xe9.txt'",
    ),
    "turned.tar": (
        tarred({"a\u202etxt.exe": b""}),
        "expected a name without control or direction characters, found U+202E in 'a\\u202etxt.exe'",
    ),
    "tail.tar": (tarred({"a.txt": b"x"}) + b"PK\x03\x04", "expected nothing but zeros after the end, found more"),
    "cut.tar": (tarred({"a.txt": b"x" * 2000})[:1500], "expected a whole tar archive, found one cut short"),
    "unended.tar": (tar_block(b"a.txt", 0), "expected a whole tar archive, found one cut short"),
    "between.tar": (
        tar_block(b"a.txt", 1) + b"x" + b"y" * 511 + bytes(1024),
        "expected zeros between entries, found something hidden there",
    ),
    "checksum.tar": (
        tar_block(b"a.txt", 0).replace(b"a.txt", b"b.txt") + bytes(1024),
        "expected a header whose checksum agrees, found another checksum",
    ),
    "empty.zip": (zipped({}), "expected at least one file in the archive, found none"),
    "empty.tar": (
        tar_block(b"folder/", 0, b"5") + bytes(1024),
        "expected at least one file in the archive, found none",
    ),
    "tail.json.gz": (gzip.compress(b"[]") + b"more", "expected a whole gzip file, found"),
    "cut.json.gz": (gzip.compress(b"[1, 2, 3]" * 99)[:-9], "expected a whole gzip file, found one cut short"),
    "cut.json.bz2": (bz2.compress(b"[1, 2, 3]")[:-5], "expected a whole bzip2 file, found one cut short"),
    "cut.json.xz": (lzma.compress(b"[1, 2, 3]")[:-9], "expected a whole xz file, found one cut short"),
    "cut.json.zst": (zstd(b"[1, 2, 3]" * 99)[:-5], "expected a whole zstd file, found one cut short"),
    "tail.json.zst": (
        zstd(b"[]") + b"\x50\x2a\x4d\x18\x04\0\0\0evil",
        "expected zstd frames and nothing else, found bytes 50 2a 4d 18 after a frame",
    ),
    "window.json.zst": (b"\x28\xb5\x2f\xfd\x00\xb8" + bytes(20), "expected a whole zstd file, found"),
    "sum.json.gz": (gzip.compress(b"[]")[:-8] + bytes(8), "expected a whole gzip file, found"),
}


def test_hostile_archives_are_refused_each_for_its_reason_and_write_nothing(
    arrive: Arrive, inspected: Inspected, tmp_path: Path
) -> None:
    folder = arrive({name: data for name, (data, _) in HOSTILE.items()})
    before = [p for p in tree(tmp_path) if not p.startswith("quarantine")]
    found = findings(inspected(folder, allowed=ALLOWED))
    for name, (_, said) in HOSTILE.items():
        assert found[name].startswith(said), name
    assert found.keys() == HOSTILE.keys(), "nothing came out of an archive that was refused"
    assert [p for p in tree(tmp_path) if not p.startswith("quarantine")] == before
    assert tree(tmp_path / "quarantine") == [".lock"]
    assert not Path("/tmp/moo.txt").exists()


def test_zips_that_two_readers_see_differently_are_refused(arrive: Arrive, inspected: Inspected) -> None:
    good = zipped({"a.txt": b"x" * 50})
    lying = bytearray(good)
    lying[26 + 4 : 26 + 5] = b"b"  # the member's own header calls it b.txt
    files = {
        "twice.zip": two_in_zip(),
        "lying.zip": bytes(lying),
        "before.zip": b"PK\x03\x04 something else first" + good,
        "after.zip": good + b"more",
        "link.zip": zip_with("l", b"/etc/passwd", (stat.S_IFLNK | 0o777) << 16),
        "cp437.zip": zip_with("caf\xe9.txt").replace(b"caf\xc3\xa9", b"caf\x82x"),
        "cut.zip": good[:-30],
    }
    found = findings(inspected(arrive(files), allowed=ALLOWED))
    assert found.keys() == files.keys()
    assert "found 'a.txt' and 'a.txt'" in found["twice.zip"]


def test_bombs_are_refused_by_what_comes_out_of_them(arrive: Arrive, inspected: Inspected, tmp_path: Path) -> None:
    tight = ScanLimits(workers=1, max_expansion=50, expands_freely_bytes=MIB)
    zeros = bytes(8 * MIB)
    nested = gzip.compress(gzip.compress(bytes(64 * MIB)))
    two = zipped({"1.txt": b" " * 400_000, "2.txt": b" " * 400_000})
    files = {
        "flat.zip": zipped({"a.txt": zeros}),
        "flat.txt.gz": gzip.compress(zeros),
        "flat.txt.bz2": bz2.compress(zeros),
        "flat.txt.xz": lzma.compress(zeros),
        "flat.txt.zst": zstd(zeros),
        "fifield.zip": overlapping_zip(1000, MIB),
        "nested.txt.gz.gz": nested,
        "spread.zip": zipped({f"{i}.zip": two for i in range(4)}),
    }
    found = findings(inspected(arrive(files), limits=tight, allowed=ALLOWED))
    for name in ("flat.txt.gz", "flat.txt.bz2", "flat.txt.xz", "flat.txt.zst"):
        size = max(MIB, 50 * len(files[name]))
        assert found[name] == f"expected at most {size} bytes unpacked, for {len(files[name])} packed, found more"
    assert found["flat.zip"].startswith("expected at most 1048576 bytes once unpacked")
    assert "fifield.zip" in found
    assert found["nested.txt.gz.gz!/nested.txt.gz"].startswith("expected at most")
    assert "bytes unpacked, for" in found["nested.txt.gz.gz!/nested.txt.gz"]
    assert any(path.startswith("spread.zip!/") and "bytes unpacked, for" in said for path, said in found.items())
    assert tree(tmp_path / "quarantine") == [".lock"]


def test_archives_share_a_budget_of_files_bytes_and_depth(arrive: Arrive, inspected: Inspected) -> None:
    many = {"many.tar": tarred({f"{i}.txt": b"x" for i in range(6)})}
    found = findings(inspected(arrive(many), limits=ScanLimits(workers=1, max_archive_files=5), allowed=ALLOWED))
    assert found == {"many.tar": "expected at most 5 files, found more"}
    found = findings(inspected(arrive(many), limits=ScanLimits(workers=1, max_archive_bytes=5), allowed=ALLOWED))
    assert found == {"many.tar": "expected at most 5 bytes unpacked in all, found more"}
    deep = zipped({"a.txt": b"x"})
    for i in range(4):
        deep = zipped({f"{i}.zip": deep})
    found = findings(inspected(arrive({"deep.zip": deep}), allowed=ALLOWED))
    path = "deep.zip!/3.zip!/2.zip!/1.zip!/0.zip"
    assert found[path] == "expected at most 4 archives, one inside the other, found one more"
    assert "deep.zip" in found


def test_a_folder_that_could_pass_for_an_archive_is_refused(arrive: Arrive, inspected: Inspected) -> None:
    files = {"a.zip": zipped({"b.txt": b"x"}), "a.zip!/b.txt": b"y"}
    found = findings(inspected(arrive(files), allowed=ALLOWED))
    assert found == {"a.zip": "expected no folder called 'a.zip!' beside it, found 'a.zip!/b.txt'"}


def test_reference_archives_write_nothing_outside_and_are_refused(
    real_data: object, inspected: Inspected, tmp_path: Path
) -> None:
    source = real_data("reference_archives")  # type: ignore[operator]
    before = set(Path("/tmp").glob("moo*")) | set(tmp_path.parent.glob("moo*"))
    report = inspected(source, allowed=frozenset({"text", "zip", "tar"}))
    hostile = {f.path for f in report.files if Path(f.path).suffix in {".zip", ".tar", ".cpio", ".a"}}
    assert len(hostile) == 28
    assert {f.path for f in report.refused} == hostile
    assert all(f.findings[0].found for f in report.refused)
    assert set(Path("/tmp").glob("moo*")) | set(tmp_path.parent.glob("moo*")) == before
    assert tree(tmp_path) == ["quarantine", "quarantine/.lock"]


# ── What the importer gets ───────────────────────────────────────────────────────────────────────────────────────────
def laid_out(folder: Path, quarantine: Path) -> dict[str, bytes]:
    with admit(folder, quarantine) as admitted:
        report = inspect(admitted, allowed=ALLOWED, limits=ScanLimits(workers=1))
        placed = lay_out(admitted, report)
        read = {f.path: (placed.folder / f.path).read_bytes() for f in placed.files}
        assert {f.path: Digest.of_bytes(data) for f, data in zip(placed.files, read.values(), strict=True)} == {
            f.path: f.digest for f in placed.files
        }
        assert sorted(read) == sorted(
            str(p.relative_to(placed.folder)) for p in placed.folder.rglob("*") if p.is_file()
        )
        placed.discard()
    return read


def test_archives_are_laid_out_as_folders_and_compressed_files_as_files(arrive: Arrive, tmp_path: Path) -> None:
    files = {
        "d/a.zip": zipped(HELLO),
        "d/b.json.gz": gzip.compress(b"[3]"),
        "c.tgz": gzip.compress(tarred({"x.txt": b"x"})),
        "e.txt": b"e",
    }
    assert laid_out(arrive(files), tmp_path / "q") == {
        "c.tar/x.txt": b"x",
        "d/a.zip/b.json": b"[1, 2]",
        "d/a.zip/notes/a.txt": b"hello\n",
        "d/b.json": b"[3]",
        "e.txt": b"e",
    }


@pytest.mark.parametrize("name", ["a.zip", "a.tgz"])
def test_an_archive_that_arrives_alone_is_laid_out_as_the_root(name: str, arrive: Arrive, tmp_path: Path) -> None:
    data = zipped(HELLO) if name == "a.zip" else gzip.compress(tarred(HELLO))
    assert laid_out(arrive({name: data}), tmp_path / "q") == {"b.json": b"[1, 2]", "notes/a.txt": b"hello\n"}


def test_a_delivery_without_archives_is_laid_out_as_it_is(arrive: Arrive, tmp_path: Path) -> None:
    with admit(arrive({"a.txt": b"x"}), tmp_path / "q") as admitted:
        assert lay_out(admitted, inspect(admitted, allowed=ALLOWED)) is admitted


def test_two_files_for_one_place_and_what_is_not_clean_are_not_laid_out(arrive: Arrive, tmp_path: Path) -> None:
    with admit(arrive({"b.json": b"[]", "b.json.gz": gzip.compress(b"[3]")}), tmp_path / "q") as admitted:
        report = inspect(admitted, allowed=ALLOWED)
        with pytest.raises(InspectionRefused) as why:
            lay_out(admitted, report)
    assert str(why.value) == "b.json.gz!/b.json: expected a place of its own once unpacked, found b.json there"
    with admit(arrive({"c.json": b"["}), tmp_path / "q") as admitted:
        report = inspect(admitted, allowed=ALLOWED)
        with pytest.raises(InspectionRefused, match=r"c\.json: expected JSON"):
            lay_out(admitted, report)


# ── Damage, and children that lie ────────────────────────────────────────────────────────────────────────────────────
def test_damaged_archives_get_a_line_and_break_no_unpacking(arrive: Arrive, inspected: Inspected) -> None:
    chance = random.Random(7)  # noqa: S311  damage, not secrets
    good = {**GOOD, **{f"x.tar.{end}": squeeze(tarred(HELLO)) for end, squeeze in SQUEEZE.items()}}
    files = {}
    for name, data in good.items():
        for i in range(5):
            damaged = bytearray(data)
            for _ in range(chance.randint(1, 4)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            files[f"{i}{name}"] = bytes(damaged)
    report = inspected(arrive(files), allowed=ALLOWED, limits=ScanLimits(workers=2))
    assert {f.path for f in report.files if not f.inside} == files.keys()
    assert [(f.path, x) for f in report.files for x in f.findings if x.rule == "scanner"] == []


def unpacked_by(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **limits: float) -> tuple[str, str]:
    """The finding about an archive whose child is a program of our own that answers with `script`."""
    program = tmp_path / "child.py"
    program.write_text(
        "import os, sys, time\n"
        "from casemate.airlock.unpack_frames import DATA, SAID, frame\n"
        "from casemate.compute.messages import pack\n"
        "def say(**said): os.write(1, frame(SAID, pack(said)))\n"
        f"{script}\n"
    )
    monkeypatch.setattr(unpack_module, "COMMAND", [sys.executable, "-I", str(program)])
    archive = tmp_path / "a.zip"
    archive.write_bytes(zipped(HELLO))
    limits_ = ScanLimits(workers=1, **limits)  # type: ignore[arg-type]
    into = tmp_path / "into"
    done = unpack(Archive(archive, "zip", "a.zip", 100), into, Budget.of_delivery(limits_), limits_)
    assert done.files == ()
    assert not into.exists()
    return done.findings[0].expected, done.findings[0].found


LIES = {
    "say(member='../../etc/x'); os.write(1, frame(DATA, b'x')); say(members=1)": "'../../etc/x'",
    "say(member='/etc/cron.d/x')": "'/etc/cron.d/x'",
    "os.write(1, frame(DATA, b'x'))": "an answer that cannot be read: bytes of no member",
    "say(member='a'); say(members=2)": "an answer that cannot be read: it says nothing known",
    "say(member=7)": "an answer that cannot be read: no text where text should be",
    "say(member='\\ud800')": "'\\ud800'",
    "say(refused=['only one'])": "an answer that cannot be read: a refusal that is none",
    "say(refused='xy')": "an answer that cannot be read: a refusal that is none",
    "os.write(1, b'GET / HTTP/1.1')": "an answer that cannot be read: a frame of kind b'G' and",
    "os.write(1, b'S' + b'\\xff' * 4)": "an answer that cannot be read: a frame of kind b'S' and 4294967295 bytes",
    "os.write(1, frame(SAID, b'\\0\\0\\0\\x02[]'))": "an answer that cannot be read: a message that is no object",
    "os.write(1, frame(SAID, b'nothing'))": "an answer that cannot be read",
    "say(versions={'zip': 1})": "an answer that cannot be read: no text where text should be",
    "sys.exit(3)": "the scanner crashed: exit 3",
    "raise ValueError('boom')": "the scanner crashed: exit 1, ValueError: boom",
    "os.kill(os.getpid(), 9)": "the scanner crashed: killed by SIGKILL",
}


@pytest.mark.parametrize("script", LIES)
def test_a_child_that_lies_or_breaks_writes_nothing_elsewhere_and_leaves_nothing(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, found = unpacked_by(script, tmp_path, monkeypatch)
    assert expected
    assert found.startswith(LIES[script])


def test_a_child_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, found = unpacked_by("time.sleep(60)", tmp_path, monkeypatch, time_s=0.075, slowest_bytes_per_s=1 << 40)
    assert (expected, found) == ("unpacking that ends within 3072 MiB and its time", "no end in 0.3 s")


def test_a_full_disk_is_told_as_such_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_fd: int, _data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    archive = tmp_path / "a.tar"
    archive.write_bytes(tarred(HELLO))
    monkeypatch.setattr(unpack_module.os, "write", full)
    budget = Budget.of_delivery(ScanLimits())
    with pytest.raises(DiskFull, match=r"notes/a\.txt: expected room for what is unpacked, found No space left"):
        unpack(Archive(archive, "tar", "a.tar", 100), tmp_path / "into", budget, ScanLimits())
    assert not (tmp_path / "into").exists()
