"""JSON and GeoJSON: parsed whole, without what two readers would understand differently.

Repeated names, NaN and deep nesting are findings, and so is a GeoJSON coordinate system given by a link.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from pathlib import Path
from typing import Any

from casemate.airlock.limits import ScanLimits
from casemate.airlock.model_configs import check_settings
from casemate.airlock.report import Finding
from casemate.airlock.text import read_text, refused

_STRING = re.compile(r'"[^"]*"')
_NOT_BRACKETS = re.compile(r"[^\[\]{}]+")
_STEP = {"[": 1, "{": 1, "]": -1, "}": -1}
_GEOJSON = frozenset(
    {
        "FeatureCollection", "Feature", "Point", "LineString", "Polygon",
        "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection",
    }
)  # fmt: skip


class _NotPlainError(ValueError):
    """A value that JSON does not have, or a name given twice."""


def versions() -> dict[str, str]:
    """The scanner's version."""
    return {"json_text": "1"}


def scan(file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    """Whether it is JSON, whole."""
    text, findings = read_text(file, limits)
    return findings if refused(findings) else [*findings, *_check(text, file, type_name, limits)]


def _check(text: str, file: Path, type_name: str, limits: ScanLimits) -> list[Finding]:
    if type_name == "json lines":
        lines = ((number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip())
        return next((found for number, line in lines if (found := parse(line, f" in line {number}", limits)[1])), [])
    value, findings = parse(text, "", limits)
    return findings or (_check_geojson(value) if type_name == "geojson" else check_settings(file.name, value))


def parse(text: str, where: str, limits: ScanLimits) -> tuple[Any, list[Finding]]:
    """The value of a text that two readers understand alike, or what is wrong with it."""
    # Where so few brackets open, they cannot be nested deeper; lines of JSON are mostly so.
    few = text.count("[") + text.count("{") <= limits.max_nesting
    depth = 0 if few else nesting(text)
    if depth > limits.max_nesting:
        return None, [Finding("json", f"at most {limits.max_nesting} levels of nesting", f"{depth}{where}")]
    try:
        return _DECODER.decode(text), []
    except ValueError as why:
        return None, [Finding("json", "JSON", f"{why}{where}")]
    except RecursionError:
        expected = f"at most {limits.max_nesting} levels of nesting"
        return None, [Finding("json", expected, f"too many to parse{where}")]


def nesting(text: str) -> int:
    """How deep brackets are nested, outside strings."""
    plain = text.replace("\\\\", "").replace('\\"', "") if "\\" in text else text
    brackets = _NOT_BRACKETS.sub("", _STRING.sub("", plain))
    return max(accumulate(_STEP[b] for b in brackets), default=0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _NotPlainError(f"the name {twice!a} twice in one object")
    return value


def _no_constant(word: str) -> None:
    raise _NotPlainError(f"{word}, which JSON does not have")


_DECODER = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_no_constant)


def _check_geojson(value: Any) -> list[Finding]:
    kind = value.get("type") if isinstance(value, dict) else None
    if kind not in _GEOJSON:
        return [Finding("geojson", "a GeoJSON object", f"type {kind!a}")]
    crs = value.get("crs")
    if isinstance(crs, dict) and crs.get("type") == "link":
        return [Finding("geojson", "a coordinate system given by name", "a link to another file")]
    return []
