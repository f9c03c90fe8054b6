"""The symbols of one unfinished block, and which of them to try.

Rules. A symbol that comes twice with different bytes is disputed: one of the two is forged, and neither is used. When a
block decodes to the wrong bytes, some symbol lies; once a few more have come, decoding is tried again leaving out one
stretch of arrivals after another, so that one forged symbol, or one burst, costs time and not the block. A block that
still does not come out is begun again from nothing: later symbols may be honest.
"""

from __future__ import annotations

from collections.abc import Iterator

from casemate.airlock.diode.packet import SYMBOL_ID_BYTES

_WINDOWS_MAX = 32
_MORE_MIN = 8
_MORE_SHARE = 16
_COST_BYTES, _SYMBOL_COST_BYTES = 1000, 200


class Partial:
    """The symbols of a block as they arrived, by their number."""

    def __init__(self, needed: int, symbol_bytes: int) -> None:
        """Collect a block of `needed` symbols."""
        self.needed = needed
        self._packet_bytes = SYMBOL_ID_BYTES + symbol_bytes
        self.begin_again()

    def begin_again(self) -> None:
        """Forget every symbol."""
        self.packets: dict[int, bytes] = {}
        self._disputed: set[int] = set()
        self._try_at = self.needed
        self._lied = False

    @property
    def size(self) -> int:
        """The bytes that it costs, about; what Python adds to a small symbol is more than the symbol."""
        kept = len(self.packets) * (self._packet_bytes + _SYMBOL_COST_BYTES)
        return _COST_BYTES + kept + len(self._disputed) * _SYMBOL_COST_BYTES

    @property
    def numbers_max(self) -> int:
        """No sender of ours numbers its symbols beyond."""
        return 3 * self.needed + 64

    def add(self, packet: bytes) -> bool:
        """Keep a symbol; whether this was a new one. What no sender of ours sends is left out."""
        number = int.from_bytes(packet[:SYMBOL_ID_BYTES], "big")  # the source block, always 0, is the first byte
        if len(packet) != self._packet_bytes or number >= self.numbers_max or number in self._disputed:
            return False
        known = self.packets.setdefault(number, packet)
        if known is packet:
            return True
        if known != packet:
            self._dispute(number)
        return False

    def _dispute(self, number: int) -> None:
        self._disputed.add(number)
        del self.packets[number]
        if len(self._disputed) > max(_MORE_MIN, self.needed // 2):  # what is kept may be mostly forged
            self.begin_again()

    @property
    def ready(self) -> bool:
        """Whether it is worth trying."""
        return len(self.packets) >= self._try_at

    @property
    def worth_a_last_try(self) -> bool:
        """Whether something is to be gained though not many symbols came since the last try."""
        return self._lied and self.needed < len(self.packets)

    def short(self) -> None:
        """The symbols were too few after all (one time in 256): one more is needed."""
        self._try_at = len(self.packets) + 1
        self._begin_again_if_hopeless()

    def lied(self) -> None:
        """The block came out wrong: gather enough to leave some out."""
        self._lied = True
        self._try_at = len(self.packets) + max(_MORE_MIN, self.needed // _MORE_SHARE)
        self._begin_again_if_hopeless()

    def _begin_again_if_hopeless(self) -> None:
        if len(self.packets) + len(self._disputed) >= self.needed + max(64, self.needed // 2):
            self.begin_again()


def choices(packets: list[bytes], needed: int) -> Iterator[list[bytes]]:
    """All symbols; then all but one stretch of them, from one end to the other."""
    yield packets
    spare = len(packets) - needed
    if spare < 1:
        return
    width = max(1, spare - 2)
    for start in range(0, len(packets), width)[:_WINDOWS_MAX]:
        yield packets[:start] + packets[start + width :]


def source_only(packets: list[bytes], needed: int) -> list[bytes] | None:
    """The block's own symbols in order, where all of them are there."""
    own = {int.from_bytes(packet[:SYMBOL_ID_BYTES], "big"): packet for packet in packets}
    if all(number in own for number in range(needed)):
        return [own[number][SYMBOL_ID_BYTES:] for number in range(needed)]
    return None
