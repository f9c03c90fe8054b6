"""`casemate search` and `casemate index`: finding passages of documents, and the index that finds them."""

from __future__ import annotations

import sys
from typing import Any

import click

from casemate.cli.options import Caller, acting, printable, table


@click.command()
@click.argument("query")
@click.option("--limit", default=10, show_default=True, help="How many passages at most.")
@click.option("--project", "projects", multiple=True, help="Only document sets of this project; may be repeated.")
@click.option("--document", "documents", multiple=True, help="Only this document set or document; may be repeated.")
@click.option("--kind", "kinds", multiple=True, help="Only documents of this kind (pdf, docx, html…); may be repeated.")
@click.option(
    "--language", "languages", multiple=True, help="Only passages in this language (fr, en); may be repeated."
)
@click.option("--since", metavar="DATE", help="Only documents of this date (YYYY-MM-DD) or later.")
@click.option("--until", metavar="DATE", help="Only documents of this date (YYYY-MM-DD) or earlier.")
@acting
def search(caller: Caller, query: str, **wish: Any) -> None:
    """Find the passages that answer QUERY ("-": read it from standard input) best, by their words and their meaning."""
    words = sys.stdin.read() if query == "-" else query
    found = caller.factory().search(words, **wish)
    caller.emit(found, lambda: _print(found))


@click.group()
def index() -> None:
    """The index of passages: one shard a marking, made from the catalog."""


@index.command()
@acting
def status(caller: Caller) -> None:
    """For each marking of which you see documents: what the index holds, and whether that is all."""
    rows = caller.factory().index_status()
    caller.emit(rows, lambda: _status(rows))


@index.command()
@acting
def update(caller: Caller) -> None:
    """Bring the index up to date; a search does so too."""
    factory = caller.factory()
    with caller.progress("index update") as progress:
        rows = factory.freshen(progress=progress)
    caller.emit(rows, lambda: _status(rows))


@index.command()
@acting
def rebuild(caller: Caller) -> None:
    """Make the index again from the catalog, as far as you see it; searches go on meanwhile."""
    factory = caller.factory()
    with caller.progress("index rebuild") as progress:
        rows = factory.rebuild_index(progress=progress)
    caller.emit(rows, lambda: _status(rows))


def _print(found: dict[str, Any]) -> None:
    for hit in found["hits"]:
        place = f", page {hit['page']}" if hit["page"] else ""
        title = printable(hit["title"] or hit["document"])
        click.echo(f"{hit['rank']:>2}. [{hit['marking']}] {title}{place}  ({hit['confidence']:.0%})")
        click.echo(f"    {printable(' '.join(hit['text'].split()))[:300]}")
        click.echo(f"    {hit['passage']}")
    if not found["hits"]:
        click.echo("Nothing that you may read answers this.")
    if found["behind"]:
        click.echo("The index is being written: what came in a moment ago may be missing.", err=True)


def _status(rows: list[dict[str, Any]]) -> None:
    columns = ("marking", "document_sets", "passages", "unreadable", "up_to_date", "embedder")
    table(columns, [[str(row[column]) for column in columns] for row in rows])


COMMANDS = (search, index)
