from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from casemate.store import Tally, cores, on_all_cores


def test_every_item_is_worked_on_once() -> None:
    assert sorted(on_all_cores(lambda n: n * n, range(1000))) == [(n, n * n) for n in range(1000)]


def test_items_none_and_false_are_items_too() -> None:
    assert list(on_all_cores(lambda item: item, [None, False], threads=1)) == [(None, None), (False, False)]


def test_threads_work_at_the_same_time() -> None:
    meeting = threading.Barrier(3, timeout=30)
    assert len(list(on_all_cores(lambda _: meeting.wait(), range(3), threads=3))) == 3


def test_the_first_error_stops_the_rest_and_is_raised() -> None:
    taken: list[int] = []

    def work(item: int) -> None:
        taken.append(item)
        if item == 3:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(on_all_cores(work, range(1_000_000), threads=1))
    assert taken == [0, 1, 2, 3]


def test_an_error_of_the_items_themselves_is_raised() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(on_all_cores(lambda n: n, items()))


def test_a_listener_who_leaves_stops_the_threads() -> None:
    before = threading.active_count()
    pairs = on_all_cores(lambda n: n, iter(int, 1), threads=2)
    next(pairs)
    pairs.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_tally_tells_the_end_and_never_goes_back() -> None:
    heard: list[tuple[int, int, str]] = []
    tally = Tally(lambda *what: heard.append(what), 10_000, "bytes")
    list(on_all_cores(tally.add, [1] * 10_000, threads=4))
    assert heard[-1] == (10_000, 10_000, "bytes")
    assert heard == sorted(heard)
    assert len(heard) <= 1000


def test_there_is_a_core() -> None:
    assert cores() >= 1
