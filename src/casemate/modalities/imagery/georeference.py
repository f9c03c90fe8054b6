"""Where the pixels of a scene lie on the ground: WGS 84 longitude and latitude.

Rules. A scene is georeferenced when it has a coordinate system and an affine transform that is not the identity;
ground control points and rational polynomials are not used, and such a scene counts as one without georeference.
Longitude comes first (RFC 7946). Rotated and sheared transforms are followed corner by corner; where a straight edge in
pixels is curved in longitude and latitude, points are added along it. A polygon across the antimeridian is not cut.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_CURVED_PX = 0.1
_POINTS_AN_EDGE = 8
_WGS84 = "OGC:CRS84"

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Georeference:
    """A scene's coordinate system (WKT, with its short name) and affine transform a b c d e f."""

    crs_wkt: str
    name: str
    transform: tuple[float, float, float, float, float, float]

    def lonlat(self, points_px: Points) -> Points:
        """Longitude and latitude in degrees [N, 2] of pixel positions [N, 2]; NaN outside the projection's domain."""
        a, b, c, d, e, f = self.transform
        x, y = points_px[:, 0], points_px[:, 1]
        degrees = _to_wgs84(self.crs_wkt, np.stack([a * x + b * y + c, d * x + e * y + f], axis=1))
        outside = ~np.isfinite(degrees).all(axis=1) | (np.abs(degrees) > np.array([180.0, 90.0])).any(axis=1)
        degrees[outside] = np.nan
        return degrees

    def rings(self, boxes_xyxy_px: NDArray[np.float32]) -> list[list[list[float]] | None]:
        """A closed counter-clockwise ring of longitude and latitude for each box; None outside the domain."""
        if not len(boxes_xyxy_px):
            return []
        points_an_edge = _POINTS_AN_EDGE if self._curved(boxes_xyxy_px) else 1
        outlines = _outlines(boxes_xyxy_px.astype(np.float64), points_an_edge)
        degrees = self.lonlat(outlines.reshape(-1, 2)).reshape(outlines.shape)
        return [_ring(outline) for outline in degrees]

    def _curved(self, boxes_xyxy_px: NDArray[np.float32]) -> bool:
        """Whether the middle of a straight edge is off the straight line on the ground, by a part of a pixel."""
        low, high = boxes_xyxy_px[:, :2].min(axis=0), boxes_xyxy_px[:, 2:].max(axis=0)
        span = (boxes_xyxy_px[:, 2:] - boxes_xyxy_px[:, :2]).max(axis=0)
        corner = np.array([low, high - span]).astype(np.float64)
        boxes = np.concatenate([corner, corner + span], axis=1)
        outlines = _outlines(boxes, 2)
        outline = self.lonlat(outlines.reshape(-1, 2)).reshape(outlines.shape)
        ends, middles = outline[:, ::2], outline[:, 1::2]
        off = np.abs(middles - (ends + np.roll(ends, -1, axis=1)) / 2).max()
        degrees_a_pixel = np.abs(ends[:, 1] - ends[:, 0]).max() / max(float(span[1]), 1.0)
        return bool(off > _CURVED_PX * degrees_a_pixel)


def georeference(dataset: object) -> Georeference | None:
    """The georeference of an open rasterio data set, or None when it has none that can be used."""
    crs, transform = getattr(dataset, "crs", None), getattr(dataset, "transform", None)
    if not crs or transform is None or transform.is_identity or transform.is_degenerate:
        return None
    epsg = crs.to_epsg()
    name = f"EPSG:{epsg}" if epsg else "a coordinate system without EPSG code"
    a, b, c, d, e, f = tuple(transform)[:6]
    return Georeference(crs.to_wkt(), name, (a, b, c, d, e, f))


def _to_wgs84(crs_wkt: str, points: Points) -> Points:
    """Longitude and latitude [N, 2] of points in a coordinate system; NaN for those that it cannot place."""
    from rasterio._err import CPLE_BaseError  # what `transform` raises; there is no public name for it
    from rasterio.crs import CRS
    from rasterio.warp import transform

    try:
        lon, lat = transform(CRS.from_wkt(crs_wkt), CRS.from_string(_WGS84), points[:, 0], points[:, 1])
        return np.stack([np.asarray(lon, np.float64), np.asarray(lat, np.float64)], axis=1)
    except CPLE_BaseError:
        if len(points) == 1:
            return np.full((1, 2), np.nan)
        half = len(points) // 2  # one bad point fails all that are asked for with it
        return np.concatenate([_to_wgs84(crs_wkt, points[:half]), _to_wgs84(crs_wkt, points[half:])])


def _outlines(boxes: Points, points_an_edge: int) -> Points:
    """Outlines [N, 4 * points_an_edge, 2] of boxes: upper left, lower left, lower right, upper right, not closed."""
    x0, y0, x1, y1 = boxes.T
    corners = np.stack([np.stack([x0, x0, x1, x1], 1), np.stack([y0, y1, y1, y0], 1)], axis=2)
    steps = np.arange(points_an_edge)[None, None, :, None] / points_an_edge
    following = np.roll(corners, -1, axis=1)
    points = corners[:, :, None, :] * (1 - steps) + following[:, :, None, :] * steps
    return np.asarray(points.reshape(len(boxes), 4 * points_an_edge, 2))


def _ring(outline: Points) -> list[list[float]] | None:
    """One outline as RFC 7946 wants it: closed, counter-clockwise, 8 decimals (about a millimetre)."""
    if not np.isfinite(outline).all():
        return None
    x, y = outline.T
    twice_area = float(np.dot(x - x[0], np.roll(y, -1)) - np.dot(np.roll(x, -1) - x[0], y))
    ordered = outline if twice_area >= 0 else outline[::-1]
    points: list[list[float]] = [[round(float(lon), 8), round(float(lat), 8)] for lon, lat in ordered]
    return [*points, points[0]]
