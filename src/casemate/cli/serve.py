"""`casemate apikey` and `serve`: people's programs, and the HTTP API at which they ask."""

from __future__ import annotations

from pathlib import Path

import click

from casemate.cli.options import EXISTING, Caller, acting, facts, table

_SCOPES = ["models", "documents", "all-documents", "upload", "detect", "metrics"]


@click.group()
def apikey() -> None:
    """API keys of your own: what your programs show to 'casemate serve'."""


@apikey.command("new")
@click.argument("label")
@click.option("--project", required=True, help="Project for which the key acts; you must be a member.")
@click.option(
    "--scope", "scopes", multiple=True, type=click.Choice(_SCOPES), help="May be repeated; models, documents."
)
@click.option("--days", type=click.IntRange(1, 366), default=90, show_default=True, help="It opens nothing after that.")
@acting
def apikey_new(caller: Caller, label: str, project: str, scopes: tuple[str, ...], days: int) -> None:
    """Make a key called LABEL; its secret is shown once. With --ceiling, it reads and makes nothing above that."""
    chosen = frozenset(scopes or ("models", "documents"))
    made = caller.factory().new_api_key(label, project=project, scopes=chosen, days=days)
    caller.emit(made, lambda: facts(made))


@apikey.command("list")
@acting
def apikey_list(caller: Caller) -> None:
    """List your keys, never their secrets; officers see everybody's."""
    rows = caller.factory().api_keys()
    columns = ("id", "label", "owner", "project", "scopes", "ceiling", "expires", "revoked")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@apikey.command("revoke")
@click.argument("key_id", metavar="ID")
@click.option("--reason", default="", help="Why; it goes into the journal.")
@acting
def apikey_revoke(caller: Caller, key_id: str, reason: str) -> None:
    """End the key with this ID, at once. For its owner, and officers."""
    ended = caller.factory().revoke_api_key(key_id, reason=reason)
    caller.emit(ended, lambda: facts(ended))


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address at which to listen.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="Port; 0 takes a free one."
)
@click.option("--name", "names", multiple=True, help="Another name that clients call this host by; may be repeated.")
@click.option("--tls-cert", type=EXISTING, help="Certificate chain (PEM).")
@click.option("--tls-key", type=EXISTING, help="Its private key (PEM).")
@acting
def serve(
    caller: Caller, host: str, port: int, names: tuple[str, ...], tls_cert: Path | None, tls_key: Path | None
) -> None:
    """Answer programs over HTTP, as OpenAI's API does, until stopped. Operators and officers only."""
    from casemate.console import Listening, serve_api

    where = Listening(host, port, names, tls_cert, tls_key)
    serve_api(caller.factory(), where, tell=lambda line: click.echo(line, err=True))


COMMANDS = (apikey, serve)
