"""kill -9 at every step of writing vectors: readers have the generation before or the one after; writing goes on."""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

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
