"""How often somebody may ask: a bucket that fills with time and is emptied by requests.

Rules. A bucket is of one key, or of one address for wrong secrets, and depends on nobody else's requests. So many
buckets are kept and no more: a full one says nothing about the past and is forgotten first.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

MOST_KEPT = 10_000


@dataclass(frozen=True)
class Taken:
    """What was taken out of a bucket: `wait_s` is 0 if there was one, else in how many whole seconds there will be.

    `left` requests are in it now, and in `full_s` it is full again.
    """

    wait_s: int
    left: int
    full_s: float


@dataclass
class _Level:
    left: float
    at: float


@dataclass
class Buckets:
    """Buckets by name, each of `size` requests, refilled in a minute; `clock` counts seconds."""

    size: int
    clock: Callable[[], float]
    _levels: dict[str, _Level] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, name: str) -> Taken:
        """Take one request out, if there is one."""
        now, per_second = self.clock(), self.size / 60
        with self._lock:
            level = self._levels.pop(name, None) or _Level(float(self.size), now)
            left = min(float(self.size), level.left + (now - level.at) * per_second)
            taken = left >= 1
            left = left - 1 if taken else left
            self._levels[name] = _Level(left, now)
            if len(self._levels) > MOST_KEPT:
                self._levels.pop(next(iter(self._levels)))  # the one that was used longest ago
        wait_s = 0 if taken else max(1, math.ceil((1 - left) / per_second))
        return Taken(wait_s, int(left), (self.size - left) / per_second)
