"""Lines that come at once: in one commit, each once, and an error told to everybody whom it concerns."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from casemate.catalog.together import Together
from tests.catalog.house import House


class Slow:
    """Writes groups, the first of which waits until it is told to go on."""

    def __init__(self, *, refuses: str = "") -> None:
        self.refuses, self.groups = refuses, list[list[str]]()
        self.begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self, group: Sequence[str]) -> Sequence[str]:
        self.groups.append(list(group))
        self.begun.set()
        self.may_end.wait()
        if self.refuses in group:
            raise OSError(f"no room for {len(group)}")
        return [item.upper() for item in group]


def through(slow: Slow, together: Together[str, str], later: Sequence[str]) -> list[str | OSError]:
    """One item, and while it is written, others; what became of each."""

    def write(item: str) -> str | OSError:
        try:
            return together.write(item, slow)
        except OSError as why:
            return why

    with ThreadPoolExecutor(len(later) + 1) as threads:
        futures = [threads.submit(write, "first")]
        slow.begun.wait()
        futures += [threads.submit(write, item) for item in later]
        while len(together._waiting) < len(later):
            pass
        slow.may_end.set()
        return [future.result() for future in futures]


def test_who_comes_while_others_write_is_written_with_the_next_and_once() -> None:
    slow = Slow()
    assert through(slow, Together(), ["a", "b", "c"]) == ["FIRST", "A", "B", "C"]
    assert slow.groups[0] == ["first"]
    assert sorted(slow.groups[1]) == ["a", "b", "c"]
    assert len(slow.groups) == 2


def test_an_error_is_told_to_its_group_and_to_nobody_else() -> None:
    slow, together = Slow(refuses="a"), Together[str, str]()
    first, *others = through(slow, together, ["a", "b"])
    assert first == "FIRST"
    assert [str(one) for one in others] == ["no room for 2", "no room for 2"]
    assert together.write("later", slow) == "LATER"


def test_lines_of_many_threads_are_one_chain_in_which_each_stands_once(house_on_disk: House) -> None:
    journal, before = house_on_disk.catalog.journal, house_on_disk.catalog.journal.head().count
    with ThreadPoolExecutor(24) as threads:
        list(threads.map(lambda n: journal.append(house_on_disk.low, "chat", f"release {n}"), range(120)))
    assert journal.verify().count == before + 120
    written = [line for line in journal.lines() if '"verb":"chat"' in line]
    assert len(written) == len(set(written)) == 120


def test_a_line_whose_signature_fails_leaves_the_others(house: House) -> None:
    def broken(_: bytes) -> dict[str, str]:
        raise RuntimeError("no pen")

    journal = house.catalog.journal
    with pytest.raises(RuntimeError, match="no pen"):
        journal.append(house.low, "chat", "release big", sign=broken)
    assert journal.append(house.low, "chat", "release big").act.subject == "release big"


def test_as_many_read_at_once_as_come(house_on_disk: House) -> None:
    with ExitStack() as open_ones:
        for _ in range(40):
            open_ones.enter_context(house_on_disk.catalog._database.reading())
        assert house_on_disk.catalog.journal.head().count > 0
