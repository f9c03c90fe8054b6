"""Detections as RFC 7946 GeoJSON, written as they come and put in place whole.

Rules. One FeatureCollection: the file's facts (marking and release among them) are foreign members ahead of the
features, totals follow them. Positions are WGS 84, longitude first, rings counter-clockwise. A scene without
georeference has no place on Earth: its features have `"geometry": null`, which RFC 7946 (3.2) provides, and keep their
pixel box. Each feature repeats marking and release, because features get cut out of files. The same features give the
same bytes. Written beside its place, flushed to the disk, then renamed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from casemate.store.whole import written_whole

Ring = list[list[float]]


@dataclass(frozen=True)
class Feature:
    """One detection: its ring (longitude, latitude) where it is known, and its properties, ready for JSON."""

    ring: Ring | None
    properties: Mapping[str, Any]

    def to_json(self) -> str:
        """The feature on one line."""
        geometry = None if self.ring is None else {"type": "Polygon", "coordinates": [self.ring]}
        return _text({"type": "Feature", "geometry": geometry, "properties": dict(self.properties)})


@dataclass
class _Bounds:
    """The rectangle round all positions seen so far."""

    west: float = 180.0
    south: float = 90.0
    east: float = -180.0
    north: float = -90.0

    def add(self, ring: Ring) -> None:
        longitudes, latitudes = [p[0] for p in ring], [p[1] for p in ring]
        self.west, self.east = min(self.west, *longitudes), max(self.east, *longitudes)
        self.south, self.north = min(self.south, *latitudes), max(self.north, *latitudes)


def write_collection(path: Path, features: Iterable[Feature], *, members: Mapping[str, Any]) -> int:
    """Write a FeatureCollection to `path` and return how many features it has; only one is held at a time."""
    bounds, count = _Bounds(), 0
    with written_whole(path) as file:
        head = _text({"type": "FeatureCollection", **members})
        file.write(f'{head[:-1]},\n"features": ['.encode())
        for feature in features:
            file.write(f"{',' if count else ''}\n{feature.to_json()}".encode())
            count += 1
            if feature.ring is not None:
                bounds.add(feature.ring)
        tail: dict[str, Any] = {"count": count}
        if bounds.west <= bounds.east:
            tail["bbox"] = [bounds.west, bounds.south, bounds.east, bounds.north]
        file.write(f"\n],\n{_text(tail)[1:]}\n".encode())
    return count


def _text(value: Mapping[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False)
