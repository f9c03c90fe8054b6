"""Send a bundle over a one-way link in UDP packets, with forward error correction.

Rules. The index goes first, and again and again, so that a receiver that comes late still learns what it sees. Blocks
go in groups, their symbols in turn, so that a burst of losses takes a little from each and not all from one. Nothing is
ever read from the socket. The rate is held, headers of IP and UDP included. A block that changed since it was listed
stops the sending. Memory is a few groups of blocks, whatever the bundle's size.
"""

from __future__ import annotations

import errno
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import islice, zip_longest
from pathlib import Path

from casemate.airlock.diode.address import Address
from casemate.airlock.diode.coding import Coder, source_packets, symbols_of
from casemate.airlock.diode.limits import CODED_BYTES_MAX, SYMBOLS_MAX
from casemate.airlock.diode.missing import Missing
from casemate.airlock.diode.pace import Pace
from casemate.airlock.diode.packet import Kind, announce, header, pack
from casemate.airlock.diode.source import Bundle, open_bundle, wanted
from casemate.errors import BadInput, Unavailable
from casemate.store import Progress

OVERHEAD_MAX = 2.0
_REPAIR_MIN = 8
_INDEX_OVERHEAD = 0.5
_INDEX_SHARE = 50
"""The index is repeated when so many times its bytes have been sent since: it costs two per cent."""
_FULL_BUFFER = {errno.ENOBUFS, errno.EAGAIN}


@dataclass(frozen=True)
class Cut:
    """How a bundle is cut and protected; `overhead` is repair symbols over symbols, `interleave` blocks in a group."""

    overhead: float = 0.15
    block_bytes: int = 2 << 20
    symbol_bytes: int = 1400
    interleave: int = 8

    def __post_init__(self) -> None:
        """Refuse what no receiver would take."""
        if not 0 <= self.overhead <= OVERHEAD_MAX:
            raise BadInput("overhead", expected=f"0 to {OVERHEAD_MAX}", found=self.overhead)
        if self.interleave < 1:
            raise BadInput("interleave", expected="at least 1 block", found=self.interleave)
        if self.block_bytes > CODED_BYTES_MAX or symbols_of(self.block_bytes, self.symbol_bytes) > SYMBOLS_MAX:
            expected = f"blocks of at most {CODED_BYTES_MAX} bytes and {SYMBOLS_MAX} symbols"
            raise BadInput("block", expected=expected, found=f"{self.block_bytes} bytes of {self.symbol_bytes}")


@dataclass(frozen=True)
class Sent:
    """What was sent; `wire_bytes` counts the headers of IP and UDP."""

    session: bytes
    blocks: int
    packets: int
    wire_bytes: int


def repair_count(symbols: int, overhead: float) -> int:
    """How many repair symbols protect a block; a few more than its share, because chance is unkind to small blocks."""
    return math.ceil(symbols * overhead) + _REPAIR_MIN if overhead else 0


