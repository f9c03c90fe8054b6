"""`casemate list`, `show`, `get`, `lineage`, `journal`: reading, each through the reader's clearance."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from casemate.cli.options import PATH, Caller, acting, facts, printable, table


@click.command("list")
@click.option("--kind", help="Only data sets, models, reports, releases…")
@click.option("--project", help="Only this project's.")
@click.option("--text", help="Only names with this text.")
@acting
def list_(caller: Caller, kind: str | None, project: str | None, text: str | None) -> None:
    """List the entries that you may read."""
    rows = caller.factory().entries(kind=kind, project=project, text=text)
    columns = ("id", "kind", "name", "project", "marking", "author", "created")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@click.command()
@click.argument("entry")
@acting
def show(caller: Caller, entry: str) -> None:
    """Everything about one entry."""
    shown = caller.factory().show(entry)
    caller.emit(shown, lambda: facts(shown))


@click.command()
@click.argument("entry")
@click.argument("folder", type=PATH)
@acting
def get(caller: Caller, entry: str, folder: Path) -> None:
    """Write the files of ENTRY into FOLDER, which must not exist, each byte verified; a release with its model."""
    shown = caller.factory().get(entry, folder)
    caller.emit(shown, lambda: facts(shown))


@click.command()
@click.argument("entry")
@acting
def lineage(caller: Caller, entry: str) -> None:
    """What ENTRY was made from, and what was made from it."""
    graph = caller.factory().lineage(entry)
    caller.emit(graph, lambda: click.echo("\n".join(printable(line) for line in graph["tree"])))


@click.command()
@click.option("--limit", default=50, show_default=True, help="How many of the latest lines.")
@click.option("--head", is_flag=True, help="Print the chain's head instead, to keep elsewhere. Officers only.")
@acting
def journal(caller: Caller, limit: int, head: bool) -> None:
    """The acts and refusals that you may read, the latest last."""
    factory = caller.factory()
    if head:
        shown = factory.journal_head()
        caller.emit(shown, lambda: facts(shown))
        return
    rows = factory.journal(limit=limit)
    caller.emit(rows, lambda: journal_table(rows))


def journal_table(rows: list[dict[str, Any]]) -> None:
    """Print lines of the journal."""
    columns = ("time", "actor", "verb", "subject", "outcome", "reason")
    table(columns, [[str(row[c])[:19] if c == "time" else row[c] for c in columns] for row in rows])


COMMANDS = (list_, show, get, lineage, journal)
