"""A taxonomy: the tree of what can be answered, from "something is there" down to the type.

Rules. One root; each other node has one parent; a word (name or alias) means one node, whatever its case, hyphens or
underscores. The order of nodes is depth first, parents before children, and never changes by itself: a model's outputs
are numbered by it. Parse∘print is the identity, for TOML and for JSON. Pure: the only reading is of the taxonomies that
ship with this room.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput

_NAME = re.compile(r"[^\W_](?:[\w .()'-]{0,62}[\w)])?")
_SHIPPED = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


@dataclass(frozen=True)
class Node:
    """One answer: its name, what it is a kind of, other spellings, and the coarsest pixel at which it may be given."""

    name: str
    parent: str | None = None
    aliases: tuple[str, ...] = ()
    max_gsd_m: float | None = None
    names: tuple[tuple[str, str], ...] = ()

    def wording(self, language: str = "en") -> str:
        """The node's name as pages show it in `language`."""
        return dict(self.names).get(language, self.name)


class _NodeDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    parent: str | None = None
    aliases: list[str] = []
    max_gsd_m: float | None = None
    names: dict[str, str] = {}


class _TaxonomyDocument(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    name: str
    nodes: list[_NodeDocument] = Field(min_length=1)


@dataclass(frozen=True)
class Taxonomy:
    """The tree, its nodes depth first; equal when name and nodes are."""

    name: str
    nodes: tuple[Node, ...]
    _words: Mapping[str, str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Put the nodes in depth-first order; refuse what is not one tree or gives a word two meanings."""
        source = f"taxonomy {self.name}"
        object.__setattr__(self, "nodes", _depth_first(self.nodes, source))
        object.__setattr__(self, "_words", _words(self.nodes, source))

    # ── reading and printing ─────────────────────────────────────────────────────────────────────────────────────────
    @classmethod
    def from_toml(cls, text: str, *, source: str = "taxonomy") -> Taxonomy:
        """Read a taxonomy from TOML; unknown keys, two roots and words with two meanings are errors naming `source`."""
        try:
            return cls._from_document(tomllib.loads(text), source)
        except tomllib.TOMLDecodeError as why:
            raise BadInput(source, expected="a taxonomy in TOML", found=why) from why

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | str | bytes, *, source: str = "taxonomy") -> Taxonomy:
        """Read what `to_json` gave, as a mapping or as its text."""
        if isinstance(document, str | bytes):
            try:
                document = json.loads(document)
            except ValueError as why:
                raise BadInput(source, expected="a taxonomy in JSON", found=why) from why
        return cls._from_document(document, source)

    @classmethod
    def shipped(cls, name: str = "overhead") -> Taxonomy:
        """One of the taxonomies that come with Casemate, by name."""
        if name not in shipped_taxonomies():
            raise BadInput(f"taxonomy {name}", expected=" or ".join(shipped_taxonomies()), found=repr(name))
        file = resources.files("casemate.modalities.imagery").joinpath("taxonomies", f"{name}.toml")
        return cls.from_toml(file.read_text(encoding="utf-8"), source=f"{name}.toml")

    @classmethod
    def _from_document(cls, document: object, source: str) -> Taxonomy:
        try:
            raw = _TaxonomyDocument.model_validate(document)
        except ValidationError as why:
            raise BadInput(source, expected="a taxonomy: a name and its nodes", found=_first(why)) from why
        nodes = (
            Node(n.name, n.parent, tuple(n.aliases), n.max_gsd_m, tuple(sorted(n.names.items()))) for n in raw.nodes
        )
        return cls(raw.name, tuple(nodes))

    def to_json(self) -> dict[str, Any]:
        """The taxonomy as a JSON-ready mapping, which other documents may hold; absent facts are left out."""
        return {"name": self.name, "nodes": [_node_json(n) for n in self.nodes]}

    def to_toml(self) -> str:
        """The taxonomy as TOML; `from_toml` reads it back."""
        lines = [f"name = {_toml(self.name)}"]
        for node in self.nodes:
            lines += ["", "[[nodes]]", *(f"{key} = {_toml(value)}" for key, value in _node_json(node).items())]
        return "\n".join(lines) + "\n"

    # ── the tree ─────────────────────────────────────────────────────────────────────────────────────────────────────
    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every node's name: root first, parents before children, always in the same order."""
        return tuple(n.name for n in self.nodes)

    @property
    def root(self) -> str:
        """The name of the node that says no more than "something is there"."""
        return self.nodes[0].name

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """Names of the nodes without children, in the tree's order."""
        return tuple(n for n in self.names if not self.children(n))

    @cached_property
    def _by_name(self) -> dict[str, Node]:
        return {n.name: n for n in self.nodes}

    @cached_property
    def _indexes(self) -> dict[str, int]:
        return {name: i for i, name in enumerate(self.names)}

    @cached_property
    def _children(self) -> dict[str, tuple[str, ...]]:
        grouped: dict[str, list[str]] = {n: [] for n in self.names}
        for node in self.nodes[1:]:
            grouped[str(node.parent)].append(node.name)
        return {name: tuple(children) for name, children in grouped.items()}

    def node(self, name: str) -> Node:
        """The node of this very name; BadInput when there is none."""
        found = self._by_name.get(name)
        if found is None:
            raise self._unknown(name)
        return found

    def index(self, name: str) -> int:
        """The node's place in `names`, which numbers a model's outputs."""
        return self._indexes[self.node(name).name]

    def parent(self, name: str) -> str | None:
        """What the node is a kind of; None for the root."""
        return self.node(name).parent

    def children(self, name: str) -> tuple[str, ...]:
        """The kinds of this node, in the tree's order."""
        return self._children[self.node(name).name]

    def path(self, name: str) -> tuple[str, ...]:
        """Names from the root down to the node, both included."""
        steps = [self.node(name).name]
        while (parent := self._by_name[steps[-1]].parent) is not None:
            steps.append(parent)
        return tuple(reversed(steps))

    def depth(self, name: str) -> int:
        """Steps from the root: 0 for the root itself."""
        return len(self.path(name)) - 1

    def descendants(self, name: str) -> tuple[str, ...]:
        """The node and all below it, in the tree's order."""
        below = {self.node(name).name}
        for node in self.nodes:  # parents come before children, so that one pass is enough
            if node.parent in below:
                below.add(node.name)
        return tuple(n for n in self.names if n in below)

    def is_a(self, name: str, ancestor: str) -> bool:
        """Whether `name` is `ancestor` or a kind of it."""
        return self.node(ancestor).name in self.path(name)

    def common(self, first: str, second: str) -> str:
        """The deepest node that both are a kind of."""
        shared = [a for a, b in zip(self.path(first), self.path(second), strict=False) if a == b]
        return shared[-1]

    def max_gsd_m(self, name: str) -> float | None:
        """The coarsest ground sampling distance at which the node may be answered: its own or its nearest ancestor's.

        Metres a pixel; None: no limit is known.
        """
        limits = [self._by_name[n].max_gsd_m for n in self.path(name)]
        return next((limit for limit in reversed(limits) if limit is not None), None)

    def covered(self, exhaustive: Iterable[str]) -> frozenset[str]:
        """Nodes of which no instance went without a box, where the `exhaustive` ones are labelled throughout.

        That is: these nodes, all below them, and a parent of several children that are all covered. Where a set has no
        box, only these nodes may be taught as absent; of the others nothing is known.
        """
        covered = {below for name in exhaustive for below in self.descendants(name)}
        for name in reversed(self.names):
            children = self.children(name)
            if len(children) > 1 and covered.issuperset(children):
                covered.add(name)
        return frozenset(covered)

    def restricted(self, names: Iterable[str]) -> Taxonomy:
        """The same tree with only the named nodes and what leads to them."""
        kept = {step for name in names for step in self.path(name)} | {self.root}
        return Taxonomy(self.name, tuple(n for n in self.nodes if n.name in kept))

    def resolve(self, word: str) -> str:
        """The name of the node that a word means, by name or alias; BadInput lists the names."""
        found = self._words.get(fold(word))
        if found is None:
            raise self._unknown(word)
        return found

    def knows(self, word: str) -> bool:
        """Whether the word is a node's name or alias."""
        return fold(word) in self._words

    def _unknown(self, word: str) -> BadInput:
        return BadInput(f"class {word!r}", expected=f"one of {', '.join(self.names)}", found=repr(word))


def shipped_taxonomies() -> list[str]:
    """Names of the taxonomies that come with Casemate."""
    files = resources.files("casemate.modalities.imagery").joinpath("taxonomies").iterdir()
    stems = (f.name.removesuffix(".toml") for f in files if f.name.endswith(".toml"))
    return sorted(s for s in stems if _SHIPPED.fullmatch(s))


def fold(word: str) -> str:
    """How words are compared: case, hyphens, underscores and surplus spaces do not matter."""
    return " ".join(word.casefold().replace("_", " ").replace("-", " ").split())


def _depth_first(nodes: tuple[Node, ...], source: str) -> tuple[Node, ...]:
    by_parent: dict[str | None, list[Node]] = {}
    for node in nodes:
        _check(node, source)
        by_parent.setdefault(node.parent, []).append(node)
    roots = by_parent.get(None, [])
    if len(roots) != 1:
        found = ", ".join(repr(n.name) for n in roots) or "none"
        raise BadInput(source, expected="one root (a node without parent)", found=found)
    ordered, waiting = [], list(roots)
    while waiting:
        ordered.append(waiting.pop())
        waiting += reversed(by_parent.pop(ordered[-1].name, []))
    names = [n.name for n in ordered]
    odd = sorted({n.name for n in nodes}.difference(names)) or sorted({n for n in names if names.count(n) > 1})
    if odd:
        raise BadInput(source, expected="every node to descend from the root once", found=repr(odd[0]))
    return tuple(ordered)


def _check(node: Node, source: str) -> None:
    if not _NAME.fullmatch(node.name):
        raise BadInput(source, expected="a name of 1 to 64 letters, digits, spaces and .-'()", found=repr(node.name))
    if node.max_gsd_m is not None and not (math.isfinite(node.max_gsd_m) and node.max_gsd_m > 0):
        raise BadInput(f"{source}, node {node.name}", expected="max_gsd_m above 0", found=node.max_gsd_m)


def _words(nodes: tuple[Node, ...], source: str) -> dict[str, str]:
    words: dict[str, str] = {}
    for node in nodes:
        for spelling in (node.name, *node.aliases):
            other = words.setdefault(fold(spelling), node.name)
            if other != node.name or not fold(spelling):
                expected = f"{spelling!r} to mean one node"
                raise BadInput(source, expected=expected, found=f"{other} and {node.name}")
    return words


def _node_json(node: Node) -> dict[str, Any]:
    facts = {"parent": node.parent, "aliases": list(node.aliases), "max_gsd_m": node.max_gsd_m}
    return (
        {"name": node.name}
        | {k: v for k, v in facts.items() if v}
        | ({"names": dict(node.names)} if node.names else {})
    )


def _toml(value: object) -> str:
    """A string, a number, a list or a flat mapping of strings, as TOML; JSON's escapes are TOML's too."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(k)} = {_toml(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)


def _first(why: ValidationError) -> str:
    error = why.errors()[0]
    return f"{'.'.join(str(step) for step in error['loc']) or 'document'}: {error['msg']}"
