"""The ledger of a channel: gaps, replays, late bundles and forks."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.airlock.ledger import Link, Place, next_number, place
from casemate.errors import Forked


def chain(length: int) -> dict[int, Link]:
    links, previous = {}, ""
    for number in range(1, length + 1):
        manifest = hashlib.sha256(f"{number}{previous}".encode()).hexdigest()
        links[number] = Link(manifest, previous)
        previous = manifest
    return links


FIVE = chain(5)


def test_numbers_begin_at_one_and_continue_the_last() -> None:
    assert next_number({}) == (1, "")
    assert next_number(FIVE) == (6, FIVE[5].manifest)


def test_a_gap_is_seen_and_a_late_bundle_fills_it() -> None:
    taken = {1: FIVE[1], 4: FIVE[4]}
    assert place(taken, 5, FIVE[5], channel="c") == Place(5, missing=(2, 3))
    assert place(taken, 2, FIVE[2], channel="c") == Place(2, late=True)
    assert place(taken, 3, FIVE[3], channel="c") == Place(3, late=True, missing=(2,))


def test_a_replay_is_no_error() -> None:
    assert place(FIVE, 3, FIVE[3], channel="c") == Place(3, replay=True)


@pytest.mark.parametrize(
    ("taken", "number", "link", "message"),
    [
        (
            FIVE,
            3,
            Link("f" * 64, FIVE[2].manifest),
            f"bundle 3 of c: expected manifest {FIVE[3].manifest}, taken before",
        ),
        ({1: FIVE[1]}, 2, Link("f" * 64, "0" * 64), f"bundle 2 of c: expected one that continues {FIVE[1].manifest}"),
        ({}, 2, Link("f" * 64, ""), "bundle 2 of c: expected no bundle before the first, and one before any other"),
        ({}, 1, Link("f" * 64, "0" * 64), "bundle 1 of c: expected no bundle before the first"),
        (
            {3: FIVE[3]},
            2,
            Link("f" * 64, "0" * 64),
            f"bundle 2 of c: expected manifest {FIVE[2].manifest}, which the next",
        ),
    ],
)
def test_a_fork_is_refused(taken: dict[int, Link], number: int, link: Link, message: str) -> None:
    with pytest.raises(Forked) as refused:
        place(taken, number, link, channel="c")
    assert str(refused.value).startswith(message)


@given(st.permutations(sorted(FIVE)), st.lists(st.sampled_from(sorted(FIVE)), max_size=5))
def test_in_whatever_order_and_however_often_each_bundle_is_taken_once(order: list[int], again: list[int]) -> None:
    taken: dict[int, Link] = {}
    for number in [*order, *again]:
        where = place(taken, number, FIVE[number], channel="c")
        assert where.replay == (number in taken)
        assert set(where.missing) == (set() if where.replay else set(range(1, number)) - set(taken))
        taken[number] = FIVE[number]
    assert taken == FIVE
