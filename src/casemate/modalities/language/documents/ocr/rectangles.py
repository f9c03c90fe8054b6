"""Rectangles that may lean, and the smallest one around a set of points. Pure but for numpy.

Rules. A quad is four corners (x, y): top left, top right, bottom right, bottom left, as they stand on the page.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Quad = NDArray[np.float64]


@dataclass(frozen=True)
class Rectangle:
    """A rectangle around a middle; `width` lies along `angle` (radians)."""

    x: float
    y: float
    angle: float
    width: float
    height: float

    def grown(self, by: float) -> Rectangle:
        """The same with every side moved outwards."""
        return replace(self, width=self.width + 2 * by, height=self.height + 2 * by)

    def quad(self) -> Quad:
        """Its corners."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        along, across = np.array([cos, sin]) * self.width / 2, np.array([-sin, cos]) * self.height / 2
        middle = np.array([self.x, self.y])
        return in_order(np.stack([middle + i * along + j * across for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]))


def smallest(points: NDArray[np.float64]) -> Rectangle:
    """The smallest rectangle around points: one of its sides lies on their hull (Freeman and Shapira, 1975)."""
    hull = hull_of(points)
    edges = np.roll(hull, -1, axis=0) - hull
    angles = np.unique(np.arctan2(edges[:, 1], edges[:, 0]) % (np.pi / 2)) if len(hull) > 1 else np.zeros(1)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    along, across = hull[:, 0] * cos + hull[:, 1] * sin, hull[:, 1] * cos - hull[:, 0] * sin
    low, high = np.stack([along.min(1), across.min(1)]), np.stack([along.max(1), across.max(1)])
    width, height = high - low
    best = int(np.argmin(width * height))
    (a, b), angle = (low[:, best] + high[:, best]) / 2, float(angles[best])
    x, y = a * np.cos(angle) - b * np.sin(angle), a * np.sin(angle) + b * np.cos(angle)
    return Rectangle(float(x), float(y), angle, float(width[best]), float(height[best]))


def hull_of(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of the convex hull of points, in turn (Andrew's monotone chain, 1979)."""
    ordered = [(float(x), float(y)) for x, y in np.unique(points, axis=0)]
    if len(ordered) < 3:
        return np.array(ordered)
    return np.array([*_half(ordered), *_half(ordered[::-1])])


def _half(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    half: list[tuple[float, float]] = []
    for x, y in points:
        while len(half) > 1:
            (ax, ay), (bx, by) = half[-2:]
            if (bx - ax) * (y - ay) > (by - ay) * (x - ax):
                break
            half.pop()
        half.append((x, y))
    return half[:-1]


def in_order(corners: Quad) -> Quad:
    """Corners in the order of a quad: of the two on the left and the two on the right, which is the upper."""
    left, right = np.split(corners[np.argsort(corners[:, 0], kind="stable")], 2)
    (top_left, low_left), (top_right, low_right) = (side[side[:, 1].argsort(kind="stable")] for side in (left, right))
    return np.stack([top_left, top_right, low_right, low_left])


def sides(quad: Quad) -> tuple[float, float]:
    """Width and height of a quad: the longer of two sides that face one another."""
    lengths = np.linalg.norm(np.roll(quad, -1, axis=0) - quad, axis=1)
    return float(max(lengths[0], lengths[2])), float(max(lengths[1], lengths[3]))


def turned(quads: list[Quad], width: float, height: float, quarters: int) -> list[Quad]:
    """Quads of a picture that is turned by quarters against the clock."""
    for _ in range(quarters % 4):
        quads = [in_order(np.stack([quad[:, 1], width - quad[:, 0]], axis=1)) for quad in quads]
        width, height = height, width
    return quads
