"""`casemate spill`: something was marked too low."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import PATH, Caller, acting, facts


@click.command()
@click.argument("entry")
@click.option("--raise", "marking", metavar="MARKING", help="The marking that it should have had.")
@click.option("--undo", is_flag=True, help="ENTRY is a spill: ask for the markings before it; two people decide.")
@click.option("--reason", required=True, help="What happened; it stays as high as the new marking.")
@click.option("--out", type=PATH, help="New folder for the account and the notices of recall (with --raise).")
@acting
def spill(caller: Caller, entry: str, marking: str | None, undo: bool, reason: str, out: Path | None) -> None:
    """ENTRY was marked too low: raise it with all that was made from it, withdraw releases, write notices of recall."""
    if undo == (marking is not None) or (marking is not None and out is None):
        raise click.UsageError("expected --raise MARKING with --out FOLDER, or --undo")
    if undo:
        row = caller.factory().ask_restore(entry, reason=reason)
        caller.emit(row, lambda: facts({key: row[key] for key in ("id", "order", "state", "missing")}))
        return
    shown = caller.factory().spill(entry, raise_to=marking or "", reason=reason, into=out or Path())
    caller.emit(shown, lambda: facts(shown))


COMMANDS = (spill,)
