"""`casemate docs`, `casemate ocr`: documents taken in, listed and shown; the text of one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, printable, table


@click.group()
def docs() -> None:
    """Documents: read into passages that answers cite."""


@docs.command("import")
@click.argument("source", type=EXISTING)
@click.option("--name", help="Name of the document set; the folder's name when absent.")
@click.option("--marking", required=True, help="Marking of the documents, such as DR or 'S//ALPHA//SPÉCIAL FRANCE'.")
@click.option("--project", required=True, help="Project that they belong to; you must be a member.")
@click.option("--licence", default="", help="Licence or terms of the documents.")
@click.option("--accept-markings", is_flag=True, help="Raise the set to the markings that its documents say.")
@click.option("--ocr", default="", help="Release that recognises print; the newest in force when absent.")
@acting
def docs_import(
    caller: Caller, source: Path, name: str | None, marking: str, project: str, licence: str, accept_markings: bool,
    ocr: str,
) -> None:  # fmt: skip
    """Take the documents in SOURCE, a folder or a file: quarantine, inspection, reading, store, catalog."""
    factory = caller.factory()
    with caller.progress(f"import {source.name}") as progress:
        entry = factory.import_documents(
            source, name=name or source.resolve().name, marking=marking, project=project, licence=licence,
            accept_markings=accept_markings, ocr=ocr, progress=progress,
        )  # fmt: skip
    caller.emit(entry, lambda: facts(entry))


@docs.command("list")
@click.option("--project", help="Of this project only.")
@acting
def docs_list(caller: Caller, project: str | None) -> None:
    """List the document sets that you may read."""
    rows = caller.factory().entries(kind="documents", project=project)
    keys = ("documents", "passages", "pages", "refused")
    caller.emit(rows, lambda: table(
        ("id", "name", "project", "marking", *keys),
        [(r["id"][:10], r["name"], r["project"], r["marking"], *(r["facts"].get(k, "") for k in keys)) for r in rows],
    ))  # fmt: skip


@docs.command("show")
@click.argument("entry")
@acting
def docs_show(caller: Caller, entry: str) -> None:
    """Show the documents of the set ENTRY: kind, language, pages, markings that are written in them, notes."""
    rows = caller.factory().documents(entry)
    caller.emit(rows, lambda: table(
        ("id", "kind", "language", "pages", "ocr", "passages", "written", "path", "notes"),
        [(r["id"][:10], r["kind"], r["language"], r["pages"], r["ocr"], r["passages"], _written(r), r["path"],
          "; ".join(r["notes"])) for r in rows],
    ))  # fmt: skip


@docs.command("page")
@click.argument("entry")
@click.argument("passage")
@click.option("--out", type=PATH, help="Where the page goes as a PNG, with the place marked on it.")
@acting
def docs_page(caller: Caller, entry: str, passage: str, out: Path | None) -> None:
    """Show PASSAGE of the set ENTRY; with --out, its page too (of a PDF or a picture)."""
    found = caller.factory().passage(entry, passage, drawn=out is not None)
    png = found.pop("png")
    if out is not None:
        if png is None:
            raise click.UsageError(
                f"--out: expected a passage of a PDF or a picture, found {found['document']['kind']}"
            )
        with out.open("xb") as stream:
            stream.write(png)
        found["page"] = str(out)
    caller.emit(found, lambda: _show_passage(found))


@click.command("ocr")
@click.argument("file", type=EXISTING)
@click.option("--marking", required=True, help="Marking of the file; the text carries its join with the model's.")
@click.option("--release", default="", help="Release that recognises print; the newest in force when absent.")
@acting
def ocr_(caller: Caller, file: Path, marking: str, release: str) -> None:
    """Print the text of FILE (a scan, or any kind of document that is read); nothing of it is kept."""
    factory = caller.factory()
    with caller.progress(f"read {file.name}") as progress:
        found = factory.read_text(file, marking=marking, ocr=release, progress=progress)
    caller.emit(found, lambda: _show_text(found))


def _written(row: dict[str, Any]) -> str:
    return ", ".join(sorted({str(found["marking"]) for found in row["written_markings"]}))


def _show_passage(found: dict[str, Any]) -> None:
    passage, document = found["passage"], found["document"]
    place = f", page {passage['page']}" if passage["page"] else ""
    facts({"marking": found["marking"], "document": document["path"], "title": passage["title"]})
    click.echo(f"\n{printable(passage['heading'])}{place}\n")
    for line in passage["text"].split("\n"):
        click.echo(printable(line))


def _show_text(found: dict[str, Any]) -> None:
    click.echo(found["marking"])
    for line in found["text"].split("\n"):
        click.echo(printable(line))
    click.echo(found["marking"])
    for note in found["notes"]:
        click.echo(f"note: {printable(note)}", err=True)


COMMANDS = (docs, ocr_)
