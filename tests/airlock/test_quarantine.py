"""What quarantine takes, what it refuses, and what it leaves behind."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import unicodedata
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.airlock import Admitted, Limits, admit, sweep
from casemate.airlock.copying import copy_part, parts
from casemate.airlock.walk import check_name, look, open_source
from casemate.errors import BadInput, DiskFull, InspectionRefused
from tests.airlock.conftest import Arrive

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this")


def refused(source: Path, root: Path, limits: Limits | None = None) -> str:
    with pytest.raises(InspectionRefused) as why:
        admit(source, root, limits)
    assert [q.name for q in root.glob("*") if q.name != ".lock"] == [], "a refused quarantine is removed whole"
    return str(why.value)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "quarantine"


def test_what_is_admitted_is_a_private_copy_with_its_digests(arrive: Arrive, root: Path) -> None:
    files = {"a.txt": b"one", "below/b c'd\"é🚢.txt": b"two" * 1_000_000, "below/deeper/empty.txt": b""}
    source = arrive(files)
    (source / "a.txt").chmod(0o777)
    with admit(source, root) as admitted:
        assert [f.path for f in admitted.files] == sorted(files)
        for file in admitted.files:
            copy = admitted.folder / file.path
            assert copy.read_bytes() == files[file.path]
            assert file.digest.hex == hashlib.sha256(files[file.path]).hexdigest()
            assert file.size == len(files[file.path])
            assert stat.S_IMODE(copy.stat().st_mode) == 0o400
        assert stat.S_IMODE(admitted.folder.parent.stat().st_mode) == 0o700
        assert admitted.size == sum(len(data) for data in files.values())
    assert not admitted.folder.exists()
    assert (source / "a.txt").read_bytes() == b"one"


def test_one_file_can_be_admitted(arrive: Arrive, root: Path) -> None:
    with admit(arrive({"only.txt": b"x"}) / "only.txt", root) as admitted:
        assert [f.path for f in admitted.files] == ["only.txt"]
        assert (admitted.folder / "only.txt").read_bytes() == b"x"


def test_discarding_twice_is_nothing(arrive: Arrive, root: Path) -> None:
    admitted = admit(arrive({"a.txt": b"x"}), root)
    admitted.discard()
    admitted.discard()
    assert sweep(root) == []


def test_what_was_moved_out_stays_out(arrive: Arrive, root: Path, tmp_path: Path) -> None:
    with admit(arrive({"a.txt": b"x"}), root) as admitted:
        (admitted.folder / "a.txt").rename(tmp_path / "kept")
    assert (tmp_path / "kept").read_bytes() == b"x"


def test_litter_of_file_browsers_is_left_behind_and_named(arrive: Arrive, root: Path) -> None:
    with admit(arrive({"a.txt": b"x", ".DS_Store": b"\0", "p/Thumbs.db": b"\0"}), root) as admitted:
        assert [f.path for f in admitted.files] == ["a.txt"]
        assert admitted.dropped == (".DS_Store", "p/Thumbs.db")


def test_progress_is_told_in_bytes_up_to_the_total(arrive: Arrive, root: Path) -> None:
    heard: list[tuple[int, int, str]] = []
    with admit(arrive({"a.txt": b"xx", "b.txt": b"yyy"}), root, progress=lambda *now: heard.append(now)):
        assert heard[-1] == (5, 5, "bytes")


def test_a_source_that_is_absent_or_empty_is_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(BadInput, match=r"absent: expected a file or folder, found nothing"):
        admit(tmp_path / "absent", root)
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadInput, match=r"empty: expected at least one file, found none"):
        admit(tmp_path / "empty", root)


def test_a_link_is_refused_wherever_it_points(arrive: Arrive, root: Path, tmp_path: Path) -> None:
    source = arrive({"a.txt": b"x"})
    (source / "link.txt").symlink_to("a.txt")
    assert refused(source, root) == "link.txt: expected a file or folder, found a link"
    (source / "link.txt").unlink()
    (source / "up").symlink_to(tmp_path)
    assert refused(source, root) == "up: expected a file or folder, found a link"
    (tmp_path / "whole").symlink_to(source)
    assert refused(tmp_path / "whole", root).endswith(f"whole: expected a file or folder, found a link to {source}")


def test_a_pipe_a_socket_and_a_device_are_refused(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"x"})
    os.mkfifo(source / "pipe.png")
    assert refused(source, root) == "pipe.png: expected a file or folder, found a named pipe"
    with pytest.raises(BadInput, match="found a named pipe"):
        admit(source / "pipe.png", root)
    (source / "pipe.png").unlink()
    here = Path.cwd()
    os.chdir(source)  # a socket's path may not be long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        os.chdir(here)
        assert refused(source, root) == "socket.png: expected a file or folder, found a socket"


@root_only
def test_device_nodes_are_refused(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"x"})
    try:
        os.mknod(source / "zero.png", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        os.mknod(source / "zz.png", stat.S_IFBLK | 0o600, os.makedev(7, 0))
    except PermissionError:
        pytest.skip("device nodes cannot be made here")
    assert refused(source, root) == "zero.png: expected a file or folder, found a character device"
    (source / "zero.png").unlink()
    assert refused(source, root) == "zz.png: expected a file or folder, found a block device"


def test_a_file_shared_with_another_folder_is_refused_unless_allowed(
    arrive: Arrive, root: Path, tmp_path: Path
) -> None:
    source = arrive({"a.txt": b"x"})
    os.link(source / "a.txt", source / "again.txt")
    admit(source, root).discard()
    (tmp_path / "elsewhere").write_bytes(b"secret")
    os.link(tmp_path / "elsewhere", source / "stolen.txt")
    message = "stolen.txt: expected a file that no other folder shares, found 2 links, 1 of them here"
    assert refused(source, root) == message
    admit(source, root, Limits(links_from_outside=True)).discard()


def test_a_sparse_file_is_refused(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"x"})
    with (source / "huge.tif").open("wb") as huge:
        huge.truncate(1 << 40)
    assert refused(source, root) == f"huge.tif: expected at most {64 << 30} bytes, found {1 << 40}"
    with (source / "huge.tif").open("wb") as huge:
        huge.truncate(32 << 30)
    expected = f"huge.tif: expected at least 1/100 of its {32 << 30} bytes on disk, found 0 bytes, a sparse file"
    assert refused(source, root) == expected


def test_limits_on_count_size_depth_and_path_name_what_is_over(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"12345", "b.txt": b"123456", "d/e/f.txt": b"1"})
    assert refused(source, root, Limits(max_files=4)) == "d/e/f.txt: expected at most 4 files, found more"
    assert refused(source, root, Limits(max_bytes=10)) == "b.txt: expected at most 10 bytes in all, found more"
    assert refused(source, root, Limits(max_file_bytes=5)) == "b.txt: expected at most 5 bytes, found 6"
    assert refused(source, root, Limits(max_depth=2)) == "d/e/f.txt: expected at most 2 folders deep, found 3"
    assert (
        refused(source, root, Limits(max_path_chars=8)) == "d/e/f.txt: expected a path of at most 8 characters, found 9"
    )


def test_a_very_deep_folder_is_refused_before_it_exhausts_anything(tmp_path: Path, root: Path) -> None:
    source = tmp_path / "deep"
    fd = os.open(tmp_path, os.O_RDONLY)
    name = "deep"
    for _ in range(200):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd, name = below, "d"
    os.close(fd)
    message = refused(source, root)
    subprocess.run(["rm", "-rf", str(source)], check=True)  # noqa: S607
    assert message.endswith("d: expected at most 32 folders deep, found 33")


def test_names_that_are_not_text_are_refused_and_shown_escaped(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"x"})
    bad = Path(os.fsdecode(os.fsencode(source) + b"/caf\xe9.png"))
    bad.write_bytes(b"x")
    assert refused(source, root) == r"caf\xe9.png: expected a name in UTF-8, found other bytes"
    bad.unlink()
    for name, code in (
        ("new\nline.png", "000A"),
        ("bell\x07", "0007"),
        ("gpj\u202egnp.exe", "202E"),
        ("a\u2028b", "2028"),
    ):
        (source / name).write_bytes(b"x")
        message = refused(source, root)
        assert message.endswith(f": expected a name without control or direction characters, found U+{code}")
        assert message.isprintable()
        (source / name).unlink()


def test_names_that_one_file_system_would_merge_are_refused(arrive: Arrive, root: Path) -> None:
    source = arrive({"Image.PNG": b"x", "image.png": b"y"})
    expected = "expected a name that differs from its neighbours by more than case or encoding"
    assert refused(source, root) == f"image.png: {expected}, found 'Image.PNG'"
    (source / "Image.PNG").unlink()
    composed, decomposed = "caf\u00e9.png", unicodedata.normalize("NFD", "caf\u00e9.png")
    (source / composed).write_bytes(b"x")
    (source / decomposed).write_bytes(b"y")
    assert refused(source, root) == f"caf\u00e9.png: {expected}, found 'cafe\\u0301.png'"


@settings(deadline=None, max_examples=100)
@given(st.text(st.characters(categories=("L", "N", "P", "S", "Zs", "M")), min_size=1, max_size=40))
def test_every_name_of_printable_characters_passes(name: str) -> None:
    check_name(name, name)


def test_a_file_that_grows_changes_or_is_swapped_after_it_was_listed_is_refused(arrive: Arrive, tmp_path: Path) -> None:
    to = tmp_path / "to"

    def copy_after(change: str) -> str:
        source = arrive({"f/a.txt": b"12345"})
        to.mkdir(exist_ok=True)
        (to / "f").mkdir(exist_ok=True)
        source_fd = open_source(source)
        try:
            listed = look(source, source_fd, Limits())
            file = source / "f" / "a.txt"
            if change == "grow":
                file.write_bytes(b"123456")
            elif change == "rewrite":
                os.utime(file, ns=(1, 1))
            else:
                file.unlink()
                file.symlink_to("/etc/passwd") if change == "link" else os.mkfifo(file)
            with pytest.raises(InspectionRefused) as why:
                copy_part(source_fd, next(parts(listed.files)), to, threading.Event(), lambda _: None)
        finally:
            os.close(source_fd)
        file.unlink()
        return str(why.value)

    assert copy_after("grow") == "f/a.txt: expected 5 bytes, unchanged while read, found 6, changed"
    assert copy_after("rewrite") == "f/a.txt: expected 5 bytes, unchanged while read, found 5, changed"
    assert copy_after("link").startswith("a.txt: expected what was listed a moment ago, found Too many levels")
    assert copy_after("pipe") == "f/a.txt: expected the file that was listed, found another in its place"
    assert list((to / "f").iterdir()) == []


def test_a_folder_swapped_for_a_link_is_not_followed(arrive: Arrive, tmp_path: Path) -> None:
    source = arrive({"f/a.txt": b"12345"})
    source_fd = open_source(source)
    try:
        listed = look(source, source_fd, Limits())
        (source / "f").rename(tmp_path / "moved")
        (source / "f").symlink_to(tmp_path / "moved")
        with pytest.raises(InspectionRefused, match="f: expected what was listed a moment ago, found "):
            copy_part(source_fd, listed.files, tmp_path / "to", threading.Event(), lambda _: None)
    finally:
        os.close(source_fd)


def test_a_failure_in_one_part_stops_the_others_and_leaves_nothing(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.bin": b"x" * 30_000_000, "z.txt": b"y"})

    def swap(_done: int, _total: int, _unit: str) -> None:
        raise RuntimeError("the user interrupts")

    with pytest.raises(RuntimeError, match="interrupts"):
        admit(source, root, progress=swap)
    assert [q.name for q in root.iterdir()] == [".lock"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(disk)]
    mounted = subprocess.run(mount, check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)  # noqa: S607


@root_only
def test_a_full_disk_says_so_and_leaves_nothing(arrive: Arrive, small_disk: Path) -> None:
    source = arrive({"big.txt": b"x" * 3_000_000})
    with pytest.raises(DiskFull, match=r"disk/quarantine: expected room for 3000000 bytes, found \d+ bytes free"):
        admit(source, small_disk / "quarantine")
    assert [q.name for q in (small_disk / "quarantine").iterdir()] == [".lock"]
    source_fd = open_source(source)
    listed = look(source, source_fd, Limits())
    with pytest.raises(DiskFull, match=r"big.txt: expected room for 3000000 bytes, found No space left on device"):
        copy_part(source_fd, listed.files, small_disk, threading.Event(), lambda _: None)
    os.close(source_fd)


def test_the_quarantine_of_a_killed_process_is_swept_and_a_living_one_is_not(arrive: Arrive, root: Path) -> None:
    source = arrive({"a.txt": b"x"})
    living = admit(source, root)
    program = (
        "import os, signal, sys; from pathlib import Path; from casemate.airlock import admit;"
        "a = admit(Path(sys.argv[1]), Path(sys.argv[2])); os.kill(os.getpid(), signal.SIGKILL)"
    )
    died = subprocess.run([sys.executable, "-c", program, str(source), str(root)], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len([q for q in root.iterdir() if q.is_dir()]) == 2
    with admit(source, root):
        assert len([q for q in root.iterdir() if q.is_dir()]) == 2, "the dead one is gone, the living one is not"
    assert (living.folder / "a.txt").read_bytes() == b"x"
    living.discard()


def test_admissions_at_once_do_not_meet(arrive: Arrive, root: Path) -> None:
    source = arrive({f"{i}.txt": b"x" * i for i in range(50)})

    def take(_: int) -> Admitted:
        return admit(source, root)

    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(take, range(4)))
    assert len({a.folder for a in taken}) == 4
    for admitted in taken:
        assert len(list(admitted.folder.iterdir())) == 50
        admitted.discard()
