"""Turns: so many at once, the others in fair shares, and nobody's place is lost by who goes away."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from casemate.errors import Busy
from casemate.serving.fair import Party
from casemate.serving.turns import Limits, Turns

ANA, BEN = Party("ana", "harbour"), Party("ben", "radar")


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([ANA, BEN]), st.booleans()), max_size=40), st.integers(1, 4))
def test_never_more_at_once_and_no_place_is_lost_whoever_goes_away(
    asked: list[tuple[Party, bool]], places: int
) -> None:
    async def law() -> None:
        turns, inside, most, served = Turns(Limits(at_once=places)), 0, 0, 0

        async def call(party: Party) -> None:
            nonlocal inside, most, served
            async with turns.turn(party, 1):
                inside += 1
                most = max(most, inside)
                try:
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    served += 1
                finally:
                    inside -= 1

        tasks = [(asyncio.create_task(call(party)), gone) for party, gone in asked]
        await asyncio.sleep(0)
        for task, gone in tasks:
            if gone:
                task.cancel()
        await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert most <= places
        assert served >= sum(not gone for _, gone in asked)
        for _ in range(places):  # every place is there again
            await asyncio.wait_for(turns.turn(ANA, 1).__aenter__(), 1)

    asyncio.run(law())


def test_one_person_with_many_calls_does_not_hold_up_another() -> None:
    async def story() -> list[str]:
        turns, order = Turns(Limits(at_once=1)), []

        async def call(party: Party) -> None:
            async with turns.turn(party, 1):
                order.append(party.person)
                await asyncio.sleep(0)

        await asyncio.gather(*(call(ANA) for _ in range(5)), call(BEN))
        return order

    assert asyncio.run(story()).index("ben") <= 2


def test_a_turn_that_does_not_come_in_time_is_refused_and_leaves_the_queue() -> None:
    async def story() -> None:
        turns = Turns(Limits(at_once=1, waiting_s=0.01))
        async with turns.turn(ANA, 1):
            with pytest.raises(Busy, match=r"engine: expected a turn within 0\.01 s, found others still before you"):
                await turns.turn(BEN, 1).__aenter__()
        async with turns.turn(BEN, 1):
            pass

    asyncio.run(story())


def test_a_queue_that_is_full_refuses_at_once() -> None:
    async def story() -> None:
        turns = Turns(Limits(at_once=1, waiting=0))
        async with turns.turn(ANA, 1):
            with pytest.raises(Busy, match="a place among the 0 that may wait"):
                await turns.turn(BEN, 1).__aenter__()

    asyncio.run(story())
