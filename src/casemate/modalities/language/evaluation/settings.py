"""What a plan may ask of an evaluation of language: every parameter, its default and its bounds.

Rules. Unknown parameters are refused, so that a misspelt one never passes silently. What they were is in the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from casemate.errors import BadInput
from casemate.learning.settings import check

TASKS = ("chat", "embeddings", "ocr")


@dataclass(frozen=True)
class Settings:
    """How an evaluation is made.

    `task`: what the model does, from its entry; `questions`: the most questions that are asked, `attacks`: the most of
    each kind that are tried (0: all; which ones is drawn by the plan's seed); `passages`: how many are put before a
    chat model with each question; `answer_tokens`: the most that it may answer; `resamples`: bootstrap draws;
    `samples`: how many exchanges of each kind the dossier shows.
    """

    task: str = ""
    questions: int = 0
    attacks: int = 0
    passages: int = 4
    answer_tokens: int = 96
    resamples: int = 1000
    samples: int = 4


_BOUNDS: Mapping[str, tuple[int, int]] = {
    "questions": (0, 1_000_000),
    "attacks": (0, 1_000_000),
    "passages": (1, 16),
    "answer_tokens": (1, 2048),
    "resamples": (0, 100_000),
    "samples": (0, 50),
}


def settings(parameters: Mapping[str, Any]) -> Settings:
    """Read a plan's parameters; BadInput for one that is unknown, out of its bounds, or of another type."""
    check(parameters, Settings.__dataclass_fields__, _BOUNDS)
    task = parameters.get("task", "")
    if task not in TASKS:
        found = repr(task) if task else "none: its entry does not say what it does"
        raise BadInput("model, task", expected=" or ".join(TASKS), found=found)
    return Settings(**parameters)
