"""`casemate data`: what enters through the airlock and is learned from."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts


@click.group()
def data() -> None:
    """Data sets."""


@data.command("import")
@click.argument("source", type=EXISTING)
@click.option("--name", help="Name of the data set; the folder's name when absent.")
@click.option("--marking", required=True, help="Marking of the data, such as DR or 'S//ALPHA//SPÉCIAL FRANCE'.")
@click.option("--project", required=True, help="Project that it belongs to; you must be a member.")
@click.option("--modality", default="imagery", show_default=True, help="What kind of data it is.")
@click.option("--taxonomy", type=EXISTING, help="TOML tree of classes; the shipped 'overhead' when absent.")
@click.option("--rename", multiple=True, metavar="LABEL=CLASS", help="Read LABEL as CLASS; may be repeated.")
@click.option("--exhaustive", multiple=True, metavar="CLASS", help="Every CLASS is labelled; may be repeated.")
@click.option("--licence", default="", help="Licence or terms of the data; it goes into the dossier.")
@acting
def data_import(
    caller: Caller, source: Path, name: str | None, marking: str, project: str, modality: str, taxonomy: Path | None,
    rename: tuple[str, ...], exhaustive: tuple[str, ...], licence: str,
) -> None:  # fmt: skip
    """Take the folder SOURCE in: quarantine, inspection, reading, store, catalog."""
    factory = caller.factory()
    with caller.progress(f"import {source.name}") as progress:
        entry = factory.import_dataset(
            source, name=name or source.resolve().name, marking=marking, project=project, modality=modality,
            taxonomy=taxonomy, rename=dict(_renaming(pair) for pair in rename),
            exhaustive=frozenset(exhaustive) or None, licence=licence, progress=progress,
        )  # fmt: skip
    caller.emit(entry, lambda: facts(entry))


@data.command("sample")
@click.argument("name", type=click.Choice(["answers-fr", "assistant", "print-fr", "retrieval-fr", "security"]))
@click.argument("folder", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def data_sample(name: str, folder: Path, as_json: bool) -> None:
    """Write the small evaluation set NAME, which comes with Casemate, into FOLDER, to be imported from there."""
    from casemate.factory.datasets import write_sample

    made = write_sample(name, folder)
    Caller(Path(), None, None, None, as_json).emit(made, lambda: facts(made))


def _renaming(pair: str) -> tuple[str, str]:
    label, equals, node = pair.rpartition("=")
    if not equals or not label or not node:
        raise click.BadParameter(f"expected LABEL=CLASS, found {pair!r}", param_hint="--rename")
    return label, node


COMMANDS = (data,)
