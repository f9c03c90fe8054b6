"""What a plan may ask of an evaluation: parameters that are known, and numbers within bounds.

Rules. Unknown parameters are refused, so that a misspelt one never passes silently. A number whose bounds are whole is
whole; true is no number. Which parameters there are is the modality's; what they were is in the scores.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from casemate.errors import BadInput


def check(parameters: Mapping[str, Any], known: Collection[str], bounds: Mapping[str, tuple[float, float]]) -> None:
    """Refuse parameters that are unknown, and numbers that are none or out of their bounds."""
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        raise BadInput("evaluation", expected=f"parameters among {', '.join(known)}", found=", ".join(unknown))
    for name, (low, high) in bounds.items():
        if name in parameters:
            require_number(name, parameters[name], low, high)


def require_number(name: str, value: Any, low: float, high: float) -> None:
    """Refuse what is no number (a whole one, where `low` is) from `low` to `high`."""
    whole = isinstance(low, int)
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not low <= value <= high:
        what = "a whole number" if whole else "a number"
        raise BadInput(f"evaluation, {name}", expected=f"{what} from {low:g} to {high:g}", found=repr(value))
