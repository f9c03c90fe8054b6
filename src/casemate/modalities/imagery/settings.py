"""What a plan may ask of an evaluation: every parameter, its default and its bounds.

Rules. Unknown parameters are refused, so that a misspelt one never passes silently. Defaults suit two cores and a few
hundred images; what they were is in the scores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from casemate.errors import BadInput
from casemate.learning.settings import check, require_number
from casemate.modalities.imagery.levels import LEVELS
from casemate.modalities.imagery.robustness import CHANGES, Change


@dataclass(frozen=True)
class Settings:
    """How an evaluation is made.

    `score_min`: detections below it are not noted; `calibrate_from`: those below it are not calibrated and never
    answered; `most_per_image`: the best so many of an image count; `resamples`: bootstrap draws of images;
    `robustness`: names of changes; `robustness_mpx`: megapixels that each change is tried on; `pictures`: whether any
    is drawn; `samples`: how many of whole images; `target_precision`: by level, instead of the best F1;
    `training_fingerprints`: of the images that the model was trained on, to find the same ground in both sets.
    """

    score_min: float = 0.02
    calibrate_from: float = 0.05
    most_per_image: int = 1000
    resamples: int = 300
    robustness: tuple[str, ...] = tuple(change.name for change in CHANGES)
    robustness_mpx: float = 40.0
    pictures: bool = True
    samples: int = 4
    target_precision: Mapping[str, float] = field(default_factory=dict)
    training_fingerprints: Mapping[str, Any] | None = None

    @property
    def changes(self) -> list[Change]:
        """The changes that are asked for."""
        return [change for change in CHANGES if change.name in self.robustness]


_BOUNDS: Mapping[str, tuple[float, float]] = {
    "score_min": (0.001, 0.9),
    "calibrate_from": (0.001, 0.9),
    "most_per_image": (1, 100_000),
    "resamples": (0, 10_000),
    "robustness_mpx": (0.01, 1e6),
    "samples": (0, 50),
}


def settings(parameters: Mapping[str, Any]) -> Settings:
    """Read a plan's parameters."""
    check(parameters, Settings.__dataclass_fields__, _BOUNDS)
    found = Settings(**{name: _value(name, value) for name, value in parameters.items()})
    names = [change.name for change in CHANGES]
    foreign = [name for name in found.robustness if name not in names]
    if foreign:
        raise BadInput("evaluation, robustness", expected=f"names among {', '.join(names)}", found=", ".join(foreign))
    return found


def _value(name: str, value: Any) -> Any:
    if name == "robustness":
        if not (isinstance(value, list) and all(isinstance(item, str) for item in value)):
            raise BadInput("evaluation, robustness", expected="a list of names", found=repr(value))
        return tuple(value)
    if name == "pictures" and not isinstance(value, bool):
        raise BadInput("evaluation, pictures", expected="true or false", found=repr(value))
    if name == "target_precision":
        if not isinstance(value, dict) or not set(value) <= set(LEVELS):
            raise BadInput("evaluation, target_precision", expected=f"figures for {', '.join(LEVELS)}", found=value)
        for level, figure in value.items():
            require_number(f"target_precision of {level}", figure, 0.0, 1.0)
    if name == "training_fingerprints" and not (value is None or isinstance(value, dict)):
        raise BadInput(
            "evaluation, training_fingerprints", expected="fingerprints by image", found=type(value).__name__
        )
    return value
