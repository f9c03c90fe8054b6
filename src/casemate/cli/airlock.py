"""`casemate airlock`: the only door, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, printable, table

_UNITS = {"K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "KI": 2**10, "MI": 2**20, "GI": 2**30, "TI": 2**40}


@click.group()
def airlock() -> None:
    """The only door: what comes in, what goes out, and who decides."""


@airlock.command("in")
@click.argument("source", type=EXISTING)
@click.option("--project", required=True, help="Project that it goes to; you must be a member.")
@click.option("--reason", required=True, help="Why it is needed; the deciders read it.")
@click.option("--kind", type=click.Choice(["dataset", "documents", "model", "software"]), help="What a folder is.")
@click.option("--name", help="Name of the entry that a folder becomes; the folder's name when absent.")
@click.option("--marking", help="Marking of a folder; a bundle has its own.")
@click.option("--origin", default="courier", show_default=True, help="Where a folder comes from, in words.")
@click.option("--modality", default="imagery", show_default=True, help="What kind of data a folder holds.")
@click.option("--licence", default="", help="Licence or terms of a folder's content.")
@click.option("--exhaustive", multiple=True, metavar="CLASS", help="Every CLASS is labelled; may be repeated.")
@click.option("--pack", default="", help="The folder is this starter pack, whose list the officer signed.")
@click.option("--publisher-key", type=EXISTING, help="PEM key of the model.sig (OpenSSF model signing) in the folder.")
@click.option("--accept-markings", is_flag=True, help="Raise documents to the markings that are written in them.")
@click.option("--expect", default="", help="Digest of software.json, for --kind software.")
@acting
def airlock_in(
    caller: Caller, source: Path, project: str, reason: str, kind: str | None, name: str | None, marking: str | None,
    origin: str, modality: str, licence: str, exhaustive: tuple[str, ...], pack: str, publisher_key: Path | None,
    accept_markings: bool, expect: str,
) -> None:  # fmt: skip
    """Bring SOURCE to the airlock: a bundle of another site (or one volume of it), or a courier's folder."""
    factory = caller.factory()
    with caller.progress(f"airlock in {source.name}") as progress:
        if factory.is_bundle(source):
            row = factory.take_bundle(source, project=project, reason=reason, progress=progress)
        elif marking is None or (kind is None and not pack):
            raise click.UsageError("a folder that is no bundle needs --marking, and --kind or --pack")
        else:
            row = factory.take_folder(
                source, kind=kind or "model", name=name or pack or source.resolve().name, project=project,
                marking=marking, reason=reason, origin=origin, modality=modality, licence=licence,
                exhaustive=frozenset(exhaustive) or None, pack=pack, expect=expect,
                publisher_key=publisher_key, accept_markings=accept_markings, progress=progress,
            )  # fmt: skip
    caller.emit(row, lambda: _show_order(row))


@airlock.command("out")
@click.argument("entries", nargs=-1, required=True)
@click.option("--to", required=True, help="The site that it is for.")
@click.option("--reason", required=True, help="Why it is sent; the deciders read it.")
@acting
def airlock_out(caller: Caller, entries: tuple[str, ...], to: str, reason: str) -> None:
    """Ask for ENTRIES to be sent to another site; a release goes with its model, report and decisions."""
    row = caller.factory().ask_out(entries, to=to, reason=reason)
    caller.emit(row, lambda: _show_order(row))


@airlock.command("lower")
@click.argument("entry")
@click.option("--to", "marking", required=True, help="The lower marking.")
@click.option("--project", required=True, help="Project of the lowered copy.")
@click.option("--reason", required=True, help="Why it may be lowered; the deciders read it.")
@acting
def airlock_lower(caller: Caller, entry: str, marking: str, project: str, reason: str) -> None:
    """Ask for a copy of ENTRY at a lower marking."""
    row = caller.factory().ask_lower(entry, marking=marking, project=project, reason=reason)
    caller.emit(row, lambda: _show_order(row))


@airlock.command("waiting")
@click.option("--all", "everything", is_flag=True, help="Orders that are done or refused too.")
@acting
def airlock_waiting(caller: Caller, everything: bool) -> None:
    """The orders that wait for a decision, or for being carried out."""
    rows = caller.factory().waiting(everything=everything)
    columns = ("id", "order", "marking", "asked_by", "state", "missing")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@airlock.command("report")
