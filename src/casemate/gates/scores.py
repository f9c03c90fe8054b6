"""Scores as the gate reads them: what an evaluation wrote to scores.json, whatever the modality.

Rules. Imagery counts images and boxes; a model that has a task (chat, embeddings, ocr), and the whole assistant, is
scored on `items`, the questions or pages of its set, and may count further things (`counts`: attacks, documents) that a
rule can name. A figure that is absent, null, NaN or infinite is "not evaluated" (None here), and what is not evaluated
never passes. The digest is that of the file, so `sha256sum scores.json` prints it. Keys that the gate does not use are
left to the dossier; a key given twice is an error.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import ConfigDict, Field

from casemate.errors import BadInput
from casemate.signing.canonical import Door
from casemate.store.digest import Digest

_THING = "scores"
_MAX_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True)
class Figure:
    """A metric, the ends of its 95 % interval, and of how many it was taken; None where it was not evaluated."""

    value: float | None
    low: float | None = None
    high: float | None = None
    of: int | None = None

    def end(self, on: Literal["value", "low", "high"]) -> float | None:
        """The value, or one end of the interval."""
        return {"value": self.value, "low": self.low, "high": self.high}[on]


@dataclass(frozen=True)
class Scores:
    """The figures of one model on one held-out set."""

    digest: Digest
    model: Digest
    dataset: Digest
    images: int
    boxes: int
    metrics: Mapping[str, Figure]
    robustness: Mapping[str, Mapping[str, float | None]]
    near_duplicates: int | None
    raw: Mapping[str, Any]
    task: str = ""
    items: int | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    others: Mapping[str, Digest] = field(default_factory=dict)

    def figure(self, name: str) -> Figure:
        """A metric or a count by its name; one that is not there was not evaluated."""
        return self.metrics.get(name) or Figure(self.counts.get(name))

    @classmethod
    def from_json(cls, data: bytes) -> Scores:
        """Read scores.json; BadInput naming the field for anything ill-formed."""
        if len(data) > _MAX_BYTES:
            raise BadInput(_THING, expected=f"at most {_MAX_BYTES} bytes", found=f"{len(data)} bytes")
        parsed = _parse(data)
        raw = _ScoresJson.enter(parsed, _THING)
        if raw.dataset.images is None and raw.dataset.items is None:
            raise BadInput(f"{_THING} dataset", expected="images or items", found="neither")
        return cls(
            digest=Digest.of_bytes(data),
            model=Digest.parse(raw.model.digest),
            dataset=Digest.parse(raw.dataset.digest),
            images=raw.dataset.images or 0,
            boxes=raw.dataset.boxes,
            metrics={name: _figure(value) for name, value in raw.metrics.items()},
            robustness={name: {k: _figure(v).value for k, v in row.items()} for name, row in raw.robustness.items()},
            near_duplicates=raw.overlap.near_duplicates if raw.overlap else None,
            raw=parsed,
            task=raw.task,
            items=raw.dataset.items,
            counts=raw.counts,
            others=_others(raw),
        )


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data.decode(), object_pairs_hook=_once)
    except (ValueError, RecursionError) as why:
        raise BadInput(_THING, expected="JSON", found=why) from why


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key twice among {', '.join(key for key, _ in pairs)}")
    return found


def _figure(value: object) -> Figure:
    match value:
        case {"value": plain, **ends}:
            of = _finite(ends.get("of"))
            known = None if of is None else int(of)
            return Figure(_finite(plain), _finite(ends.get("low")), _finite(ends.get("high")), known)
        case _:
            return Figure(_finite(value))


def _finite(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


class _Written(Door):
    """An object that a modality writes: strict types, further keys are its own."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=True)


class _DatasetJson(_Written):
    digest: str
    images: int | None = Field(default=None, ge=0)
    boxes: int = Field(default=0, ge=0)
    items: int | None = Field(default=None, ge=0)
    calibration_digest: str | None = None


class _OtherJson(_Written):
    digest: str


class _ModelJson(_Written):
    digest: str


class _OverlapJson(_Written):
    near_duplicates: int | None = Field(default=None, ge=0)


class _ScoresJson(_Written):
    format: Literal["casemate-scores/1"]
    dataset: _DatasetJson
    model: _ModelJson
    metrics: dict[str, Any]
    robustness: dict[str, dict[str, Any]] = Field(default={})
    overlap: _OverlapJson | None = None
    task: str = Field(default="", max_length=64)
    counts: dict[str, int] = Field(default={})
    others: dict[str, _OtherJson] = Field(default={})


def _others(raw: _ScoresJson) -> dict[str, Digest]:
    """Further sets by what they are for; imagery names its calibration set beside the held-out one."""
    found = {name: Digest.parse(other.digest) for name, other in raw.others.items()}
    calibration = raw.dataset.calibration_digest
    return found if calibration is None else {**found, "calibration": Digest.parse(calibration)}
