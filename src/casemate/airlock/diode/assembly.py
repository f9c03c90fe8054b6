"""Puts the symbols that arrive together into blocks, and blocks into their landing.

Rules. `take` is quick: it checks, keeps, and at most hands a block over to be tried. Symbols are counted in bytes, and
the block that was quiet longest is forgotten when there are too many. Until the index is there, blocks are collected
and wait.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial as bound
from hashlib import sha256
from typing import NamedTuple

from casemate.airlock.diode.announcement import Announcement
from casemate.airlock.diode.coding import symbols_of
from casemate.airlock.diode.collect import Partial
from casemate.airlock.diode.harbour import Harbour
from casemate.airlock.diode.landing import Landing
from casemate.airlock.diode.outcome import Outcome, Tally
from casemate.airlock.diode.packet import Kind, Packet
from casemate.airlock.diode.workshop import Trial, Verdict, Workshop
from casemate.errors import BadInput
from casemate.store import Progress


class Block(NamedTuple):
    """A block of a session: of its index or of its files."""

    session: bytes
    kind: int
    number: int


class Assembly:
    """Packets in, verified blocks out."""

    def __init__(
        self,
        harbour: Harbour,
        workshop: Workshop,
        *,
        progress: Progress | None = None,
        on_whole: Callable[[Outcome], None] | None = None,
    ) -> None:
        """Bundles that an earlier process left with every block are finished at once."""
        self.tally, self.whole = Tally(), 0
        self._harbour, self._workshop = harbour, workshop
        self._progress, self._on_whole = progress, on_whole
        self._partials: OrderedDict[Block, Partial] = OrderedDict()
        self._bytes = 0
        self._working: set[Block] = set()
        self._index: dict[bytes, dict[int, bytes]] = {}
        for session, landing in harbour.landings.items():
            if landing.whole:
                self._finish(session)

    def take(self, packet: Packet) -> None:
        """Take a packet in."""
        announcement = self._harbour.announced.get(packet.session)
        if packet.kind == Kind.ANNOUNCEMENT:
            announcement = announcement or self._announce(packet)
            length = None if announcement is None else 0
        else:
            length = None if announcement is None else _length(packet, announcement)
        if announcement is None or length is None:
            self.tally.not_ours += 1
        elif length == 0:
            self.tally.taken += 1
        else:
            self._take_symbol(packet, announcement, length)

    def give_up_waiting(self) -> None:
        """Try what can still be tried, and see to everything."""
        for block, partial in list(self._partials.items()):
            if partial.worth_a_last_try:
                self._try(block, partial)
        self._workshop.gather(wait=True)

    def _announce(self, packet: Packet) -> Announcement | None:
        announcement = self._harbour.announce(packet.session, packet.body)
        for session in self._index.keys() - self._harbour.announced.keys():  # those that made room
            del self._index[session]
        return announcement

    def _take_symbol(self, packet: Packet, announcement: Announcement, length: int) -> None:
        block = Block(packet.session, packet.kind, packet.block)
        if self._has(block):
            self.tally.repeated += 1
            return
        partial = self._partials.get(block)
        if partial is None:
            symbol_bytes = announcement.symbol_bytes
            partial = self._partials[block] = Partial(symbols_of(length, symbol_bytes), symbol_bytes)
            self._bytes += partial.size
        before = partial.size
        if partial.add(packet.body):
            self.tally.taken += 1
        else:
            self.tally.repeated += 1
        self._bytes += partial.size - before
        self._partials.move_to_end(block)
        self._forget_beyond_memory()
        if partial.ready:
            self._try(block, partial)

    def _has(self, block: Block) -> bool:
        landing = self._harbour.landings.get(block.session)
        if block.kind == Kind.BLOCK:
            return landing is not None and block.number not in landing.missing
        return landing is not None or block.number in self._index.get(block.session, ())

    def _forget_beyond_memory(self) -> None:
        while self._bytes > self._harbour.limits.memory_bytes:
            quiet = next(iter(self._partials))
            self.tally.forgotten += len(self._partials[quiet].packets)
            self._drop(quiet)

    def _drop(self, block: Block) -> None:
        partial = self._partials.pop(block, None)
        if partial is not None:
            self._bytes -= partial.size

    def _try(self, block: Block, partial: Partial) -> None:
        announcement = self._harbour.announced.get(block.session)
        landing = self._harbour.landings.get(block.session)
        if announcement is None or block in self._working or (block.kind == Kind.BLOCK and landing is None):
            return
        accept: Callable[[bytes], bool]
        if landing is not None:
            length, accept = announcement.block_length(block.number), bound(landing.write, block.number)
        else:
            length, accept = announcement.index_length(block.number), bound(self._keep_index, announcement, block)
        self._working.add(block)
        packets = list(partial.packets.values())
        trial = Trial(packets, partial.needed, announcement.symbol_bytes, length, accept)
        self._workshop.attempt(trial, bound(self._tried, block))

    def _tried(self, block: Block, verdict: Verdict) -> None:
        self._working.discard(block)
        if verdict is Verdict.RIGHT:
            self._drop(block)
            self._advance(block)
            return
        self.tally.lies += verdict is Verdict.LIED
        partial = self._partials.get(block)
        if partial is None:
            return
        before = partial.size
        partial.lied() if verdict is Verdict.LIED else partial.short()
        self._bytes += partial.size - before
        if partial.ready:  # more came while it was tried
            self._try(block, partial)

    def _advance(self, block: Block) -> None:
        announcement, landing = self._harbour.announced.get(block.session), self._harbour.landings.get(block.session)
        if announcement is None:
            return
        if landing is None:
            parts = self._index.get(block.session, {})
            if len(parts) == len(announcement.index_blocks):
                index = b"".join(parts[number] for number in sorted(parts))
                self._workshop.do(bound(self._land, announcement, index), bound(self._landed, block.session))
            return
        landing.missing.discard(block.number)
        if self._progress:
            left = len(landing.missing) * announcement.block_bytes
            self._progress(max(0, announcement.stream_bytes - left), announcement.stream_bytes, "bytes")
        if landing.whole:
            self._finish(block.session)

    # ── the index ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keep_index(self, announcement: Announcement, block: Block, data: bytes) -> bool:
        right = sha256(data).digest() == announcement.index_blocks[block.number]
        if right:
            self._index.setdefault(block.session, {})[block.number] = data
        return right

    def _land(self, announcement: Announcement, index: bytes) -> Landing | BadInput:
        try:
            return Landing.begin(self._harbour.into, announcement, index, self._harbour.limits)
        except BadInput as why:
            return why

    def _landed(self, session: bytes, landing: Landing | BadInput) -> None:
        self._index.pop(session, None)
        if isinstance(landing, BadInput):
            self._harbour.refuse(session, landing)
            for block in [block for block in self._partials if block.session == session]:
                self._drop(block)
            return
        self._harbour.landings[session] = landing
        for block, partial in list(self._partials.items()):
            if block.session == session and block.kind == Kind.BLOCK and partial.ready:
                self._try(block, partial)
        if landing.whole:
            self._finish(session)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, session: bytes) -> None:
        self._workshop.do(self._harbour.landings[session].finish, bound(self._finished, session))

    def _finished(self, session: bytes, wrong: list[str]) -> None:
        if wrong:
            return  # its blocks are missing again
        self.whole += 1
        outcome = self._harbour.moor(session)
        if self._on_whole:
            self._on_whole(outcome)


def _length(packet: Packet, announcement: Announcement) -> int | None:
    """The bytes of the block that a packet is of; None where there is no such block."""
    if packet.kind == Kind.INDEX and packet.block < len(announcement.index_blocks):
        return announcement.index_length(packet.block)
    if packet.kind == Kind.BLOCK and packet.block < announcement.blocks:
        return announcement.block_length(packet.block)
    return None
