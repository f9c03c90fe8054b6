"""The command line: one file per noun, each command one call to the factory.

Rules. Nothing heavy is imported before a command runs, so that `casemate --help` answers at once. Errors become exit
codes here and nowhere else. Every command has `--json` for machines and readable tables for people.
"""

from __future__ import annotations

import json
import sys

import click

from casemate import __version__
from casemate.cli import (
    airlock,
    ask,
    assess,
    catalog,
    chat,
    data,
    demo,
    diode,
    docs,
    gates,
    index,
    packs,
    people,
    runs,
    scenes,
    serve,
    site,
    spills,
)
from casemate.errors import CasemateError

_HELP = """Casemate, the AI factory for networks that never touch the Internet.

From raw, marked data to a released model that answers: airlock, train, evaluate, approve, release, detect. Every act is
signed by the person whose key is unlocked (--key or CASEMATE_KEY), and every act and refusal is in the journal."""


@click.group(help=_HELP, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(__version__, prog_name="casemate")
def root() -> None:
    """Group of all commands."""


for module in (
    site,
    people,
    data,
    docs,
    index,
    ask,
    chat,
    airlock,
    packs,
    diode,
    runs,
    gates,
    assess,
    scenes,
    serve,
    catalog,
    spills,
    demo,
):
    for command in module.COMMANDS:
        root.add_command(command)


def main() -> None:
    """Run the command line; a deliberate error ends with its own exit code and one line on standard error."""
    try:
        code = root.main(prog_name="casemate", standalone_mode=False)
    except CasemateError as refusal:
        _tell(refusal.facts(), f"{type(refusal).__name__}: {refusal}")
        sys.exit(refusal.exit_code)
    except click.ClickException as usage:
        usage.show()
        sys.exit(usage.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped", err=True)
        sys.exit(130)
    if isinstance(code, int):  # click hands over the code of a command that ended with one
        sys.exit(code)


def _tell(facts: dict[str, str], line: str) -> None:
    click.echo(json.dumps(facts, ensure_ascii=False) if "--json" in sys.argv else line, err=True)