@click.argument("order")
@click.argument("folder", type=PATH)
@acting
def airlock_report(caller: Caller, order: str, folder: Path) -> None:
    """Write the inspection reports of ORDER into FOLDER: pages to read and file, JSON, signatures."""
    shown = caller.factory().order_reports(order, folder)
    caller.emit(shown, lambda: facts(shown))


@airlock.command("release")
@click.argument("order")
@click.option("--reason", required=True, help="What you read and why you decide so.")
@click.option("--refuse", is_flag=True, help="Sign a no.")
@click.option("--role", type=click.Choice(["sponsor", "officer"]), help="As whom, if you hold both roles.")
@acting
def airlock_release(caller: Caller, order: str, reason: str, refuse: bool, role: str | None) -> None:
    """Sign your decision on ORDER; not for who asked, nor for the author of what passes."""
    row = caller.factory().decide(order, reason=reason, refuse=refuse, role=role)
    caller.emit(row, lambda: _show_order(row))


@airlock.command("take")
@click.argument("order")
@acting
def airlock_take(caller: Caller, order: str) -> None:
    """Carry out a decided ORDER to come in, to lower, or to restore."""
    factory = caller.factory()
    with caller.progress("airlock take") as progress:
        rows = factory.carry_out(order, progress=progress)
    columns = ("id", "kind", "name", "project", "marking")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@airlock.command("seal")
@click.argument("order")
@click.argument("folder", type=PATH)
@click.option("--volume-size", metavar="SIZE", help="Split into volumes of at most SIZE, such as 700M or 4G.")
@click.option("--tar", "as_tar", is_flag=True, help="Volumes (or the whole) as tar archives.")
@acting
def airlock_seal(caller: Caller, order: str, folder: Path, volume_size: str | None, as_tar: bool) -> None:
    """Seal the bundle of a decided ORDER into FOLDER; stopped, it goes on where it was."""
    factory, volume_bytes = caller.factory(), size_of(volume_size) if volume_size else None
    with caller.progress("airlock seal") as progress:
        sealed = factory.seal(order, folder, volume_bytes=volume_bytes, as_tar=as_tar, progress=progress)
    caller.emit(sealed, lambda: facts(sealed))


@airlock.command("verify")
@click.argument("source", type=EXISTING, nargs=-1, required=True)
@acting
def airlock_verify(caller: Caller, source: tuple[Path, ...]) -> None:
    """Check every byte of a bundle (all its volumes, if it has several) without taking anything in."""
    factory = caller.factory()
    with caller.progress("airlock verify") as progress:
        shown = factory.verify_bundle(source, progress=progress)
    caller.emit(shown, lambda: facts(shown))


@airlock.command("inspect")
@click.argument("source", type=EXISTING)
@click.option("--kind", type=click.Choice(["dataset", "documents", "model"]), default="documents", show_default=True)
@click.option("--modality", default="imagery", show_default=True)
@click.option("--out", type=PATH, help="Write the report there: a page, JSON, its signature.")
@acting
def airlock_inspect(caller: Caller, source: Path, kind: str, modality: str, out: Path | None) -> None:
    """Inspect SOURCE and take nothing in; exit 3 if anything was found."""
    factory = caller.factory()
    with caller.progress(f"inspect {source.name}") as progress:
        shown = factory.inspect(source, kind=kind, modality=modality, out=out, progress=progress)
    caller.emit(shown, lambda: _show_report(shown))
    if shown["verdict"] != "clean":
        raise click.exceptions.Exit(3)


