"""The rate is held, whatever the clock and the sleep do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from casemate.airlock.diode.pace import Pace
from casemate.errors import BadInput


class Clock:
    """Time that passes when somebody sleeps, and a little longer than asked."""

    def __init__(self, late_s: float = 0.0) -> None:
        self.now, self.late_s = 100.0, late_s

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.now += seconds + self.late_s


@given(st.lists(st.integers(1, 9000), min_size=1, max_size=200), st.sampled_from([1e4, 1e6, 8e7, 1e9]))
def test_no_more_leaves_than_the_rate_allows_and_one_burst(sizes: list[int], rate: float) -> None:
    clock = Clock()
    pace = Pace(rate, clock=clock, sleep=clock.sleep)
    burst = min(max(rate / 8 * 0.01, 3000), 256 << 10)
    left = 0
    for size in sizes:
        pace.spend(size)
        left += size
        assert left <= (clock.now - 100.0) * rate / 8 + burst + max(sizes) + 1e-6


def test_the_rate_is_reached_with_a_sleep_that_is_a_little_late() -> None:
    clock = Clock(late_s=0.0001)
    pace = Pace(8e7, clock=clock, sleep=clock.sleep)
    for _ in range(10_000):
        pace.spend(1461)
    assert 10_000 * 1461 / (clock.now - 100.0) > 0.98e7


def test_time_that_was_lost_is_not_made_up_for() -> None:
    clock = Clock()
    pace = Pace(8e6, clock=clock, sleep=clock.sleep)
    clock.now += 3600
    before = clock.now
    for _ in range(100):
        pace.spend(1000)
    assert clock.now - before >= (100_000 - 10_000) / 1e6


@pytest.mark.parametrize("rate", [0.0, -1.0, 999.0, float("nan")])
def test_a_rate_that_is_none_is_refused(rate: float) -> None:
    clock = Clock()
    with pytest.raises(BadInput, match="rate: expected at least 1000 bits per second, found"):
        Pace(rate, clock=clock, sleep=clock.sleep)
