"""What a plan may ask of an evaluation: known, and within bounds."""

from __future__ import annotations

import re
from typing import Any

import pytest

from casemate.errors import BadInput
from casemate.learning.settings import check

KNOWN = ("samples", "least", "names")
BOUNDS = {"samples": (0, 50), "least": (0.5, 1.0)}


def test_what_is_known_and_within_bounds_passes() -> None:
    check({"samples": 50, "least": 1, "names": ["any"]}, KNOWN, BOUNDS)
    check({}, KNOWN, BOUNDS)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"sample": 1, "leest": 2}, "evaluation: expected parameters among samples, least, names, found leest, sample"),
        ({"samples": 51}, "evaluation, samples: expected a whole number from 0 to 50, found 51"),
        ({"samples": 1.0}, "evaluation, samples: expected a whole number from 0 to 50, found 1.0"),
        ({"samples": True}, "evaluation, samples: expected a whole number from 0 to 50, found True"),
        ({"least": 0.4}, "evaluation, least: expected a number from 0.5 to 1, found 0.4"),
        ({"least": "1"}, "evaluation, least: expected a number from 0.5 to 1, found '1'"),
        ({"least": float("nan")}, "evaluation, least: expected a number from 0.5 to 1, found nan"),
    ],
)
def test_what_is_unknown_or_out_of_bounds_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=re.escape(message)):
        check(parameters, KNOWN, BOUNDS)
