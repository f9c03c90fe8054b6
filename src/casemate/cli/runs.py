"""`casemate train`, `casemate runs`: work that takes long, that can be watched, stopped and resumed."""

from __future__ import annotations

import json
import os
from typing import Any

import click

from casemate.cli.options import Caller, acting, facts, table


@click.command()
@click.argument("datasets", nargs=-1, required=True)
@click.option("--name", required=True, help="Name of the model.")
@click.option("--project", required=True, help="Project that it belongs to.")
@click.option("--modality", default="imagery", show_default=True)
@click.option("--recipe", default="fine_tune", show_default=True, help="How; 'casemate doctor' lists recipes.")
@click.option(
    "--base", metavar="MODEL", help="Start from this model of the catalog, which has come in or was trained here."
)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Change a parameter of the recipe.")
@click.option("--seed", default=0, show_default=True)
@click.option("--executor", help="Where it runs: inline or local; the site's default when absent.")
@click.option(
    "--processes",
    type=click.IntRange(1),
    help="Processes, through torchrun; one a GPU, or one a core up to 4, if absent.",
)
@click.option("--gpus", type=click.IntRange(0), default=0, show_default=True, help="GPUs that the run takes in all.")
@acting
def train(
    caller: Caller, datasets: tuple[str, ...], name: str, project: str, modality: str, recipe: str, base: str | None,
    settings: tuple[str, ...], seed: int, executor: str | None, processes: int | None, gpus: int,
) -> None:  # fmt: skip
    """Train a model on DATASETS; its marking is the join of theirs, and of the base model's."""
    factory = caller.factory()
    with caller.progress(f"train {name}") as progress:
        entry = factory.train(
            datasets, name=name, project=project, modality=modality, recipe=recipe, base=base, seed=seed,
            executor=executor, processes=processes or gpus or spread(), gpus=gpus,
            settings=dict(setting(pair) for pair in settings), progress=progress,
        )  # fmt: skip
    caller.emit(entry, lambda: facts(entry))


@click.group(invoke_without_command=True)
@acting
def runs(caller: Caller) -> None:
    """List the runs that you may see."""
    if click.get_current_context().invoked_subcommand:
        return
    rows = caller.factory().runs()
    columns = ("id", "verb", "project", "marking", "state", "author", "started", "progress")
    caller.emit(rows, lambda: table(columns, [[row[c] for c in columns] for row in rows]))


@runs.command("show")
@click.argument("run")
@acting
def runs_show(caller: Caller, run: str) -> None:
    """Everything about a run: plan, state, last metrics."""
    shown = caller.factory().run(run)
    caller.emit(shown, lambda: facts(shown))


@runs.command("log")
@click.argument("run")
@acting
def runs_log(caller: Caller, run: str) -> None:
    """Print what a run said."""
    text = caller.factory().run_log(run)
    caller.emit({"log": text}, lambda: click.echo(text, nl=False))


@runs.command("cancel")
@click.argument("run")
@acting
def runs_cancel(caller: Caller, run: str) -> None:
    """Stop a run; it keeps its checkpoints."""
    shown = caller.factory().cancel(run)
    caller.emit(shown, lambda: facts(shown))


@runs.command("resume")
@click.argument("run")
@acting
def runs_resume(caller: Caller, run: str) -> None:
    """Go on with a run that was stopped or killed, from its last checkpoint."""
    factory = caller.factory()
    with caller.progress(f"resume {run}") as progress:
        entry = factory.resume(run, progress=progress)
    caller.emit(entry, lambda: facts(entry))


def spread() -> int:
    """Processes for a batch that is shared out evenly: on processors, several of one thread beat one of several."""
    cores = len(os.sched_getaffinity(0))
    return next(count for count in (4, 2, 1) if count <= cores)


def setting(pair: str) -> tuple[str, Any]:
    """A parameter from NAME=VALUE; the value is JSON, or text where it is not."""
    name, equals, value = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"expected NAME=VALUE, found {pair!r}", param_hint="--set")
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


COMMANDS = (train, runs)
