"""kill -9 at every step of sealing, splitting and receiving: what follows goes on, and ends as if nothing had been."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from casemate.airlock.bundle import check, read_head, receive, seal, split
from casemate.errors import BadInput, CasemateError, DiskFull, Unavailable
from casemate.signing import Trust
from casemate.store.memory import MemoryStore
from casemate.store.posix import PosixStore
from tests.airlock.bundle.conftest import LABEL, NOW, carried, entry_of, noise, pen_of, put, small_few, statement

FORMS: dict[str, tuple[int | None, bool]] = {
    "folder": (None, False),
    "volumes": (130_000, False),
    "tars": (130_000, True),
}


def run(verb: str, last: int, form: str, folder: Path) -> bool:
    """Do it in a child that kills itself at the `last` fsync; whether it came to its end first."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at(last)
            act(verb, form, folder)
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in {0, -signal.SIGKILL}
    return code == 0


def die_at(last: int) -> None:
    fsync, calls = os.fsync, iter(range(1, last + 1))

    def fsync_or_die(fd: int) -> None:
        if next(calls) == last:
            os.kill(os.getpid(), signal.SIGKILL)
        fsync(fd)

    os.fsync = fsync_or_die  # type: ignore[assignment]


statement()  # once, before any child: signatures differ from one to the next


def act(verb: str, form: str, folder: Path) -> None:
    volume_bytes, as_tar = FORMS[form]
    if verb == "seal":
        store = MemoryStore()
        digests = tuple(put(store, noise(40_000, f"object {n}")) for n in range(6))
        entry = carried(put(store, noise(300_000, "big")), "single", also=digests)
        said = {"a.dsse.json": statement()}
        pen = pen_of("harbour")
        seal(store, LABEL, [entry], folder / "out", pen, statements=said, volume_bytes=volume_bytes, as_tar=as_tar)
    elif verb == "receive":
        for volume in sorted((folder / "out").iterdir()):
            receive(volume, folder / "area", read_head(volume))
    else:
        split(folder / "out", folder / "split", 700_000)


def killed_until_done(verb: str, form: str, folder: Path) -> Iterator[int]:
    """Kill it a little later each time, until it comes to its end."""
    for last in range(2, 200, 3):
        if run(verb, last, form, folder):
            return
        yield last
    pytest.fail("it never came to its end")


def parts_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.rglob("0*.tar")}


@pytest.mark.parametrize("form", ["folder", "volumes", "tars"])
def test_a_sealing_killed_again_and_again_ends_as_one_that_was_not(form: str, trust: Trust, tmp_path: Path) -> None:
    assert run("seal", 10_000, form, tmp_path / "whole")
    out, deaths = tmp_path / "cut" / "out", 0
    for _ in killed_until_done("seal", form, tmp_path / "cut"):
        deaths += 1
        if form == "folder":
            with pytest.raises(CasemateError):  # no bundle yet, or one beside the sealer's own folder
                check(out, trust, NOW)
        for volume in out.glob("volume-*"):
            read_head(volume)  # each is whole, or not there
    assert deaths >= 2
    whole, cut = tmp_path / "whole" / "out", tmp_path / "cut" / "out"
    assert sorted(p.name for p in whole.iterdir()) == sorted(p.name for p in cut.iterdir())
    sources = cut if form == "folder" else sorted(cut.iterdir())
    assert check(sources, trust, NOW) == check(whole if form == "folder" else sorted(whole.iterdir()), trust, NOW)
    assert parts_of(whole) == parts_of(cut)


def test_parts_that_were_done_are_not_written_again(tmp_path: Path) -> None:
    parts = tmp_path / "out" / ".seal" / "bundle" / "parts"
    for last in range(8, 40):
        assert not run("seal", last, "volumes", tmp_path)
        if len(list(parts.glob("0*.tar"))) >= 2:
            break
    before = {file: file.stat().st_ino for file in sorted(parts.glob("0*.tar"))}
    assert len(before) >= 2
    assert not run("seal", 6, "volumes", tmp_path)
    assert {file: file.stat().st_ino for file in list(before)[:-1]}.items() <= before.items()


def test_a_receiving_killed_again_and_again_misses_nothing(trust: Trust, tmp_path: Path) -> None:
    assert run("seal", 10_000, "volumes", tmp_path)
    assert sum(1 for _ in killed_until_done("receive", "volumes", tmp_path)) >= 2
    (folder,) = (path for path in (tmp_path / "area").iterdir() if path.is_dir())
    check(folder, trust, NOW)