@airlock.command("convert")
@click.argument("source", type=EXISTING)
@click.argument("target", type=PATH)
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def airlock_convert(source: Path, target: Path, as_json: bool) -> None:
    """Read the tensors of a PyTorch checkpoint SOURCE in a confined process, and write them to TARGET (safetensors)."""
    from casemate.airlock.convert import convert

    made = convert(source, target)
    columns = ("name", "dtype", "shape")
    rows = [{column: getattr(tensor, column) for column in columns} for tensor in made.tensors]
    shown = {"tensors": rows, "left_out": list(made.left_out)}
    caller = Caller(Path(), None, None, None, as_json)
    caller.emit(shown, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@airlock.command("receipts")
@click.option("--read", "source", type=EXISTING, help="Reconcile receipts that came back: a file or a folder of them.")
@click.option("--write", "folder", type=PATH, help="Write the receipts for a site there (with --for).")
@click.option("--for", "peer", help="The site whose receipts are written.")
@acting
def airlock_receipts(caller: Caller, source: Path | None, folder: Path | None, peer: str | None) -> None:
    """Receipts given and received, and bundles that still wait for theirs."""
    factory = caller.factory()
    if (folder is None) != (peer is None):
        raise click.UsageError("--write and --for go together")
    if folder is not None and peer is not None:
        written = factory.write_receipts(peer, folder)
        caller.emit(written, lambda: facts(written))
        return
    rows = factory.read_receipts(source) if source else factory.receipts()
    columns = ("direction", "peer", "marking", "sequence", "outcome", "at", "reason")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@airlock.command("notice")
@click.argument("file", type=EXISTING)
@acting
def airlock_notice(caller: Caller, file: Path) -> None:
    """Verify a notice of recall from another site, and name the entries here that it is about."""
    shown = caller.factory().notice(file)
    columns = ("id", "kind", "name")

    def show() -> None:
        facts({key: value for key, value in shown.items() if key != "here"})
        table(columns, [[entry[c] for c in columns] for entry in shown["here"]])

    caller.emit(shown, show)


@airlock.group("peers", invoke_without_command=True)
@acting
def airlock_peers(caller: Caller) -> None:
    """The sites that this one deals with, and what passed."""
    if click.get_current_context().invoked_subcommand:
        return
    rows = caller.factory().peers()
    columns = ("name", "directions", "ceiling", "taken_in", "sent")
    caller.emit(rows, lambda: table(columns, [[_listed(row[c]) for c in columns] for row in rows]))


@airlock_peers.command("add")
@click.argument("name")
@click.option("--officer-key", type=EXISTING, required=True, help="Public key of that site's officer.")
@click.option("--up-to", "limit", metavar="MARKING", required=True, help="Nothing above it goes there or is taken.")
@click.option(
    "--direction", "directions", multiple=True, type=click.Choice(["in", "out"]), required=True, help="May be repeated."
)
@click.option("--reason", required=True, help="Why; it goes into the journal.")
@acting
def airlock_peers_add(
    caller: Caller, name: str, officer_key: Path, limit: str, directions: tuple[str, ...], reason: str
) -> None:
    """Name another site, or change what is said of it. Officers only."""
    row = caller.factory().add_peer(
        name, officer_key=officer_key, ceiling=limit, directions=frozenset(directions), reason=reason
    )
    caller.emit(row, lambda: facts(row))


@airlock_peers.command("remove")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it goes into the journal.")
@acting
def airlock_peers_remove(caller: Caller, name: str, reason: str) -> None:
    """Deal with a site no more. Officers only."""
    row = caller.factory().remove_peer(name, reason=reason)
    caller.emit(row, lambda: facts(row))


def size_of(text: str) -> int:
    """Bytes of a size such as 700M, 4G or 650Mi."""
    number = text.rstrip("BbKkMmGgTtIi")
    unit = text[len(number) :].upper().removesuffix("B")
    try:
        size = float(number) * (_UNITS[unit] if unit else 1)
    except (KeyError, ValueError) as why:
        raise click.BadParameter(f"expected a size such as 700M or 4G, found {text!r}") from why
    return int(size)


def _listed(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _show_order(row: dict[str, Any]) -> None:
    shown = {key: _listed(value) for key, value in row.items() if key not in {"facts", "decisions"}}
    facts({key: value for key, value in shown.items() if value != ""})
    for decision in row.get("decisions", ()):
        click.echo(f"  {decision['decision']} by {printable(decision['by'])} as {decision['role']}: "
                   f"{printable(decision['reason'])}")  # fmt: skip


def _show_report(shown: dict[str, Any]) -> None:
    columns = ("path", "type", "verdict", "finding")
    table(columns, [[row[c] for c in columns] for row in shown["files"] if row["finding"]])
    facts({key: value for key, value in shown.items() if key != "files"})


COMMANDS = (airlock,)
