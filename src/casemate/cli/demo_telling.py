"""How the demonstration tells its story: headings, commands, bars, refusals that are meant."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from casemate.cli.options import Caller
from casemate.errors import CasemateError

if TYPE_CHECKING:
    from casemate.factory import Progress


def chapter(title: str) -> None:
    """A heading of the story."""
    click.echo()
    click.secho(f"── {title}", bold=True)


def say(command: str) -> None:
    """The command that does what happens next."""
    click.secho(f"$ {command}", fg="cyan")


def verdict(found: dict[str, Any]) -> None:
    """The figures of an evaluation, its verdict, and the rules that were not met."""
    figures = ", ".join(f"{name} {value:.2f}" for name, value in found["figures"].items() if value is not None)
    click.echo(f"  {figures}")
    click.echo(f"  verdict: {found['verdict']}")
    for reason in found["reasons"]:
        if not reason["passed"]:
            click.echo(f"    {reason['rule']}: expected {reason['expected']}, found {reason['found']}")


def refused(act: Callable[[], object]) -> None:
    """An act that must be refused, with its exit code and words."""
    try:
        act()
    except CasemateError as no:
        click.secho(f"  refused (exit {no.exit_code}): {no}", fg="yellow")
        return
    raise RuntimeError("the demonstration expected a refusal here")


@contextmanager
def bar(label: str) -> Iterator[Progress]:
    """Progress of what takes long."""
    with Caller(Path(), None, None, None, json=False).progress(label) as progress:
        yield progress
