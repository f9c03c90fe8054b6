"""GeoJSON polygons over georeferenced rasters; each becomes the upright box around it in pixels.

Coordinates are WGS 84 longitudes and latitudes (RFC 7946) unless the file has a `crs` member, or no longitude could be
so large: then they are in the rasters' own system. A file is laid over the raster that bears its name (or that a
feature's `image`, `image_id` or `file_name` names), else over every raster that it meets. What reaches over a raster's
edge is cut, since a map does not stop there; a file of which nothing meets any raster is refused.

A feature's class is its `label`, `class`, `class_name`, `category` or `type`; else the one property that is itself the
name of a class (`building = yes`, as in OpenStreetMap); else the empty word, which can be renamed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio.errors
import rasterio.warp

from casemate.errors import BadInput
from casemate.modalities.imagery.gallery import Gallery
from casemate.modalities.imagery.rows import Row, Rows, number

_CLASS = ("label", "class", "class_name", "category", "type")
_IMAGE = ("image", "image_id", "file_name", "filename", "image_path")
_EPSG = re.compile(r"(?:urn:ogc:def:crs:)?EPSG:(?:[\d.]*:)?(\d+)", re.IGNORECASE)
_CRS84 = re.compile(r"urn:ogc:def:crs:OGC:[\d.]*:CRS84|OGC:CRS84|CRS84", re.IGNORECASE)
_WGS84 = "EPSG:4326"
_SLIVER_PX = 1.0


@dataclass(frozen=True)
class _Shape:
    """A feature's outline in the file's coordinate system, its class and the image it names, if it does."""

    points: npt.NDArray[np.float64]
    word: str
    image: str | None
    where: str


def recognise(gallery: Gallery) -> tuple[str, ...]:
    """Files named .geojson, and JSON files that say that they are a collection of features."""
    named = (f for f in gallery.others if f.lower().endswith((".geojson", ".json")))
    return tuple(f for f in named if f.lower().endswith(".geojson") or b'"FeatureCollection"' in gallery.head(f))


def read(gallery: Gallery, files: tuple[str, ...], words: Callable[[str], bool]) -> Rows:
    """The boxes of every file over every raster that it meets."""
    images: set[str] = set()
    rows: list[Row] = []
    notes: list[str] = []
    for file in files:
        crs, shapes = _shapes(gallery, file, words)
        rasters = _rasters(gallery, file, shapes)
        if not shapes:
            images.update(rasters if len(rasters) == 1 else ())
            continue
        crs = crs or _guessed_crs(gallery, rasters[0], shapes)
        placed = [_laid(gallery, raster, crs, shapes, file) for raster in rasters]
        met = {row.where for found in placed for row in found}
        if not met:
            raise _elsewhere(gallery, file, crs, shapes, rasters)
        if len(met) < len(shapes):
            notes.append(f"{file}: {len(shapes) - len(met)} of {len(shapes)} shapes are outside of every raster")
        images.update(raster for raster, found in zip(rasters, placed, strict=True) if found or len(rasters) == 1)
        rows += [row for found in placed for row in found]
    return Rows(frozenset(images), tuple(rows), notes=tuple(notes))


# ── the file ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _shapes(gallery: Gallery, file: str, words: Callable[[str], bool]) -> tuple[str | None, list[_Shape]]:
    try:
        document = json.loads(gallery.text(file))
    except (ValueError, RecursionError) as why:
        raise BadInput(file, expected="GeoJSON", found=why) from why
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(f, dict) for f in features):
        raise BadInput(file, expected="a FeatureCollection with features", found=type(features).__name__)
    shapes = [_shape(f, f"{file} feature {i}", words) for i, f in enumerate(features, 1) if f.get("geometry")]
    return _stated_crs(document, file), shapes


def _shape(feature: Mapping[str, Any], where: str, words: Callable[[str], bool]) -> _Shape:
    geometry, properties = feature["geometry"], feature.get("properties") or {}
    kind = geometry.get("type") if isinstance(geometry, dict) else None
    if kind not in {"Polygon", "MultiPolygon"} or not isinstance(properties, dict):
        raise BadInput(where, expected="a Polygon or MultiPolygon with properties", found=repr(kind))
    points = list(_positions(geometry.get("coordinates"), where))
    if len(points) < 3:
        raise BadInput(where, expected="an outline of at least 3 points", found=len(points))
    image = next((str(properties[key]) for key in _IMAGE if properties.get(key)), None)
    return _Shape(np.array(points, dtype=np.float64), _word(properties, words), image, where)


def _positions(coordinates: object, where: str, depth: int = 0) -> Iterator[tuple[float, float]]:
    if not isinstance(coordinates, list) or depth > 3:
        raise BadInput(where, expected="coordinates as nested lists", found=type(coordinates).__name__)
    if len(coordinates) >= 2 and not isinstance(coordinates[0], list):
        yield number(coordinates[0], where, "a coordinate"), number(coordinates[1], where, "a coordinate")
        return
    for part in coordinates:
        yield from _positions(part, where, depth + 1)


def _word(properties: Mapping[str, Any], words: Callable[[str], bool]) -> str:
    for key in _CLASS:
        if isinstance(properties.get(key), str | int) and str(properties[key]).strip():
            return str(properties[key]).strip()
    keys = [k for k, value in properties.items() if words(k) and value not in (None, "", "no", False, 0)]
    return keys[0] if len(keys) == 1 else ""


def _stated_crs(document: Mapping[str, Any], file: str) -> str | None:
    member = document.get("crs")
    if member is None:
        return None
    name = (member.get("properties") or {}).get("name") if isinstance(member, dict) else None
    # Only codes: a name that PROJ or GDAL would look up could be a file or an address.
    code = _EPSG.fullmatch(str(name))
    if code is None and not _CRS84.fullmatch(str(name)):
        raise BadInput(file, expected="a crs named by EPSG code or CRS84", found=repr(name))
    return f"EPSG:{code.group(1)}" if code else _WGS84


# ── the rasters ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _rasters(gallery: Gallery, file: str, shapes: list[_Shape]) -> list[str]:
    """The georeferenced rasters that the file may be laid over."""
    own = gallery.of_stem(file)
    named = {s.image for s in shapes if s.image and gallery.has(s.image, beside=file)}
    if own is not None:
        candidates: Iterable[str] = [own]
    elif named and all(s.image in named for s in shapes):
        candidates = sorted({gallery.find(str(name), beside=file, where=file) for name in named})
    else:
        candidates = gallery.images
    gallery.read_headers(candidates)
    rasters = [image for image in candidates if gallery.facts(image).crs]
    if not rasters:
        found = f"no coordinate system in {', '.join(repr(c) for c in list(candidates)[:3]) or 'an empty folder'}"
        raise BadInput(file, expected="georeferenced rasters under the polygons", found=found)
    return rasters


def _guessed_crs(gallery: Gallery, raster: str, shapes: list[_Shape]) -> str:
    largest = np.max([np.abs(s.points).max(axis=0) for s in shapes], axis=0)
    return _WGS84 if largest[0] <= 180 and largest[1] <= 90 else str(gallery.facts(raster).crs)


def _laid(gallery: Gallery, raster: str, crs: str, shapes: list[_Shape], file: str) -> list[Row]:
    """The shapes that meet the raster, as boxes in its pixels, cut at its edges."""
    facts = gallery.facts(raster)
    mine = [s for s in shapes if s.image is None or not gallery.has(s.image, beside=file) or s.image in raster]
    rows = []
    for shape, points_px in zip(mine, _pixels(facts.crs, crs, facts.to_px, mine, file), strict=True):
        x0, y0 = (float(v) for v in points_px.min(axis=0))
        x1, y1 = (float(v) for v in points_px.max(axis=0))
        seen = min(x1, facts.width) - max(x0, 0), min(y1, facts.height) - max(y0, 0)
        degenerate = x0 >= x1 or y0 >= y1
        if degenerate or min(seen) >= min(_SLIVER_PX, x1 - x0, y1 - y0):
            rows.append(Row(raster, x0, y0, x1, y1, shape.word, shape.where, cut=True))
    return rows


def _pixels(
    raster_crs: str | None,
    crs: str,
    to_px: Callable[[npt.NDArray[np.float64], npt.NDArray[np.float64]], npt.NDArray[np.float64]],
    shapes: list[_Shape],
    file: str,
) -> list[npt.NDArray[np.float64]]:
    if not shapes:
        return []
    points = np.concatenate([s.points for s in shapes])
    xs, ys = points[:, 0], points[:, 1]
    if raster_crs != crs:
        try:
            moved = rasterio.warp.transform(crs, raster_crs, xs, ys)
        except (rasterio.errors.RasterioError, ValueError) as why:
            raise BadInput(file, expected=f"coordinates that {crs} can have", found=why) from why
        xs, ys = (np.nan_to_num(np.asarray(v, dtype=np.float64), nan=1e18, posinf=1e18, neginf=-1e18) for v in moved)
    ends = np.cumsum([len(s.points) for s in shapes])[:-1]
    return np.split(np.round(to_px(xs, ys), 3), ends)


def _elsewhere(gallery: Gallery, file: str, crs: str, shapes: list[_Shape], rasters: list[str]) -> BadInput:
    low = np.min([s.points.min(axis=0) for s in shapes], axis=0)
    high = np.max([s.points.max(axis=0) for s in shapes], axis=0)
    facts = gallery.facts(rasters[0])
    a, b, c, d, e, f = facts.transform or (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    over = (c, f, c + a * facts.width + b * facts.height, f + d * facts.width + e * facts.height)
    expected = f"polygons over {rasters[0]}, which is in {facts.crs} at {_span(*over)}"
    return BadInput(file, expected=expected, found=f"polygons in {crs} at {_span(*low, *high)}")


def _span(x0: float, y0: float, x1: float, y1: float) -> str:
    return f"x {min(x0, x1):.8g} to {max(x0, x1):.8g}, y {min(y0, y1):.8g} to {max(y0, y1):.8g}"