def send(
    folder: Path,
    address: Address,
    *,
    rate_bits_per_s: float,
    cut: Cut | None = None,
    only: Missing | None = None,
    progress: Progress | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Sent:
    """Send a folder, or those of its blocks that a receiver misses; returns when the last packet has left."""
    cut = cut or Cut()
    pace = Pace(rate_bits_per_s, clock=clock, sleep=sleep)
    with (
        open_bundle(folder, block_bytes=cut.block_bytes, symbol_bytes=cut.symbol_bytes) as bundle,
        closing(socket.socket(address.family, socket.SOCK_DGRAM)) as door,
    ):
        blocks = wanted(bundle, only)
        wire = _Wire(door, address, pace, sleep)
        for packet in packets_of(bundle, blocks, cut, progress=progress):
            wire.send(packet)
        return Sent(bundle.announcement.session, len(blocks), wire.packets, wire.bytes)


class _Wire:
    """The socket and what went through it."""

    def __init__(self, door: socket.socket, address: Address, pace: Pace, sleep: Callable[[float], None]) -> None:
        self._door, self._address, self._pace, self._sleep = door, address, pace, sleep
        self.packets = self.bytes = 0

    def send(self, packet: bytes) -> None:
        size = len(packet) + self._address.header_bytes
        self._pace.spend(size)
        while not self._sent(packet):
            self._sleep(0.001)
        self.packets += 1
        self.bytes += size

    def _sent(self, packet: bytes) -> bool:
        try:
            self._door.sendto(packet, self._address.sockaddr)
        except OSError as why:
            if why.errno in _FULL_BUFFER:
                return False
            found = why.strerror
            if why.errno == errno.EMSGSIZE:
                found = f"{why.strerror}: {len(packet)} bytes; use smaller symbols"
            raise Unavailable(self._address, expected="a link that takes packets", found=found) from why
        return True


def packets_of(bundle: Bundle, blocks: Sequence[int], cut: Cut, *, progress: Progress | None = None) -> Iterator[bytes]:
    """Every packet of a sending, in order: index, groups of blocks with the index now and then between, index."""
    groups = [blocks[start : start + cut.interleave] for start in range(0, len(blocks), cut.interleave)]
    with ThreadPoolExecutor(1) as ahead, Coder() as coder:
        parts = range(len(bundle.announcement.index_blocks))
        index = list(_index_packets(bundle, [_encode_index(bundle, number, cut, coder) for number in parts]))
        repeat_bytes = _INDEX_SHARE * sum(map(len, index))
        yield from index
        since, done = 0, 0
        for group in _one_ahead(ahead, lambda numbers: [_encode(bundle, n, cut, coder) for n in numbers], groups):
            yield announce(bundle.announcement)
            if since > repeat_bytes:
                yield from index
                since = 0
            yield from _in_turn(group)
            since += sum(len(packet) for block in group for packet in block)
            done += len(group)
            if progress:
                progress(done, len(blocks), "blocks")
        yield from index


def _one_ahead(
    ahead: ThreadPoolExecutor, encode: Callable[[Sequence[int]], list[list[bytes]]], groups: Sequence[Sequence[int]]
) -> Iterator[list[list[bytes]]]:
    """Encoded groups, each encoded while the one before is sent."""
    rest = iter(groups)
    waiting = [ahead.submit(encode, group) for group in islice(rest, 1)]
    while waiting:
        encoded = waiting.pop().result()
        waiting = [ahead.submit(encode, group) for group in islice(rest, 1)]
        yield encoded


def _encode(bundle: Bundle, number: int, cut: Cut, coder: Coder) -> list[bytes]:
    head = header(Kind.BLOCK, bundle.announcement.session, number)
    return _protect(head, bundle.block(number), cut.symbol_bytes, cut.overhead, coder)


def _encode_index(bundle: Bundle, number: int, cut: Cut, coder: Coder) -> list[bytes]:
    head = header(Kind.INDEX, bundle.announcement.session, number)
    overhead = max(cut.overhead, _INDEX_OVERHEAD)
    return _protect(head, bundle.index_block(number), cut.symbol_bytes, overhead, coder)


def _protect(head: bytes, data: bytes, symbol_bytes: int, overhead: float, coder: Coder) -> list[bytes]:
    source = source_packets(data, symbol_bytes)
    repair = coder.repair_packets(data, symbol_bytes, repair_count(len(source), overhead))
    return [pack(head, packet) for packet in (*source, *repair)]


def _index_packets(bundle: Bundle, index: list[list[bytes]]) -> Iterator[bytes]:
    announcement = announce(bundle.announcement)
    yield from (announcement, announcement, announcement)
    yield from _in_turn(index)
    yield announcement


def _in_turn(blocks: list[list[bytes]]) -> Iterator[bytes]:
    for packets in zip_longest(*blocks):
        yield from filter(None, packets)
