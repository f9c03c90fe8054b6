"""Receive bundles from a one-way link in UDP packets.

Rules. Nothing is ever sent. One thread empties the socket and does nothing slow; decoding, checking and writing happen
beside it, a few blocks at a time. Everything that comes is held against the session's announcement; memory is bounded,
and when it is short the block that was quiet longest is forgotten, to be sent again. What is whole is verified against
its index, and still trusted by nobody: the airlock checks the bundle's signature.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from casemate.airlock.diode.address import Address, bound_to, listening
from casemate.airlock.diode.assembly import Assembly
from casemate.airlock.diode.harbour import open_harbour
from casemate.airlock.diode.limits import LinkLimits
from casemate.airlock.diode.outcome import Outcome, Received
from casemate.airlock.diode.packet import PACKET_BYTES_MAX, unpack
from casemate.airlock.diode.patience import Patience
from casemate.airlock.diode.workshop import Workshop
from casemate.store import Progress

_BATCH = 256
_WAIT_S = 0.2
_WORKING_S = 0.005


def receive(
    address: Address,
    into: Path,
    *,
    patience: Patience | None = None,
    limits: LinkLimits | None = None,
    progress: Progress | None = None,
    on_listening: Callable[[Address], None] | None = None,
    on_whole: Callable[[Outcome], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Received:
    """Receive into a folder; `on_listening` is told the address that was bound, `on_whole` of each whole bundle."""
    patience, limits = patience or Patience(), limits or LinkLimits()
    # bound first: what comes while earlier bundles are verified waits in the socket's buffer
    with closing(listening(address)) as door, open_harbour(into, limits) as harbour:
        if on_listening:
            on_listening(bound_to(door))
        with Workshop() as workshop:
            assembly = Assembly(harbour, workshop, progress=progress, on_whole=on_whole)
            _listen(door, assembly, workshop, patience, clock)
            assembly.give_up_waiting()
        return Received(harbour.outcomes(), harbour.reasons(), assembly.tally)


def _listen(
    door: socket.socket, assembly: Assembly, workshop: Workshop, patience: Patience, clock: Callable[[], float]
) -> None:
    started = heard = clock()
    count = 0
    buffer = memoryview(bytearray(PACKET_BYTES_MAX + 1))
    while True:
        _empty(door, buffer, assembly)
        workshop.gather()
        now = clock()
        if workshop.busy or assembly.tally.ours > count:
            count, heard = assembly.tally.ours, now
        if patience.over(whole=assembly.whole, idle_s=now - heard, elapsed_s=now - started):
            return
        select.select([door], [], [], _WORKING_S if workshop.busy else min(_WAIT_S, patience.idle_s))


def _empty(door: socket.socket, buffer: memoryview, assembly: Assembly) -> None:
    for _ in range(_BATCH):
        try:
            size = door.recv_into(buffer, 0, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        packet = unpack(buffer[:size]) if size < len(buffer) else None
        if packet is None:
            assembly.tally.not_ours += 1
        else:
            assembly.take(packet)
