"""The geometry of a dossier's drawings: intervals as bars, lineage as layers. Pure; templates draw the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from casemate.errors import BadInput
from casemate.gates.dossier_facts import Node
from casemate.gates.scores import Figure

_ROW, _LEFT, _RIGHT, _WIDTH, _TOP = 30, 270, 690, 760, 14
_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 196, 62, 56, 20, 6
_NAME_CHARACTERS = 20


@dataclass(frozen=True)
class Bar:
    """One figure on a scale from 0 to 1: where its point and the ends of its interval lie."""

    name: str
    y: float
    x: float
    low: float | None
    high: float | None
    figure: Figure


@dataclass(frozen=True)
class Chart:
    """Figures below one another, and the ticks of their scale as (x, value)."""

    width: int
    height: int
    bottom: int
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Box:
    """A node of the lineage at its place."""

    node: Node
    x: float
    y: float
    name: str


@dataclass(frozen=True)
class Graph:
    """A lineage laid out from left to right, and its links as SVG paths."""

    width: float
    height: float
    boxes: tuple[Box, ...]
    links: tuple[str, ...]
    box_width: int = _BOX_WIDTH
    box_height: int = _BOX_HEIGHT


def chart(figures: Mapping[str, Figure]) -> Chart:
    """Those of `figures` that lie between 0 and 1, in the given order."""
    known = {n: f for n, f in figures.items() if f.value is not None and 0 <= f.value <= 1}
    bars = tuple(
        Bar(name, _TOP + _ROW * (i + 0.5), _x(f.value or 0.0), _end(f.low), _end(f.high), f)
        for i, (name, f) in enumerate(known.items())
    )
    bottom = _TOP + _ROW * len(bars)
    return Chart(_WIDTH, bottom + 26, bottom, bars, tuple((_x(t / 5), t / 5) for t in range(6)))


def graph(nodes: Sequence[Node]) -> Graph:
    """Each entry to the right of all it was made from; parents that are not among `nodes` take no part."""
    layers = _layers({node.id: node for node in nodes})
    tallest = max((len(layer) for layer in layers), default=0)
    height = tallest * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    boxes: dict[str, Box] = {}
    for i, layer in enumerate(layers):
        used = len(layer) * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y
        layer.sort(key=lambda node: fmean([boxes[p].y for p in node.made_from if p in boxes] or [0.0]))
        for j, node in enumerate(layer):
            x = _MARGIN + i * (_BOX_WIDTH + _GAP_X)
            boxes[node.id] = Box(node, x, (height - used) / 2 + j * (_BOX_HEIGHT + _GAP_Y), _short(node.name))
    width = len(layers) * (_BOX_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    links = tuple(_link(boxes[p], boxes[n.id]) for n in nodes for p in n.made_from if p in boxes)
    return Graph(width, height, tuple(boxes.values()), links)


def _layers(nodes: Mapping[str, Node]) -> list[list[Node]]:
    depth: dict[str, int] = {}
    left = dict(nodes)
    while left:
        ready = [n for n in left.values() if not any(p in left for p in n.made_from)]
        if not ready:
            raise BadInput("lineage", expected="no entry made from itself", found=" and ".join(sorted(left)))
        for node in ready:
            depth[node.id] = 1 + max((depth[p] for p in node.made_from if p in depth), default=-1)
            del left[node.id]
    for node in nodes.values():  # what was made from nothing stands right before its first use: links stay short
        children = [depth[n.id] for n in nodes.values() if node.id in n.made_from]
        if children and not any(p in nodes for p in node.made_from):
            depth[node.id] = min(children) - 1
    return [[nodes[i] for i in depth if depth[i] == at] for at in range(max(depth.values(), default=-1) + 1)]


def _link(parent: Box, child: Box) -> str:
    x0, y0 = parent.x + _BOX_WIDTH, parent.y + _BOX_HEIGHT / 2
    x1, y1 = child.x, child.y + _BOX_HEIGHT / 2
    bend = _GAP_X / 2
    return f"M {x0:g} {y0:g} C {x0 + bend:g} {y0:g} {x1 - bend:g} {y1:g} {x1:g} {y1:g}"


def _x(value: float) -> float:
    return round(_LEFT + (_RIGHT - _LEFT) * min(1.0, max(0.0, value)), 2)


def _end(value: float | None) -> float | None:
    return None if value is None else _x(value)


def _short(name: str) -> str:
    return name if len(name) <= _NAME_CHARACTERS else name[: _NAME_CHARACTERS - 1] + "…"
