"""`casemate init`, `doctor`, `verify`, `policy`: the site itself."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import EXISTING, PATH, Caller, acting, facts, read_passphrase, table


@click.command()
@click.argument("folder", type=PATH)
@click.option("--name", help="Name of the site; its folder's name when absent.")
@click.option("--policy", default="fr", show_default=True, help="Markings: fr, nato, generic, or a TOML file.")
@click.option("--ceiling", required=True, help="Nothing above this marking may enter the site.")
@click.option("--officer", required=True, help="Name of the security officer, who signs the site's policies.")
@click.option("--officer-key", type=PATH, required=True, help="The officer's key file; made when it does not exist.")
@click.option("--clearance", help="The officer's clearance; the ceiling when absent.")
@click.option("--passphrase-file", type=EXISTING, envvar="CASEMATE_PASSPHRASE_FILE", help="Its passphrase.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def init(
    folder: Path, name: str | None, policy: str, ceiling: str, officer: str, officer_key: Path,
    clearance: str | None, passphrase_file: Path | None, as_json: bool,
) -> None:  # fmt: skip
    """Make a site in FOLDER: its policies signed by the officer, an empty catalog, its own key."""
    from casemate.factory import init_site

    made = init_site(
        folder, name=name or folder.resolve().name, policy=policy, ceiling=ceiling, officer=officer,
        officer_key=officer_key, clearance=clearance,
        passphrase=lambda new: read_passphrase(passphrase_file, f"Passphrase of {officer_key}", confirm=new),
    )  # fmt: skip
    Caller(folder, officer_key, passphrase_file, None, as_json).emit(made, lambda: facts(made))


@click.command()
@click.option("--site", type=PATH, envvar="CASEMATE_SITE", default=".", show_default=True, help="Folder of the site.")
@click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
def doctor(site: Path, as_json: bool) -> None:
    """Say what is installed, what is missing, and what could reach outside."""
    from casemate.factory.doctor import examine

    checks = examine(site)
    rows = [(check.topic, check.status, check.detail) for check in checks]
    Caller(site, None, None, None, as_json).emit(
        [{"topic": c.topic, "status": c.status, "detail": c.detail} for c in checks],
        lambda: table(("topic", "status", "detail"), rows),
    )
    if any(check.status == "missing" for check in checks):
        raise click.exceptions.Exit(6)


@click.command()
@acting
def verify(caller: Caller) -> None:
    """Check every byte in the store, the journal's chain, the policies' signatures and the releases."""
    factory = caller.factory()
    with caller.progress("verify") as progress:
        checks = factory.verify(progress=progress)
    columns = ("what", "verdict", "detail")
    caller.emit(checks, lambda: table(columns, [[check[c] for c in columns] for check in checks]))
    if any(check["verdict"] != "ok" for check in checks):
        raise click.exceptions.Exit(4)


@click.group()
def policy() -> None:
    """The site's signed policies: markings, gates, trust, exchange; and the assistant's prompts."""


@policy.command("show")
@click.argument("name", type=click.Choice(["markings", "gates", "gates-language", "trust", "exchange", "prompts"]))
@acting
def policy_show(caller: Caller, name: str) -> None:
    """Print a policy as it is in force."""
    text = caller.factory().policy_text(name)
    caller.emit({"name": name, "toml": text}, lambda: click.echo(text, nl=False))


@policy.command("set")
@click.argument("name", type=click.Choice(["markings", "gates", "gates-language", "exchange", "prompts"]))
@click.argument("file", type=EXISTING)
@click.option("--reason", required=True, help="Why it changes; it goes into the journal.")
@acting
def policy_set(caller: Caller, name: str, file: Path, reason: str) -> None:
    """Put a new version of a policy in force; only an officer may, and the change leaves a trace."""
    entry = caller.factory().set_policy(name, file, reason=reason)
    caller.emit(entry, lambda: facts(entry))


COMMANDS = (init, doctor, verify, policy)
