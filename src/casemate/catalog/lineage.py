"""Which entries were made from which, as a query on entries.

Rules. Both ends of a link are read by the same reader, or there is no link. What is above the reader is no node, is not
counted, and is not stepped through.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Column, Connection, select

from casemate.catalog import schema
from casemate.catalog.entries import Entry, load, none_such
from casemate.catalog.paging import among
from casemate.catalog.site import Site


@dataclass(frozen=True, order=True)
class Edge:
    """One link: `child` was made from `parent`."""

    child: str
    parent: str


@dataclass(frozen=True)
class Lineage:
    """All that an entry was made from, and all that was made from it, oldest first."""

    root: Entry
    nodes: tuple[Entry, ...]
    edges: tuple[Edge, ...]

    @property
    def ancestors(self) -> tuple[Entry, ...]:
        """What the root was made from, directly or not."""
        return self._reached({e.child: set() for e in self.edges}, up=True)

    @property
    def descendants(self) -> tuple[Entry, ...]:
        """What was made from the root, directly or not: what a spill would touch."""
        return self._reached({e.parent: set() for e in self.edges}, up=False)

    def _reached(self, links: dict[str, set[str]], *, up: bool) -> tuple[Entry, ...]:
        for edge in self.edges:
            links[edge.child if up else edge.parent].add(edge.parent if up else edge.child)
        reached, frontier = set[str](), {self.root.id}
        while frontier:
            frontier = {far for near in frontier for far in links.get(near, set())} - reached
            reached |= frontier
        return tuple(node for node in self.nodes if node.id in reached)


def lineage(connection: Connection, site: Site, seen: Sequence[str], root: str) -> Lineage:
    """The lineage of the entry `root` at the markings `seen`; NotFound if it is not among them."""
    found = load(connection, site, seen, [root])
    if not found:
        raise none_such(root)
    link = schema.lineage
    up = _walk(connection, seen, root, near=link.c.child, far=link.c.parent)
    down = _walk(connection, seen, root, near=link.c.parent, far=link.c.child)
    edges = {Edge(near, far) for near, far in up} | {Edge(far, near) for near, far in down}
    ids = {root} | {end for edge in edges for end in (edge.child, edge.parent)}
    nodes = sorted(load(connection, site, seen, ids), key=lambda entry: (entry.created, entry.id))
    return Lineage(found[0], tuple(nodes), tuple(sorted(edges)))


def _walk(
    connection: Connection, seen: Sequence[str], root: str, *, near: Column[str], far: Column[str]
) -> set[tuple[str, str]]:
    """The links from `root` in one direction; a link enters the walk only if its far end is seen."""
    entry = schema.entry
    links = (
        select(near.label("near"), far.label("far")).join(entry, entry.c.id == far).where(among(entry.c.marking, seen))
    )
    first = links.where(near == root).cte("walk", recursive=True)
    walk = first.union(links.join(first, near == first.c.far))
    return {(row.near, row.far) for row in connection.execute(select(walk.c.near, walk.c.far))}
