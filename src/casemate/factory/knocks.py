"""Counting secrets that open nothing, so that a thousand of them are a few lines in the journal.

Rules. The first wrong secret from an address is told at once; those after it are counted, and told with their number
when a minute has passed since the last line. So many addresses are kept and no more: those beyond are counted together.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

QUIET = timedelta(minutes=1)
MOST_COUNTED = 256
OTHERS = "others"


@dataclass(frozen=True)
class Told:
    """A line to be written: so many wrong secrets from an address, of a known `key` or (empty) of none."""

    address: str
    key: str
    count: int

    @property
    def of_key(self) -> str:
        """Which key they were, in words."""
        return f" (API key {self.key})" if self.key else ""


@dataclass
class _Tally:
    told: datetime
    count: int = 0


@dataclass
class Knocks:
    """Wrong secrets by address and key; safe for several threads."""

    _tallies: dict[tuple[str, str], _Tally] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def knock(self, address: str, key: str, *, now: datetime) -> tuple[Told, ...]:
        """Count one more; what is to be told now."""
        with self._lock:
            due = self._due(now)
            who = (address, key)
            if who not in self._tallies and len(self._tallies) >= MOST_COUNTED:
                who = (OTHERS, "")
            if who in self._tallies:
                self._tallies[who].count += 1
                return due
            self._tallies[who] = _Tally(now)
            return (*due, Told(*who, 1))

    def rest(self) -> tuple[Told, ...]:
        """All that was counted and not told, which is forgotten."""
        with self._lock:
            left = tuple(Told(*who, tally.count) for who, tally in self._tallies.items() if tally.count)
            self._tallies.clear()
            return left

    def _due(self, now: datetime) -> tuple[Told, ...]:
        """Tallies a minute old: told if they counted anything since, forgotten if not."""
        old = [who for who, tally in self._tallies.items() if now - tally.told >= QUIET]
        due = tuple(Told(*who, self._tallies[who].count) for who in old if self._tallies[who].count)
        for who in old:
            if self._tallies[who].count:
                self._tallies[who] = _Tally(now)
            else:
                del self._tallies[who]
        return due
