"""Writing vectors that ends badly, or while others read: readers have one generation, whole, and writing goes on."""

from __future__ import annotations

import os
import resource
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from casemate.errors import DiskFull
from casemate.serving.retrieval.vectors import Vectors
from tests.serving.retrieval.clusters import brute_force, built, clustered, named

DIM = 8
KEYS, ROWS = named(30), clustered(30, DIM, 1)


def ended(act: Callable[[], object], last: int) -> bool:
    """Do it in a child that kills itself at the `last` file opened for writing, fsync, rename or removal."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            die_at(last)
            act()
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
    steps = iter(range(1, last + 1))

    def deadly(act: Callable[..., object]) -> Callable[..., object]:
        def step(*args: object, **facts: object) -> object:
            if next(steps) == last:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*args, **facts)

        return step

    os.fsync = deadly(os.fsync)  # type: ignore[assignment]
    for name in ("rename", "unlink", "open", "write_bytes"):
        setattr(Path, name, deadly(getattr(Path, name)))


VERBS: dict[str, Callable[[Path], object]] = {
    "update": lambda folder: Vectors.open(folder).update(add=(KEYS[20:], ROWS[20:]), remove=KEYS[:9]),
    "merge": lambda folder: Vectors.open(folder).merge(),
    "build": lambda folder: built(folder, KEYS[5:], ROWS[5:]),
}
AFTER = {"update": range(9, 30), "merge": range(1, 20), "build": range(5, 30)}


@pytest.mark.parametrize("verb", VERBS)
def test_killed_anywhere_the_vectors_are_those_before_or_those_after(tmp_path: Path, verb: str) -> None:
    for last in range(1, 200):
        folder = tmp_path / f"{last}"
        held = built(folder, KEYS[:20], ROWS[:20]).update(remove=KEYS[:1])
        whole = ended(lambda: VERBS[verb](folder), last)  # noqa: B023  it runs at once
        found = Vectors.open(folder)
        found.check()
        kept = [list(range(1, 20)), list(AFTER[verb])]
        expected = [brute_force([KEYS[n] for n in own], ROWS[own], ROWS[7], 30) for own in kept]
        assert found.search(ROWS[7], 30) in (expected[1:] if whole else expected)
        assert held.search(ROWS[7], 30) == expected[0]
        VERBS[verb](folder)
        again = Vectors.open(folder)
        assert again.search(ROWS[7], 30) == expected[1]
        named_now = {file.name for segment in again.listed.segments for file in segment.files()}
        assert {file.name for file in folder.iterdir()} <= {*named_now, "lock", "vectors.json"}
        if whole:
            return
    raise AssertionError("it never came to its end")


def test_whoever_opens_while_others_write_has_one_generation_whole(tmp_path: Path) -> None:
    """Generation n has all its vectors in the n-th direction."""

    def rows(direction: int) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
        return np.tile(np.eye(DIM)[direction % DIM], (len(KEYS), 1))

    built(tmp_path, KEYS, rows(1))
    child = os.fork()
    if child == 0:
        code = 1
        try:
            for generation in range(2, 12):
                write = Vectors.open(tmp_path).update if generation % 3 else None
                _ = write(add=(KEYS, rows(generation))) if write else built(tmp_path, KEYS, rows(generation))
            code = 0
        finally:
            os._exit(code)
    seen: list[int] = []
    while not seen or seen[-1] < 11:
        vectors = Vectors.open(tmp_path)
        seen.append(vectors.listed.generation)
        found = vectors.search(np.eye(DIM)[seen[-1] % DIM], len(KEYS))
        assert [key for key, cosine in found if cosine > 0.99] == KEYS
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert seen == sorted(seen)


def test_a_full_disk_is_said_and_nothing_is_lost(tmp_path: Path) -> None:
    vectors = built(tmp_path, KEYS, ROWS)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
            with pytest.raises(DiskFull, match=f"{tmp_path}: expected room to write, found File too large"):
                vectors.update(add=(named(9000, "n"), clustered(9000, DIM, 3)))
            code = 0
        finally:
            if code:
                traceback.print_exc()
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Vectors.open(tmp_path).search(ROWS[0], 9) == vectors.search(ROWS[0], 9)
    assert len(vectors.update(add=(["n"], ROWS[:1]))) == len(KEYS) + 1


def test_a_reader_holds_no_descriptor(tmp_path: Path) -> None:
    vectors = built(tmp_path, KEYS, ROWS).update(remove=KEYS[:1])
    before = len(list(Path("/proc/self/fd").iterdir()))
    held = [Vectors.open(tmp_path) for _ in range(20)]
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert all(one.search(ROWS[5], 3) == vectors.search(ROWS[5], 3) for one in held)


def test_memory_of_a_generation_is_given_back(tmp_path: Path) -> None:
    def maps() -> int:
        return Path("/proc/self/maps").read_text(encoding="utf-8").count(str(tmp_path))

    built(tmp_path, KEYS, ROWS)
    held = Vectors.open(tmp_path)
    assert maps() == 3
    keys = held.segments[0].keys
    del held
    assert keys.tolist() == [key.encode() for key in KEYS]  # what is still referred to is still there
    assert maps() == 1
    del keys
    assert maps() == 0
