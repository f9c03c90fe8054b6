from __future__ import annotations

import errno
import io
import os
import resource
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from casemate.errors import BadInput, DiskFull
from casemate.store import Digest, Manifest, checkout, get_bytes, manifest_of, put_bytes, put_folder, verify_store
from casemate.store.objects import open_store
from casemate.store.posix import PosixStore
from tests import hostile


@pytest.fixture
def store(tmp_path: Path) -> PosixStore:
    return PosixStore(tmp_path / "store")


def _temporary(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "store" / "tmp").iterdir())


def test_sha256sum_can_check_an_object_by_its_path(store: PosixStore, tmp_path: Path) -> None:
    digest = put_bytes(store, b"for an auditor")
    file = tmp_path / "store" / "objects" / digest.hex[:2] / digest.hex[2:]
    said = subprocess.run(
        [shutil.which("sha256sum") or "sha256sum", "-b", str(file)], capture_output=True, text=True, check=True
    )
    assert said.stdout.split()[0] == digest.hex
    assert stat.S_IMODE(file.stat().st_mode) == 0o444


def test_objects_are_read_only_under_any_umask(store: PosixStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 3)
    before = os.umask(0o077)
    try:
        digests = [put_bytes(store, b"x"), *(file.digest for file in put_folder(store, tmp_path / "in").files)]
    finally:
        os.umask(before)
    assert {stat.S_IMODE(store.path(digest).stat().st_mode) for digest in digests} == {0o444}


def test_a_store_without_a_folder_is_refused() -> None:
    with pytest.raises(BadInput, match="store posix: expected a folder to keep objects in, found none"):
        open_store("posix")


def test_files_that_are_no_objects_are_passed_over(store: PosixStore, tmp_path: Path) -> None:
    digest = put_bytes(store, b"x")
    for stray in ("README", "zz", f"{digest.hex[:2]}/stray", f"{digest.hex[:2]}/{'G' * 62}"):
        (tmp_path / "store" / "objects" / stray).write_bytes(b"stray")
    assert list(store.digests()) == [digest]


def test_a_folder_in_the_place_of_an_object_is_damage(store: PosixStore) -> None:
    path = store.path(Digest("ab" * 32))
    path.mkdir(parents=True)
    (damage,) = verify_store(store)
    assert str(damage) == (
        f"object sha256:{'ab' * 32}: expected readable bytes, found {path}: expected a regular file, found a folder"
    )


