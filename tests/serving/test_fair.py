"""The law of fair shares: nobody starves, nobody saves up, nothing is lost, and what waits is bounded."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import Busy
from casemate.serving.fair import FairQueue, Party

PARTIES = [Party(person, project) for person in ("ana", "ben", "eve") for project in ("", "harbour", "radar")]
parties = st.sampled_from(PARTIES)
costs = st.integers(1, 100)
calls = st.lists(st.tuples(parties, costs), max_size=60)


def queue(weights: dict[str, int] | None = None, waiting: int = 1000, each: int = 1000) -> FairQueue[object]:
    return FairQueue(weights=weights or {}, waiting=waiting, waiting_each=each)


def drained(fair: FairQueue[object]) -> list[object]:
    taken = []
    while (item := fair.pop()) is not None:
        taken.append(item)
    return taken


@settings(max_examples=40, deadline=None)
@given(calls)
def test_what_waits_comes_out_once_and_a_persons_calls_in_their_order(asked: list[tuple[Party, int]]) -> None:
    fair = queue()
    for number, (party, cost) in enumerate(asked):
        fair.put(party, (party, number), cost)
    taken = drained(fair)
    assert sorted(taken, key=lambda item: item[1]) == [(party, number) for number, (party, _) in enumerate(asked)]
    for party in PARTIES:
        numbers = [number for who, number in taken if who == party]  # type: ignore[misc]
        assert numbers == sorted(numbers)


@settings(max_examples=40, deadline=None)
@given(st.lists(costs, min_size=1, max_size=200), costs, st.integers(1, 4))
def test_who_comes_to_a_crowd_waits_for_no_more_than_their_share(crowd: list[int], own: int, weight: int) -> None:
    """However many calls others have, a newcomer waits for at most one of theirs at the same pass, and one beyond."""
    fair = queue({"harbour": weight})
    for cost in crowd:
        fair.put(Party("ana", "harbour"), "crowd", cost)
    fair.put(Party("eve", "radar"), "newcomer", own)
    before = drained(fair).index("newcomer")
    assert before <= 1


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), costs), min_size=20, max_size=80), st.integers(1, 5), st.integers(1, 5))
def test_while_both_wait_what_each_is_given_is_as_their_weights(
    asked: list[tuple[bool, int]], one: int, other: int
) -> None:
    fair = queue({"harbour": one, "radar": other})
    left = {"harbour": 0, "radar": 0}
    for first, cost in asked:
        project = "harbour" if first else "radar"
        fair.put(Party("ana", project), (project, cost), cost)
        left[project] += 1
    given_, weights = {"harbour": 0.0, "radar": 0.0}, {"harbour": one, "radar": other}
    while all(left.values()):
        project, cost = fair.pop()  # type: ignore[misc]
        given_[project] += cost / weights[project]
        left[project] -= 1
        assert abs(given_["harbour"] - given_["radar"]) <= 100 / one + 100 / other


@settings(max_examples=40, deadline=None)
@given(calls, st.lists(st.tuples(parties, costs, st.booleans()), max_size=40))
def test_nobody_who_waits_is_passed_over_for_ever(
    first: list[tuple[Party, int]], later: list[tuple[Party, int, bool]]
) -> None:
    """Others come all the time; whoever waits is served within a number of turns that others cannot stretch."""
    fair = queue()
    for party, cost in first:
        fair.put(party, "other", cost)
    fair.put(Party("zoe", "quiet"), "zoe", 50)
    served_before = 0
    for party, cost, _ in later * 3:
        fair.put(party, "other", cost)
        if fair.pop() == "zoe":
            break
        served_before += 1
    else:
        assert "zoe" in drained(fair)
    assert served_before <= len(first) + 120


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 50))
def test_nobody_saves_up_by_being_away(turns: int) -> None:
    fair = queue()
    for _ in range(turns):
        fair.put(Party("ana", "harbour"), "ana", 10)
        assert fair.pop() == "ana"
    for _ in range(10):
        fair.put(Party("ana", "harbour"), "ana", 10)
        fair.put(Party("eve", "radar"), "eve", 10)
    first = [fair.pop() for _ in range(10)]
    assert 4 <= first.count("eve") <= 6


def test_the_people_of_a_project_share_its_share() -> None:
    fair = queue()
    for _ in range(6):
        fair.put(Party("ana", "harbour"), "ana", 1)
    fair.put(Party("ben", "harbour"), "ben", 1)
    for _ in range(3):
        fair.put(Party("eve", "radar"), "eve", 1)
    assert [fair.pop() for _ in range(6)] == ["ana", "eve", "ben", "eve", "ana", "eve"]


def test_too_many_waiting_is_refused_without_saying_how_many_others_wait() -> None:
    fair = queue(waiting=3, each=2)
    fair.put(Party("ana"), 1, 1)
    fair.put(Party("ana"), 2, 1)
    with pytest.raises(Busy, match="engine: expected fewer than 2 calls of one person waiting, found 2 of your own"):
        fair.put(Party("ana"), 3, 1)
    fair.put(Party("ben"), 4, 1)
    with pytest.raises(Busy, match="engine: expected a place among the 3 that may wait, found none that is free") as no:
        fair.put(Party("eve"), 5, 1)
    assert no.value.retry_after_s == 5
    assert len(fair) == 3


def test_what_waits_no_more_is_taken_out() -> None:
    fair = queue()
    one, other = object(), object()
    fair.put(Party("ana"), one, 1)
    fair.put(Party("ana"), other, 1)
    assert (fair.remove(one), fair.remove(one)) == (True, False)
    assert drained(fair) == [other]


@settings(max_examples=40, deadline=None)
@given(calls)
def test_what_is_remembered_of_people_who_are_gone_is_bounded(asked: list[tuple[Party, int]]) -> None:
    fair = queue()
    for number in range(60):
        fair.charge(Party(f"person {number}"), 1)
    for party, cost in asked:
        fair.put(party, "x", cost)
    drained(fair)
    for _ in range(120):
        fair.charge(Party("one who stays"), 1)
    assert len(fair._shares) <= 2 + len(PARTIES)
