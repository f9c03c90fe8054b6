"""Progress bars: done, rate, time left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.text import Text


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.speed:
            return Text("")
        speed, unit = task.speed, task.fields["unit"]
        if unit == "bytes":
            speed, unit = speed / 1e6, "MB"
        return Text(f"{speed:.1f} {unit}/s")


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int, str], None]]:
    """A bar on standard error; the value yielded is called with (done, total, unit)."""
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"), _Rate(),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True), transient=False) as shown:
        task = shown.add_task(label, total=None, unit="")

        def advance(done: int, total: int, unit: str) -> None:
            shown.update(task, completed=done, total=total or None, unit=unit)

        yield advance
