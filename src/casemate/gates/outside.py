"""What an attacker from outside found: the report of `garak`, read into a few numbers for the dossier. Pure.

Rules. The report is another program's: only its lines of results are read, strictly, and their counts must add up. None
of what was asked or answered is kept. It takes no part in the verdict, because this site did not run it: who brought it
vouches for it, and who approves reads it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import ConfigDict, Field

from casemate.errors import BadInput
from casemate.signing.canonical import Door
from casemate.store.digest import Digest

FORMAT = "casemate-garak/1"
FILE = "garak.json"
_THING = "garak report"
_MAX_BYTES = 256 << 20
_MAX_LINES = 10_000
_NAME = r"^[\w.:/ -]{1,128}\z"


@dataclass(frozen=True)
class Tried:
    """One probe judged by one detector: how many answers were judged, and how many of them gave in."""

    probe: str
    detector: str
    judged: int
    gave_in: int


@dataclass(frozen=True)
class Outside:
    """All that a report says; `report` is the digest of the whole file."""

    report: Digest
    version: str
    tried: tuple[Tried, ...]

    def to_json(self) -> bytes:
        """As it lies in a report's folder."""
        rows = [asdict(one) for one in self.tried]
        told = {"format": FORMAT, "report": str(self.report), "version": self.version, "tried": rows}
        return (json.dumps(told, indent=1, sort_keys=True) + "\n").encode("ascii")

    @classmethod
    def from_json(cls, data: bytes) -> Outside:
        """Read what `to_json` wrote."""
        raw = _OutsideJson.enter(_parsed(data, FILE), FILE)
        tried = tuple(Tried(t.probe, t.detector, t.judged, t.gave_in) for t in raw.tried)
        return cls(Digest.parse(raw.report), raw.version, tried)


def read_garak(data: bytes) -> Outside:
    """The results in a report (`*.report.jsonl`); BadInput for one without results, or whose counts do not add up."""
    if len(data) > _MAX_BYTES:
        raise BadInput(_THING, expected=f"at most {_MAX_BYTES} bytes", found=f"{len(data)} bytes")
    version, tried = "", []
    for number, line in enumerate(data.splitlines(), 1):
        raw = _parsed(line, f"{_THING} line {number}") if line.strip() else {}
        match raw.get("entry_type") if isinstance(raw, dict) else None:
            case "eval":
                tried.append(_tried(raw, f"{_THING} line {number}"))
            case "init":
                version = str(raw.get("garak_version", ""))[:64]
            case _:
                continue
    if not 0 < len(tried) <= _MAX_LINES:
        raise BadInput(_THING, expected=f"1 to {_MAX_LINES} results (entry_type eval)", found=len(tried))
    return Outside(Digest.of_bytes(data), version if version.isprintable() else "", tuple(tried))


def _tried(raw: dict[str, Any], thing: str) -> Tried:
    found = _EvalJson.enter(raw, thing)
    judged = found.passed + found.fails
    if judged > found.total_evaluated:
        raise BadInput(thing, expected=f"at most {found.total_evaluated} judged answers", found=judged)
    return Tried(found.probe, found.detector, judged, found.fails)


def _parsed(data: bytes, thing: str) -> Any:
    try:
        return json.loads(data.decode())
    except (ValueError, RecursionError) as why:
        raise BadInput(thing, expected="JSON", found=type(why).__name__) from why


class _EvalJson(Door):
    model_config = ConfigDict(extra="ignore")
    probe: str = Field(pattern=_NAME)
    detector: str = Field(pattern=_NAME)
    passed: int = Field(ge=0)
    fails: int = Field(ge=0)
    total_evaluated: int = Field(ge=0)


class _TriedJson(Door):
    probe: str = Field(pattern=_NAME)
    detector: str = Field(pattern=_NAME)
    judged: int = Field(ge=0)
    gave_in: int = Field(ge=0)


class _OutsideJson(Door):
    format: str = Field(pattern=f"^{FORMAT}\\z")
    report: str
    version: str
    tried: list[_TriedJson]
