"""Parameters out of a plan's JSON: every one of them known, of its type, and within its bounds.

Rules. A misspelt parameter that is ignored is a wrong result, so an unknown one is refused. A parameter is of the type
of its default: a whole number will do for a float, and true is no number.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from casemate.errors import BadInput


def require_known(parameters: Iterable[str], known: Iterable[str]) -> None:
    """Refuse the first name that is not known."""
    names = sorted(known)
    for name in parameters:
        if name not in names:
            raise BadInput(f"parameter {name}", expected=f"one of {', '.join(names)}", found="an unknown one")


def typed(name: str, value: Any, like: Any) -> Any:
    """The value, as the type of `like`; where that is a mapping, weights by name."""
    if isinstance(like, bool) or isinstance(value, bool):
        right = isinstance(like, bool) and isinstance(value, bool)
    elif isinstance(like, float):
        right = isinstance(value, int | float)
    elif isinstance(like, Mapping):
        right = isinstance(value, Mapping) and all(isinstance(v, int | float) and v >= 0 for v in value.values())
    else:
        right = isinstance(value, type(like))
    if not right:
        kind = "weights, each 0 or more" if isinstance(like, Mapping) else type(like).__name__
        raise BadInput(f"parameter {name}", expected=kind, found=repr(value))
    return float(value) if isinstance(like, float) else value


def require_within(values: object, bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a value out of its bounds; nan is out of all."""
    for name, (low, high) in bounds.items():
        value = getattr(values, name)
        if not low <= value <= high:
            raise BadInput(f"parameter {name}", expected=f"{low:g} to {high:g}", found=value)


def require_among(values: object, choices: Mapping[str, Sequence[str]]) -> None:
    """Refuse a word that is not among its choices."""
    for name, words in choices.items():
        value = getattr(values, name)
        if value not in words:
            raise BadInput(f"parameter {name}", expected=" or ".join(words), found=repr(value))