def test_moving_a_folder_in_renames_its_files(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(b"the very same inode")
    inode = (tmp_path / "in" / "f").stat().st_ino
    manifest = put_folder(store, tmp_path / "in", move=True)
    assert store.path(manifest.files[0].digest).stat().st_ino == inode


def test_a_file_with_another_name_is_copied_so_that_nobody_can_write_through_it(
    store: PosixStore, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "f").write_bytes(b"content")
    os.link(tmp_path / "in" / "f", tmp_path / "outside")
    manifest = put_folder(store, tmp_path / "in", move=True)
    (tmp_path / "outside").write_bytes(b"changed")
    assert get_bytes(store, manifest.files[0].digest) == b"content"
    assert not (tmp_path / "in").exists()


def test_equal_files_of_a_moved_folder_become_one_object(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        (tmp_path / "in" / name).write_bytes(b"same")
    manifest = put_folder(store, tmp_path / "in", move=True)
    assert len(manifest.files) == 3
    assert sorted(store.digests()) == sorted([Digest.of_bytes(b"same"), manifest.digest])


def test_a_checkout_shares_the_bytes_of_the_store(store: PosixStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 3)
    manifest = put_folder(store, tmp_path / "in")
    out = checkout(store, manifest, tmp_path / "out")
    for file in manifest.files:
        laid = (out / file.path).stat()
        assert stat.S_IMODE(laid.st_mode) == 0o444
        object_ = store.path(file.digest).stat()
        assert laid.st_ino == object_.st_ino or laid.st_nlink == 1  # a hard link, or a reflink or copy


def test_a_checkout_on_another_file_system_is_a_copy(store: PosixStore, tmp_path: Path, small_disk: Path) -> None:
    hostile.many(tmp_path / "in", 3)
    manifest = put_folder(store, tmp_path / "in")
    assert manifest_of(checkout(store, manifest, small_disk / "out")) == manifest


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path_factory.mktemp("small")
    program = shutil.which("mount") or "/bin/false"
    argv = [program, "-t", "tmpfs", "-o", "size=1m", "none", str(place)]
    mount = subprocess.run(argv, capture_output=True, text=True, check=False)
    if mount.returncode != 0:
        pytest.skip(f"no small file system may be mounted here: {mount.stderr.strip()}")
    yield place
    subprocess.run([shutil.which("umount") or "umount", "--lazy", str(place)], check=True)


def test_a_full_disk_is_said_and_nothing_is_half_written(small_disk: Path, tmp_path: Path) -> None:
    store = PosixStore(small_disk / "store")
    kept = put_bytes(store, b"kept")
    (tmp_path / "in").mkdir()
    for n in range(4):
        (tmp_path / "in" / str(n)).write_bytes(os.urandom(400_000))
    for act in (
        lambda: put_bytes(store, os.urandom(3_000_000)),
        lambda: put_folder(store, tmp_path / "in"),
        lambda: put_folder(store, tmp_path / "in", move=True),
    ):
        with pytest.raises(DiskFull) as why:
            act()
        assert "expected room to write, found No space left on device, " in str(why.value)
        assert list(store.digests()) == [kept]
        assert list((small_disk / "store" / "tmp").iterdir()) == []
    assert len(list((tmp_path / "in").iterdir())) == 4
    elsewhere = PosixStore(tmp_path / "store")
    with pytest.raises(DiskFull):
        checkout(elsewhere, put_folder(elsewhere, tmp_path / "in"), small_disk / "too large")
    assert not (small_disk / "too large").exists()
    assert get_bytes(store, put_bytes(store, b"there is room again")) == b"there is room again"


def test_a_file_size_limit_is_a_full_disk_too(tmp_path: Path) -> None:
    said = _python(
        """
        import io, resource, sys
        from pathlib import Path
        from casemate.errors import DiskFull
        from casemate.store.posix import PosixStore
        store = PosixStore(Path(sys.argv[1]))
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
        try:
            store.put(io.BytesIO(bytes(200_000)))
        except DiskFull as why:
            print(why)
        print(list(store.digests()))
        """,
        tmp_path / "store",
    )
    first, last = said.splitlines()
    assert first.startswith(f"{tmp_path}/store/tmp: expected room to write, found File too large, ")
    assert last == "[]"
    assert _temporary(tmp_path) == []
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100_000


_ENDLESS = """
    import io, sys
    from pathlib import Path
    from casemate.store.posix import PosixStore
    class Endless(io.RawIOBase):
        def read(self, size=-1):
            print("reading", flush=True)
            return bytes(1000)
    PosixStore(Path(sys.argv[1])).put(Endless())
"""


def test_kill_9_leaves_only_what_the_next_opening_sweeps(store: PosixStore, tmp_path: Path) -> None:
    child = subprocess.Popen(_argv(_ENDLESS, tmp_path / "store"), stdout=subprocess.PIPE)
    with child:
        assert child.stdout
        child.stdout.readline()
        assert len(_temporary(tmp_path)) == 2  # a folder and its lock
        PosixStore(tmp_path / "store")
        assert len(_temporary(tmp_path)) == 2  # its process lives
        child.kill()
    assert child.returncode == -signal.SIGKILL
    assert len(_temporary(tmp_path)) == 2
    PosixStore(tmp_path / "store")
    assert _temporary(tmp_path) == []
    assert list(store.digests()) == []


@pytest.mark.parametrize("move", [False, True])
def test_put_folder_killed_at_any_moment_loses_nothing_and_can_be_said_again(tmp_path: Path, move: bool) -> None:
    hostile.many(tmp_path / "in", 400)
    expected = manifest_of(tmp_path / "in")
    code = """
        import sys
        from pathlib import Path
        from casemate.store import put_folder
        from casemate.store.posix import PosixStore
        store = PosixStore(Path(sys.argv[1]))
        print("ready", flush=True)
        while True:
            put_folder(store, Path(sys.argv[2]), move=sys.argv[3] == "True")
            print("put", flush=True)
            sys.stdin.readline() if sys.argv[3] == "True" else None
    """
    for wait_s in (0.0, 0.005, 0.02, 0.05, 0.1):
        child = subprocess.Popen(
            _argv(code, tmp_path / "store", tmp_path / "in", move), stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        with child:
            assert child.stdout
            child.stdout.readline()
            time.sleep(wait_s)
            child.kill()
        store = PosixStore(tmp_path / "store")
        assert _temporary(tmp_path) == []
        assert verify_store(store) == []
        if store.has(expected.digest):  # a manifest that is there has everything that it lists
            assert verify_store(store, live=[expected.digest]) == []
        left = {item.name for item in (tmp_path / "in").iterdir()} if (tmp_path / "in").exists() else set()
        gone = [file for file in expected.files if file.path not in left]
        assert all(store.has(file.digest) for file in gone)
        for file in gone:
            (tmp_path / "in").mkdir(exist_ok=True)
            (tmp_path / "in" / file.path).write_bytes(get_bytes(store, file.digest))
    assert put_folder(store, tmp_path / "in") == expected
    assert verify_store(store, live=[expected.digest]) == []


def test_two_processes_put_one_folder_at_once(store: PosixStore, tmp_path: Path) -> None:
    hostile.many(tmp_path / "in", 300)
    code = """
        import sys
        from pathlib import Path
        from casemate.store import put_folder
        from casemate.store.posix import PosixStore
        print(put_folder(PosixStore(Path(sys.argv[1])), Path(sys.argv[2])).digest)
    """
    children = [
        subprocess.Popen(_argv(code, tmp_path / "store", tmp_path / "in"), stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    said = {child.communicate()[0].strip() for child in children}
    manifest = manifest_of(tmp_path / "in")
    assert said == {str(manifest.digest)}
    assert verify_store(store, live=[manifest.digest]) == []
    assert _temporary(tmp_path) == []


def test_garbage_collection_waits_for_a_batch_that_is_being_named(store: PosixStore) -> None:
    old = put_bytes(store, b"old and nobody's")
    code = """
        import sys
        from pathlib import Path
        from casemate.store.digest import Digest
        from casemate.store.posix import PosixStore
        print("asking", flush=True)
        print(PosixStore(Path(sys.argv[1])).delete(Digest(sys.argv[2]), idle_s=3), flush=True)
    """
    with store._locked(1):  # LOCK_SH: the lock of a batch on its way in
        child = subprocess.Popen(_argv(code, store.path(old).parents[2], old.hex), stdout=subprocess.PIPE, text=True)
        assert child.stdout
        child.stdout.readline()
        store.path(old).chmod(0o444)  # what a rename does too: its ctime is now
    assert child.communicate()[0] == "False\n"
    assert store.has(old)


def test_putting_again_makes_an_old_object_young(store: PosixStore) -> None:
    digest = put_bytes(store, b"again")
    before = store.path(digest).stat().st_ctime_ns
    time.sleep(0.02)
    put_bytes(store, b"again")
    assert store.path(digest).stat().st_ctime_ns > before


def test_an_empty_folder_and_an_empty_file_are_versions_too(store: PosixStore, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    assert put_folder(store, tmp_path / "in") == Manifest(())
    (tmp_path / "in" / "empty").touch()
    manifest = put_folder(store, tmp_path / "in")
    assert (checkout(store, manifest, tmp_path / "out") / "empty").read_bytes() == b""


def test_a_stream_that_fails_leaves_nothing(store: PosixStore, tmp_path: Path) -> None:
    class Failing(io.RawIOBase):
        def read(self, _size: int = -1) -> bytes:
            raise OSError(errno.EIO, "the source disk died")

    with pytest.raises(OSError, match="the source disk died"):
        store.put(Failing())  # type: ignore[arg-type]
    assert _temporary(tmp_path) == []


def _argv(code: str, *arguments: object) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)]


def _python(code: str, *arguments: object) -> str:
    return subprocess.run(_argv(code, *arguments), capture_output=True, text=True, check=True).stdout
