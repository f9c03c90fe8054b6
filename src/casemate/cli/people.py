"""`casemate key`, `people`, `project`: who may act, and together with whom."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, read_passphrase, table

_ROLES = ["author", "approver", "sponsor", "officer"]


@click.group()
def key() -> None:
    """Your own key: it signs what you do."""


@key.command("new")
@click.argument("file", type=PATH)
@click.option("--passphrase-file", type=EXISTING, envvar="CASEMATE_PASSPHRASE_FILE", help="File with its passphrase.")
@click.option("--no-passphrase", is_flag=True, help="Leave the key unprotected; only for machines.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def key_new(file: Path, passphrase_file: Path | None, no_passphrase: bool, as_json: bool) -> None:
    """Make a key pair: FILE stays with you, FILE.pub goes to the officer."""
    from casemate.factory import new_key

    passphrase = None if no_passphrase else read_passphrase(passphrase_file, f"Passphrase of {file}", confirm=True)
    made = new_key(file, passphrase)
    Caller(Path(), file, passphrase_file, None, as_json).emit(made, lambda: facts(made))


@key.command("agent")
@click.argument("file", type=EXISTING)
@click.argument("socket", type=PATH)
@click.option("--hours", type=click.FloatRange(0.01, 24), default=8, show_default=True, help="It ends by itself then.")
@click.option("--passphrase-file", type=EXISTING, envvar="CASEMATE_PASSPHRASE_FILE", help="File with its passphrase.")
def key_agent(file: Path, socket: Path, hours: float, passphrase_file: Path | None) -> None:
    """Hold FILE unlocked at SOCKET, for you alone: then --key SOCKET asks for no passphrase."""
    from casemate.factory import serve_agent

    click.echo(f"signing for {file} at {socket} for {hours:g} h; Ctrl-C ends it", err=True)
    serve_agent(
        file, lambda: read_passphrase(passphrase_file, f"Passphrase of {file}"), socket, lifetime_s=hours * 3600
    )


@click.group()
def people() -> None:
    """The people of the site."""


@people.command("add")
@click.argument("name")
@click.option("--public-key", type=EXISTING, required=True, help="The person's FILE.pub.")
@click.option("--clearance", required=True, help="What they may read, such as 'DR//ALPHA//FRA'.")
@click.option("--role", "roles", multiple=True, type=click.Choice(_ROLES), help="May be repeated.")
@acting
def people_add(caller: Caller, name: str, public_key: Path, clearance: str, roles: tuple[str, ...]) -> None:
    """Admit a person: their clearance, their key and what it may sign. Officers only."""
    person = caller.factory().add_person(name, public_key=public_key, clearance=clearance, roles=frozenset(roles))
    caller.emit(person, lambda: facts(person))


@people.command("list")
@acting
def people_list(caller: Caller) -> None:
    """List the people of the site. Officers only."""
    rows = caller.factory().people()
    columns = ("name", "clearance", "roles", "key")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@people.command("revoke-key")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it goes into the journal.")
@acting
def people_revoke_key(caller: Caller, name: str, reason: str) -> None:
    """Withdraw trust from a person's key: nothing it signed is accepted any more. Officers only."""
    person = caller.factory().revoke_key(name, reason=reason)
    caller.emit(person, lambda: facts(person))


@click.group()
def project() -> None:
    """Projects: people who work together under one need-to-know."""


@project.command("add")
@click.argument("name")
@click.option("--marking", required=True, help="Marking of the project itself: who may know that it exists.")
@click.option("--member", "members", multiple=True, help="Name of a person; may be repeated.")
@acting
def project_add(caller: Caller, name: str, marking: str, members: tuple[str, ...]) -> None:
    """Open a project. Officers only."""
    made = caller.factory().add_project(name, marking=marking, members=frozenset(members))
    caller.emit(made, lambda: facts(made))


@project.command("list")
@acting
def project_list(caller: Caller) -> None:
    """List the projects that you may see."""
    rows = caller.factory().projects()
    columns = ("name", "marking", "members")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


COMMANDS = (key, people, project)
