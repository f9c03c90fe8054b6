"""`casemate diode`: bundles over links that go one way."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.airlock import size_of
from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, table


@click.group()
def diode() -> None:
    """Bundles over links that go one way: UDP with forward error correction, or a diode that carries files."""


@diode.command("send")
@click.argument("bundle", type=EXISTING)
@click.option("--to", metavar="HOST:PORT", help="Receiver of the packets.")
@click.option("--drop", type=PATH, help="Folder of a diode that carries files, instead of packets.")
@click.option("--rate", default="80M", show_default=True, metavar="BITS", help="Bits a second, headers included.")
@click.option("--overhead", default=15.0, show_default=True, help="Repair symbols, in per cent.")
@click.option("--only", metavar="LINE", help="Send only what the receiver missed: the line that it printed.")
@acting
def diode_send(
    caller: Caller, bundle: Path, to: str | None, drop: Path | None, rate: str, overhead: float, only: str | None
) -> None:
    """Send the sealed BUNDLE; nothing comes back, and the receiver says what it missed."""
    if (to is None) == (drop is None):
        raise click.UsageError("expected --to or --drop")
    factory = caller.factory()
    with caller.progress(f"diode send {bundle.name}") as progress:
        if drop is not None:
            done = factory.diode_drop(bundle, drop, only=only, progress=progress)
        else:
            done = factory.diode_send(
                bundle,
                to=to or "",
                rate_bits_per_s=size_of(rate),
                overhead=overhead / 100,
                only=only,
                progress=progress,
            )
    caller.emit(done, lambda: facts(done))


@diode.command("receive")
@click.argument("folder", type=PATH)
@click.option("--listen", metavar="HOST:PORT", help="Address to receive packets at.")
@click.option("--drop", type=EXISTING, help="Folder of a diode that carries files, instead of packets.")
@click.option("--idle", "idle_s", default=30.0, show_default=True, help="Stop after so many seconds of silence.")
@acting
def diode_receive(caller: Caller, folder: Path, listen: str | None, drop: Path | None, idle_s: float) -> None:
    """Receive bundles into FOLDER, for 'airlock in'; exit 6 while something is missing."""
    factory = caller.factory()
    with caller.progress("diode receive") as progress:
        got = factory.diode_receive(folder, listen=listen, incoming=drop, idle_s=idle_s, progress=progress)
    columns = ("folder", "bytes", "blocks", "missing")
    caller.emit(got, lambda: table(columns, [[one[c] for c in columns] for one in got["bundles"]]))
    if not got["bundles"] or any(one["missing"] for one in got["bundles"]):
        raise click.exceptions.Exit(6)


COMMANDS = (diode,)
