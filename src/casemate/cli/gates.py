"""`casemate evaluate`, `approve`, `release`, `revoke`: the way into production, and out of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from casemate.cli.options import EXISTING, Caller, acting, facts, table
from casemate.cli.runs import setting


@click.command()
@click.argument("model")
@click.argument("dataset")
@click.option("--name", help="Name of the report; made from both names when absent.")
@click.option("--executor", help="Where it runs: inline or local; the site's default when absent.")
@click.option("--with", "others", multiple=True, help="A further set: security=SET, canaries=SET or calibration=SET.")
@click.option("--set", "settings", multiple=True, help="A setting of the evaluation, name=value; may be repeated.")
@acting
def evaluate(
    caller: Caller, model: str, dataset: str, name: str | None, executor: str | None, others: tuple[str, ...],
    settings: tuple[str, ...],
) -> None:  # fmt: skip
    """Score MODEL on the held-out DATASET, judge it by the gate's policy and write the dossier."""
    factory = caller.factory()
    asked = dict(setting(pair) for pair in settings)
    with caller.progress(f"evaluate {model}") as progress:
        found = factory.evaluate(
            model,
            dataset,
            name=name,
            executor=executor,
            others=dict(map(_other, others)),
            settings=asked,
            progress=progress,
        )
    caller.emit(found, lambda: _show_verdict(found))


def _other(pair: str) -> tuple[str, str]:
    role, equals, entry = pair.partition("=")
    if not equals:
        raise click.BadParameter(f"expected ROLE=SET, found {pair!r}", param_hint="--with")
    return role, entry


def _show_verdict(found: dict[str, Any]) -> None:
    facts({key: value for key, value in found.items() if key not in {"reasons", "metrics"}})
    columns = ("rule", "expected", "found", "passed")
    table(columns, [[reason[c] for c in columns] for reason in found["reasons"]])


@click.command()
@click.argument("report")
@click.option("--name", required=True, help="Name of the new report.")
@click.option("--garak", type=EXISTING, help="Report of garak on the model (*.report.jsonl); it goes into the dossier.")
@acting
def judge(caller: Caller, report: str, name: str, garak: Path | None) -> None:
    """Hold the scores of REPORT against the policy now in force; a new report with a new dossier."""
    found = caller.factory().judge_again(report, name=name, garak=garak)
    caller.emit(found, lambda: _show_verdict(found))


@click.command()
@click.argument("report")
@click.option("--reason", required=True, help="What you read and why you decide so.")
@click.option("--reject", is_flag=True, help="Sign a no.")
@acting
def approve(caller: Caller, report: str, reason: str, reject: bool) -> None:
    """Sign your decision on REPORT, after reading its dossier (casemate get REPORT FOLDER)."""
    decision = caller.factory().approve(report, reason=reason, reject=reject)
    caller.emit(decision, lambda: facts(decision))


@click.command()
@click.argument("report")
@click.option("--name", required=True, help="Name of the release.")
@click.option("--days", type=int, help="How long it is valid; the policy's figure when absent.")
@click.option("--for-site", "sites", multiple=True, help="Another site where it is valid too; may be repeated.")
@acting
def release(caller: Caller, report: str, name: str, days: int | None, sites: tuple[str, ...]) -> None:
    """Put the model of REPORT into production: the gate checks everything again and the site signs."""
    entry = caller.factory().release(report, name=name, days=days, sites=sites)
    caller.emit(entry, lambda: facts(entry))


@click.command()
@click.argument("name")
@click.option("--reason", required=True, help="Why it is withdrawn.")
@acting
def revoke(caller: Caller, name: str, reason: str) -> None:
    """Withdraw the release NAME: nothing loads it any more. Officers only."""
    entry = caller.factory().revoke(name, reason=reason)
    caller.emit(entry, lambda: facts(entry))


COMMANDS = (evaluate, judge, approve, release, revoke)
