"""Which slot of the engine a call takes, and whether it may find there what an earlier call left.

Rules. A slot remembers the key of who used it last. A call finds the beginning of its prompt already worked out only in
a slot whose last call had the same key, and a call without a key never does: how fast a first word comes must not tell
one reader what another asked. A free slot of the same key is taken first, then the one that was used longest ago.
"""

from __future__ import annotations

import threading


class Slots:
    """The slots of one engine; safe to use from several threads, one call a slot."""

    def __init__(self, count: int) -> None:
        self._lock = threading.Lock()
        self._keys = [""] * count
        self._free = list(range(count))

    def take(self, key: str) -> tuple[int, bool]:
        """A free slot, and whether what is in it may be reused; RuntimeError where more calls come than slots."""
        with self._lock:
            same = [slot for slot in self._free if key and self._keys[slot] == key]
            if not self._free:
                raise RuntimeError("more calls than slots")
            slot = same[0] if same else self._free[0]
            self._free.remove(slot)
            self._keys[slot] = key
            return slot, bool(same)

    def free(self, slot: int) -> None:
        """Give a slot back."""
        with self._lock:
            self._free.append(slot)
