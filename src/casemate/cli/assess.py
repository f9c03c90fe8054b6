"""`casemate assess`: the whole assistant judged, over the documents that its reader may read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import click

from casemate.cli.options import Caller, acting, facts, table


@click.command()
@click.argument("sets", nargs=-1, required=True, metavar="SETS...")
@click.option("--name", required=True, help="Name of the report.")
@click.option("--project", required=True, help="Whose report it is, and whose share the engine takes.")
@click.option("--engine", default="", help="The chat release that answers, or 'quote'; without it, what 'ask' takes.")
@click.option("--limit", type=click.IntRange(1, 40), default=8, show_default=True, help="Passages that take part.")
@click.option("--questions", type=click.IntRange(min=0), default=0, help="The most of each kind; 0 for all.")
@click.option("--attacks", type=click.IntRange(min=0), default=0, help="The most of each kind; 0 for all.")
@click.option("--among", multiple=True, help="Only this document set; may be repeated.")
@acting
def assess(
    caller: Caller, sets: Sequence[str], name: str, project: str, engine: str, limit: int, questions: int,
    attacks: int, among: Sequence[str],
) -> None:  # fmt: skip
    """Put SETS of questions and attacks to the assistant as you would ask, and judge its answers by the policy.

    Stopped (Ctrl-C), the same command goes on from the answers that it has.
    """
    from casemate.factory.assessment import Wanted

    factory = caller.factory()
    wanted = Wanted(tuple(sets), name, project, engine, limit, questions, attacks, tuple(among))
    with caller.progress(f"assess {name}") as progress:
        found = factory.assess(wanted, progress=progress)
    caller.emit(found, lambda: _show(found))


def _show(found: dict[str, Any]) -> None:
    facts({key: value for key, value in found.items() if key not in {"reasons", "figures", "counts"}})
    facts(found["counts"])
    table(("figure", "value", "low", "high", "of"), [
        [name, *("not evaluated" if f["value"] is None else _shown(f[end]) for end in ("value", "low", "high")),
         f["of"]]
        for name, f in found["figures"].items()
    ])  # fmt: skip
    columns = ("rule", "expected", "found", "passed")
    table(columns, [[reason[c] for c in columns] for reason in found["reasons"]])


def _shown(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


COMMANDS = (assess,)
