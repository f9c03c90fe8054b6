"""Diodes: a sealed bundle over a link that goes one way, and what arrives at the other end of one.

Rules. Only a bundle that this site sealed, and that is on record, is sent. What arrives is laid in a folder and is
nobody's word: `airlock in` takes it from there, and checks everything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from casemate.airlock.bundle import read_head, verify_head
from casemate.airlock.diode import Address, Cut, Missing, Outcome, Patience, drop, pick_up, receive, send
from casemate.errors import BadInput, NotAllowed
from casemate.factory import peers
from casemate.factory.desk import Desk, Progress


def diode_send(
    desk: Desk, bundle: Path, *, to: str, rate_bits_per_s: float, overhead: float, only: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Send a sealed bundle over a one-way link; with `only`, the blocks that a receiver missed."""
    with desk.act("diode.send", f"bundle {bundle.name} to {to}"):
        address, missing = Address.parse(to), Missing.parse(only) if only else None
        _note(desk, bundle, to)
        cut = Cut(overhead=overhead)
        sent = send(bundle, address, rate_bits_per_s=rate_bits_per_s, cut=cut, only=missing, progress=progress)
        return {"to": to, "session": sent.session.hex(), "blocks": sent.blocks, "packets": sent.packets,
                "wire_bytes": sent.wire_bytes}  # fmt: skip


def diode_drop(
    desk: Desk, bundle: Path, outgoing: Path, *, only: str | None = None, progress: Progress | None = None
) -> dict[str, Any]:
    """Drop a sealed bundle, as files of one size, into the folder of a diode that carries files."""
    with desk.act("diode.send", f"bundle {bundle.name} into {outgoing.name}"):
        missing = Missing.parse(only) if only else None
        _note(desk, bundle, str(outgoing))
        done = drop(bundle, outgoing, only=missing, progress=progress)
        return {"to": str(outgoing), "session": done.session.hex(), "files": done.files, "file_bytes": done.file_bytes}


def diode_receive(
    desk: Desk, into: Path, *, listen: str | None = None, incoming: Path | None = None, idle_s: float = 30.0,
    progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Receive what comes over a one-way link, or pick it up from a folder, until it is whole or nothing more comes."""
    with desk.act("diode.receive", f"into {into.name}"):
        if (listen is None) == (incoming is None):
            raise BadInput(
                "diode", expected="an address to listen at, or a folder to pick up from", found="both or none"
            )
        patience = Patience(idle_s=idle_s)
        into.mkdir(parents=True, exist_ok=True)
        if incoming is not None:
            got = pick_up(incoming, into, patience=patience, progress=progress)
        else:
            got = receive(Address.parse(listen or ""), into, patience=patience, progress=progress)
        return {
            "bundles": [_told(outcome) for outcome in got.outcomes],
            "refused": list(got.refused),
            "packets": vars(got.tally),
        }


def _note(desk: Desk, bundle: Path, to: str) -> None:
    """The line in the journal of what is sent; refused unless this site sealed it and has it on record."""
    head = read_head(bundle)
    label = head.manifest.label
    verify_head(head, desk.trust, desk.now())
    peer = desk.exchange_policy().peer(label.destination, "out")
    for record in peers.bundles(desk, label.destination, "out"):
        if record.facts["manifest"] == head.digest.hex:
            peers.require_within(desk, peer, record.marking, record.name)  # raised since, if it carried a spill
            facts = {"to": to, "manifest": head.digest.hex}
            desk.note("diode.send", record.name, about=record, marking=record.marking, facts=facts)
            return
    raise NotAllowed(f"bundle {bundle.name}", expected="a bundle that this site sealed", found="none on record")


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "session": outcome.session.hex(), "folder": str(outcome.folder or ""), "blocks": outcome.blocks,
        "bytes": outcome.size, "missing": outcome.missing.to_text() if outcome.missing else "",
    }  # fmt: skip
