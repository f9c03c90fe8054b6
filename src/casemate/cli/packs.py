"""`casemate pack`: starter packs of models, and Casemate's own software, for sites without Internet."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import PATH, Caller, acting, facts, table


@click.group()
def pack() -> None:
    """Starter packs: models and software fetched where there is a network, for sites where there is none."""


@pack.command("list")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def pack_list(as_json: bool) -> None:
    """The packs that Casemate knows: what is in them, under which licence, from where."""
    from casemate.factory.packing import known_packs

    rows = known_packs()
    columns = ("name", "title", "licence", "bytes", "origin")
    Caller(Path(), None, None, None, as_json).emit(
        rows, lambda: table(columns, [[r[c] for c in columns] for r in rows])
    )


@pack.command("build")
@click.argument("name")
@click.argument("folder", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def pack_build(name: str, folder: Path, as_json: bool) -> None:
    """Fetch and check the pack NAME (or a list in TOML) into FOLDER, on a machine with a network."""
    from casemate.factory.packing import build_pack

    caller = Caller(Path(), None, None, None, as_json)
    with caller.progress(f"pack {name}") as progress:
        made = build_pack(name, folder, progress=progress)
    caller.emit(made, lambda: facts(made))


@pack.command("check")
@click.argument("name")
@click.argument("folder", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def pack_check(name: str, folder: Path, as_json: bool) -> None:
    """Compare FOLDER with the list of the pack NAME (or a list in TOML), file by file."""
    from casemate.factory.packing import check_pack

    caller = Caller(Path(), None, None, None, as_json)
    with caller.progress(f"pack {name}") as progress:
        made = check_pack(name, folder, progress=progress)
    caller.emit(made, lambda: facts(made))


@pack.command("trust")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it goes into the journal.")
@acting
def pack_trust(caller: Caller, name: str, reason: str) -> None:
    """Sign the list of the pack NAME (or a list in TOML), so that it may come in. Officers only."""
    made = caller.factory().trust_pack(name, reason=reason)
    caller.emit(made, lambda: facts(made))


@pack.command("wheels")
@click.argument("folder", type=PATH)
@click.option("--source", type=PATH, default=Path(), show_default=True, help="A checkout of Casemate.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def pack_wheels(folder: Path, source: Path, as_json: bool) -> None:
    """Make a wheelhouse of Casemate itself in FOLDER: locked, hashed, with its bill of materials."""
    from casemate.factory.packing import build_wheels

    caller = Caller(Path(), None, None, None, as_json)
    with caller.progress("wheels") as progress:
        made = build_wheels(folder, source, progress=progress)
    caller.emit(made, lambda: facts(made))


COMMANDS = (pack,)