def test_a_splitting_killed_again_and_again_ends_in_volumes(trust: Trust, tmp_path: Path) -> None:
    assert run("seal", 10_000, "folder", tmp_path)
    assert sum(1 for _ in killed_until_done("split", "folder", tmp_path)) >= 2
    check(sorted((tmp_path / "split").iterdir()), trust, NOW)


def test_sealing_something_else_into_the_same_folder_starts_over(
    store: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    assert not run("seal", 9, "folder", tmp_path)
    entry = carried(put(store, noise(5_000, "other")), "single")
    sealed = seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))
    assert check(sealed.folder, trust, NOW).count == 1


def test_a_bundle_cut_while_it_was_laid_out_is_finished_and_not_written_over(
    store: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    last = 4
    while not (tmp_path / "out" / "objects.jsonl").exists():
        shutil.rmtree(tmp_path / "out", ignore_errors=True)
        assert not run("seal", last, "folder", tmp_path)
        last += 1
    entry = carried(put(store, noise(5_000, "other")), "single")
    with pytest.raises(BadInput, match="expected the sealing that was cut here, or an empty folder, found another"):
        seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))
    assert run("seal", 10_000, "folder", tmp_path)
    assert check(tmp_path / "out", trust, NOW).count == 7


def test_a_folder_that_holds_anything_else_is_refused(store: PosixStore, tmp_path: Path) -> None:
    entry = carried(put(store, b"x"), "single")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.doc").write_bytes(b"mine")
    for _ in range(2):
        with pytest.raises(BadInput, match=r"out: expected an empty folder to seal into, found thesis.doc"):
            seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["thesis.doc"]
    sealed = seal(store, LABEL, [entry], tmp_path / "new", pen_of("harbour"))
    with pytest.raises(BadInput, match="expected an empty folder to seal into, found SHA256SUMS"):
        seal(store, LABEL, [entry], sealed.folder, pen_of("harbour"))


def test_two_sealings_in_one_folder_do_not_meet(store: PosixStore, tmp_path: Path) -> None:
    entry = carried(put(store, b"x"), "single")

    def meanwhile(*_: object) -> None:
        with pytest.raises(Unavailable, match=r".seal: expected nobody else seals here, found another process at it"):
            seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))

    seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"), recorded=meanwhile)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_said_and_sealing_goes_on_once_there_is_room(
    store: PosixStore, trust: Trust, tmp_path: Path
) -> None:
    entry = entry_of(store, tmp_path / "files", {**small_few(), "big": noise(3 << 20)})
    with files_of_at_most(1 << 20), pytest.raises(DiskFull, match="expected room to write"):
        seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))
    sealed = seal(store, LABEL, [entry], tmp_path / "out", pen_of("harbour"))
    head = read_head(sealed.folder)
    with files_of_at_most(1 << 20), pytest.raises(DiskFull, match="expected room to write"):
        receive(sealed.folder, tmp_path / "area", head)
    assert check(receive(sealed.folder, tmp_path / "area", head).folder, trust, NOW).count == 6


def test_a_disk_with_too_little_room_is_refused_before_anything_is_copied(
    store: PosixStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = seal(store, LABEL, [carried(put(store, noise(9_000)), "single")], tmp_path / "out", pen_of("harbour"))
    usage = type(shutil.disk_usage(tmp_path))(10, 10, 0)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DiskFull, match=r"area: expected room for \d+ bytes, found 0 bytes free"):
        receive(sealed.folder, tmp_path / "area", read_head(sealed.folder))


def test_what_is_recorded_is_the_manifest_and_its_list_before_anything_is_signed(
    store: PosixStore, tmp_path: Path
) -> None:
    kept: list[tuple[object, bytes]] = []

    def recorded(manifest: object, listed: Path) -> None:
        kept.append((manifest, listed.read_bytes()))
        assert not list(tmp_path.rglob("*.dsse.json"))

    sealed = seal(
        store, LABEL, [carried(put(store, b"x"), "single")], tmp_path / "out", pen_of("harbour"), recorded=recorded
    )
    assert kept == [(sealed.manifest, (sealed.folder / "objects.jsonl").read_bytes())]
