"""Which bundles passed on which channel: the numbers that no raise of a marking and no reader's clearance may hide.

Rules. A channel is a peer, a direction and the marking that its bundles were sealed at; each number of it is taken
once, in the same transaction as the entries that passed. Entries of a channel may be raised later and leave their
readers' sight: then this table still knows that their number is spent, so that it is neither given again nor taken in
again. Whoever asks must be able to read the channel's marking; that one of its numbers stands for something raised
since is all that it can tell them (ADR 0006).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from casemate.catalog import schema
from casemate.catalog.site import Reader, Site, note
from casemate.errors import NameTaken
from casemate.markings import Marking


@dataclass(frozen=True)
class Channel:
    """A peer, a direction (`in` or `out`), and the marking at which its bundles were sealed."""

    peer: str
    direction: str
    marking: Marking

    def __str__(self) -> str:
        return f"{self.direction} {self.peer} at {self.marking}"


@dataclass(frozen=True)
class Passage:
    """One bundle of a channel: its number, the SHA-256 (hex) of its manifest and of the one before it."""

    channel: Channel
    sequence: int
    manifest: str
    previous: str


def add(connection: Connection, site: Site, passage: Passage, by: Reader) -> None:
    """Spend a number of a channel; NameTaken if it is spent."""
    channel = passage.channel
    marking = site.admit_from(channel.marking, by, thing=f"channel {channel}")
    table = schema.passage
    row = {
        "peer": channel.peer, "direction": channel.direction, "marking": note(connection, marking),
        "sequence": passage.sequence, "manifest": passage.manifest, "previous": passage.previous,
    }  # fmt: skip
    key = [table.c[name] == row[name] for name in ("peer", "direction", "marking", "sequence")]
    if connection.execute(select(table.c.sequence).where(*key)).first() is not None:
        expected = f"a number that is free on channel {channel}"
        raise NameTaken(f"bundle {passage.sequence}", expected=expected, found="one that is spent")
    connection.execute(table.insert().values(row))


def of_channel(connection: Connection, site: Site, channel: Channel, reader: Reader) -> tuple[Passage, ...]:
    """Every bundle that passed on a channel, by number; none for who may not read the channel's marking."""
    table = schema.passage
    if str(channel.marking) not in site.seen_by(connection, reader):
        return ()
    where = (
        table.c.peer == channel.peer,
        table.c.direction == channel.direction,
        table.c.marking == str(channel.marking),
    )
    rows = connection.execute(select(table).where(*where).order_by(table.c.sequence)).all()
    return tuple(Passage(channel, row.sequence, row.manifest, row.previous) for row in rows)
