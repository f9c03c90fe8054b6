"""What all commands share: who acts on which site, and how results are shown."""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from casemate.factory import Factory, Progress

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True)


@dataclass(frozen=True)
class Caller:
    """Who calls, on which site, and how they want to read the answer."""

    site: Path
    key: Path | None
    passphrase_file: Path | None
    ceiling: str | None
    json: bool

    def factory(self) -> Factory:
        """Open the site as the person whose key is unlocked."""
        from casemate.factory import Factory

        return Factory.open(self.site, key=self.key, passphrase=self.passphrase, ceiling=self.ceiling)

    def passphrase(self) -> bytes:
        """Passphrase of the key, from the file that was named or from the terminal; asked for only when needed."""
        return read_passphrase(self.passphrase_file, f"Passphrase of {self.key}")

    def emit(self, value: Any, show: Callable[[], None]) -> None:
        """Print `value` as JSON for machines, or call `show` for people."""
        if self.json:
            click.echo(json.dumps(value, ensure_ascii=False, indent=1, default=str))
        else:
            show()

    @contextmanager
    def progress(self, label: str) -> Iterator[Progress]:
        """A bar with rate and time left on standard error; nothing where nobody looks."""
        if self.json or not sys.stderr.isatty():
            yield _quiet if self.json else _Lines(label)
            return
        from casemate.cli.bars import bar

        with bar(label) as advance:
            yield advance


def read_passphrase(file: Path | None, prompt: str, *, confirm: bool = False) -> bytes:
    """A passphrase from a file's first line, or typed."""
    if file is not None:
        return file.read_bytes().split(b"\n", 1)[0]
    if not sys.stdin.isatty():
        raise click.UsageError("expected a passphrase (--passphrase-file, or a terminal to type it), found neither")
    return str(click.prompt(prompt, hide_input=True, confirmation_prompt=confirm, err=True)).encode()


def text_of(file: Path) -> str:
    """The text of somebody's own file, in whatever encoding can be told; BadInput for what is no text."""
    from casemate.errors import BadInput
    from casemate.store.texts import NotTextError, decode

    try:
        return decode(file.read_bytes()).text
    except NotTextError as why:
        raise BadInput(file, expected=why.expected, found=why.found) from None


def acting(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a person acting on a site; it receives a Caller first."""

    @click.option(
        "--site", type=PATH, envvar="CASEMATE_SITE", default=".", show_default=True, help="The site's folder."
    )
    @click.option("--key", type=PATH, envvar="CASEMATE_KEY", help="Your key file, or your agent's socket.")
    @click.option("--passphrase-file", type=EXISTING, envvar="CASEMATE_PASSPHRASE_FILE", help="Its passphrase.")
    @click.option("--ceiling", envvar="CASEMATE_CEILING", help="Work low: see and make nothing above this marking.")
    @click.option("--json", "as_json", is_flag=True, help="Answer as JSON.")
    @functools.wraps(command)
    def wrapped(
        site: Path, key: Path | None, passphrase_file: Path | None, ceiling: str | None, as_json: bool, **rest: Any
    ) -> None:
        command(Caller(site, key, passphrase_file, ceiling, as_json), **rest)

    return wrapped


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under their column names, as wide as the terminal allows."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(Text(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "160"))
    Console(width=width, highlight=False).print(grid)


def facts(pairs: Mapping[str, object]) -> None:
    """Print names and values, one a line."""
    widest = max(map(len, pairs), default=0)
    for name, value in pairs.items():
        click.echo(f"{name:<{widest}}  {printable(value)}")


def printable(value: object) -> str:
    """Text with control characters escaped, so that a name cannot play with the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in str(value))


def _quiet(done: int, total: int, unit: str) -> None:
    """Show nothing."""


class _Lines:
    """Progress as a line now and then, for logs."""

    def __init__(self, label: str) -> None:
        self._label, self._shown = label, -1

    def __call__(self, done: int, total: int, unit: str) -> None:
        tenth = 10 * done // total if total else 0
        if tenth > self._shown:
            self._shown = tenth
            click.echo(f"  {self._label}: {done}/{total or '?'} {unit}", err=True)
