"""The numbers of channels: each spent once, in the act that it belongs to; those above a reader are not told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.catalog import Channel, Passage
from casemate.errors import BadMarking, NameTaken, NotAllowed
from tests.catalog.house import POLICY, House, says, settled

DR, S = POLICY.parse("DR"), POLICY.parse("S")


def passage(
    sequence: int, marking: str = "DR", *, peer: str = "depot", way: str = "out", manifest: str = "a"
) -> Passage:
    return Passage(Channel(peer, way, POLICY.parse(marking)), sequence, manifest * 64, "")


def test_a_number_is_spent_with_what_passed_or_not_at_all(house: House) -> None:
    house.catalog.register_all([house.new("one")], by=house.low, passed=passage(1))
    with says(
        NameTaken, "bundle 1: expected a number that is free on channel out depot at DR, found one that is spent"
    ):
        house.catalog.register_all([house.new("two")], by=house.low, passed=passage(1, manifest="b"))
    with pytest.raises(BadMarking):
        house.catalog.register_all([house.new("three", "DR", parents=(house.put("s", "S").id,))], by=house.high,
                                   passed=passage(2))  # fmt: skip
    view = house.catalog.seen_by(house.low)
    assert [e.name for e in view.list().entries] == ["one"]
    assert view.passages("depot", "out", DR) == (passage(1),)
    assert view.passages("depot", "in", DR) == ()
    house.catalog.verify()


def test_nobody_spends_a_number_above_what_they_may_read(house: House) -> None:
    with pytest.raises(NotAllowed, match="channel out depot at S: expected a marking that lea may read"):
        house.catalog.register_all([house.new("one")], by=house.low, passed=passage(1, "S"))


def test_a_number_stays_spent_when_what_it_stood_for_is_raised() -> None:
    house = settled("sqlite://", POLICY.parse("S//ALPHA,BRAVO"))
    (entry,) = house.catalog.register_all([house.new("one")], by=house.low, passed=passage(1))
    house.catalog.raise_markings({entry.id: S}, by=house.officer, reason="a spill")
    view = house.catalog.seen_by(house.low)
    assert (view.count(), view.passages("depot", "out", DR)) == (0, (passage(1),))
    with pytest.raises(NameTaken):
        house.catalog.register_all([house.new("two")], by=house.low, passed=passage(1, manifest="b"))


passages_ = st.lists(
    st.builds(
        passage, st.integers(1, 4), st.sampled_from(["NP", "DR", "S", "S//ALPHA", "DR//REL TO FRA"]),
        peer=st.sampled_from(["depot", "mill"]), way=st.sampled_from(["in", "out"]), manifest=st.sampled_from("abc"),
    ),
    max_size=8,
)  # fmt: skip


@settings(deadline=None, max_examples=25)
@given(passages_)
def test_a_channel_is_told_as_on_a_site_without_the_channels_above_the_reader(story: list[Passage]) -> None:
    full, lower = settled("sqlite://"), settled("sqlite://")
    for number, passed in enumerate(story):
        spend(full, passed, number)
        if full.low.may_read(passed.channel.marking):
            spend(lower, passed, number)
    asked = {passed.channel for passed in story} | {Channel("depot", "out", DR), Channel("moon", "in", S)}
    answers: list[Any] = [
        [house.catalog.seen_by(house.low).passages(c.peer, c.direction, c.marking) for c in sorted(asked, key=str)]
        for house in (full, lower)
    ]
    assert answers[0] == answers[1]


def spend(house: House, passed: Passage, number: int) -> None:
    try:
        house.catalog.register_all([house.new(f"e{number}", str(passed.channel.marking))], by=house.high, passed=passed)
    except (NameTaken, NotAllowed):
        return
