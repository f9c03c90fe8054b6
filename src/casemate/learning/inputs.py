"""What a run's inputs are for: one may be the model that it starts from, the others are data sets to learn from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from casemate.errors import BadInput

START_INPUT = "input:"


@dataclass(frozen=True)
class Inputs:
    """The names of a run's inputs: data sets in order, and the older model, if it starts from one."""

    datasets: tuple[str, ...]
    older: str | None


def inputs(names: Iterable[str], start: str) -> Inputs:
    """Tell them apart by the parameter `start`; BadInput where the model is not there, or no data set is."""
    given = sorted(names)
    older = start.removeprefix(START_INPUT) if start.startswith(START_INPUT) else None
    if older is not None and older not in given:
        expected = f"an input among {', '.join(given)} (a base model is given as --base)"
        raise BadInput("parameter start", expected=expected, found=older)
    datasets = tuple(name for name in given if name != older)
    if not datasets:
        raise BadInput("inputs", expected="at least one data set", found="none")
    return Inputs(datasets, older)
