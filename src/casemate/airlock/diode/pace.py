"""A token bucket: how fast packets leave.

Rules. Over any stretch of time no more leaves than the rate allows and one burst (10 ms, at most 256 KiB), and time
lost beyond a burst is not made up for: a diode and its receiver have small buffers, and what overflows them is lost
without a word. The clock comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable

from casemate.errors import BadInput

_BURST_S = 0.01
_BURST_BYTES_MIN, _BURST_BYTES_MAX = 3000, 256 << 10
_SLEEP_MIN_S = 1e-6


class Pace:
    """Spends bytes at `rate_bits_per_s`, sleeping where the bucket is empty."""

    def __init__(self, rate_bits_per_s: float, *, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
        """A full bucket."""
        if not rate_bits_per_s >= 1000:
            raise BadInput("rate", expected="at least 1000 bits per second", found=rate_bits_per_s)
        self._bytes_per_s = rate_bits_per_s / 8
        self._burst = min(max(self._bytes_per_s * _BURST_S, _BURST_BYTES_MIN), _BURST_BYTES_MAX)
        self._clock, self._sleep = clock, sleep
        self._room, self._seen = self._burst, clock()

    def spend(self, size: int) -> None:
        """Take `size` bytes out of the bucket; wait first where it holds less."""
        self._refill()
        while self._room < min(size, self._burst):
            # half a burst at a time: the system's sleep is too coarse for one packet
            self._sleep(max(_SLEEP_MIN_S, (max(size, self._burst / 2) - self._room) / self._bytes_per_s))
            self._refill()
        self._room -= size

    def _refill(self) -> None:
        now = self._clock()
        self._room = min(self._burst, self._room + max(0.0, now - self._seen) * self._bytes_per_s)
        self._seen = now
