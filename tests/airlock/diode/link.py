"""A link for tests: packets in a list, and what becomes of them on the way."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path

from casemate.airlock.diode import Cut, LinkLimits, Missing, Received
from casemate.airlock.diode.assembly import Assembly
from casemate.airlock.diode.harbour import open_harbour
from casemate.airlock.diode.packet import unpack
from casemate.airlock.diode.send import packets_of
from casemate.airlock.diode.source import open_bundle, wanted
from casemate.airlock.diode.workshop import Workshop

_SENT: dict[tuple[bytes, Cut, Missing | None], tuple[bytes, ...]] = {}
SMALL = Cut(overhead=0.3, block_bytes=16 << 10, symbol_bytes=256, interleave=4)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a folder by its path."""
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def names(folder: Path) -> list[str]:
    """What lies in a folder."""
    return sorted(path.name for path in folder.iterdir())


def sent(folder: Path, cut: Cut = SMALL, only: Missing | None = None) -> list[bytes]:
    """The packets that a sender would send."""
    with open_bundle(folder, block_bytes=cut.block_bytes, symbol_bytes=cut.symbol_bytes) as bundle:
        key = (bundle.announcement.session, cut, only)  # the same bundle is sent by many tests: encode it once
        if key not in _SENT:
            _SENT[key] = tuple(packets_of(bundle, wanted(bundle, only), cut))
        return list(_SENT[key])


def received(packets: Iterable[bytes], into: Path, limits: LinkLimits | None = None) -> Received:
    """What a receiver makes of packets; it works off each batch before it takes the next, so that tests repeat."""
    into.mkdir(exist_ok=True)
    with open_harbour(into, limits or LinkLimits()) as harbour:
        with Workshop() as workshop:
            assembly = Assembly(harbour, workshop)
            for packet in packets:
                found = unpack(memoryview(packet))
                if found is None:
                    assembly.tally.not_ours += 1
                else:
                    assembly.take(found)
                    workshop.gather(wait=True)
            assembly.give_up_waiting()
        return Received(harbour.outcomes(), harbour.reasons(), assembly.tally)


def lossy(
    packets: Iterable[bytes],
    *,
    seed: int,
    loss: float = 0.05,
    twice: float = 0.02,
    flips: float = 0.02,
    reach: int = 50,
) -> list[bytes]:
    """Packets after a bad link: some lost, some twice, some with a bit flipped, each up to `reach` places too late."""
    chance = random.Random(seed)  # noqa: S311  a bad link, the same in every run
    arriving: list[tuple[float, bytes]] = []
    for place, packet in enumerate(packets):
        if chance.random() < loss:
            continue
        for _ in range(2 if chance.random() < twice else 1):
            arrived = flipped(packet, chance) if chance.random() < flips else packet
            arriving.append((place + chance.random() * reach, arrived))
    return [packet for _, packet in sorted(arriving, key=lambda pair: pair[0])]


def flipped(packet: bytes, chance: random.Random) -> bytes:
    """A packet with one bit turned."""
    bit = chance.randrange(len(packet) * 8)
    changed = bytearray(packet)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)
