"""Keys that a chat template puts together: `x["_" ~ "_class_" ~ "_"]` reaches what `x.__class__` would.

Rules. A key may be computed with numbers, and may come from what a conversation holds. It may not come from text with
underscores that is joined, cut or replaced anywhere on its way, nor from text that the template itself writes.
"""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import nodes

from casemate.airlock.template_words import walk

_JOINING = (nodes.Concat, nodes.Add, nodes.Mul, nodes.Mod)
_NUMBERS = (nodes.Sub, nodes.Div, nodes.FloorDiv, nodes.Neg, nodes.Pos, nodes.Compare, nodes.Test, nodes.Not)
_NUMBER_FILTERS = frozenset({"length", "count", "int", "float", "abs", "round", "wordcount"})
_JOINING_WORDS = frozenset({"join", "replace", "format", "indent", "string", "tojson", "trim", "slice", "reverse"})


def word(node: nodes.Node) -> str:
    """The name or the text that a node is, or nothing."""
    if isinstance(node, nodes.Getattr):
        return node.attr
    if isinstance(node, nodes.Name | nodes.Macro):
        return node.name
    if isinstance(node, nodes.NSRef):
        return node.attr
    if isinstance(node, nodes.Keyword):
        return node.key
    return node.value if isinstance(node, nodes.Const) and isinstance(node.value, str) else ""


def computed_key(every: list[nodes.Node]) -> tuple[str, str] | None:
    """Whether a key such as `x[k]` may be put together from parts with underscores, which would hide a name."""
    sources = _sources(every)
    for node in every:
        if isinstance(node, nodes.Getitem) and not isinstance(node.arg, nodes.Const | nodes.Slice):
            parts = list(_feeding(node.arg, sources))
            joined = any(_joins(part) for part in parts)
            texts = [word(part) for part in parts if isinstance(part, nodes.Const)]
            written = any(isinstance(part, nodes.TemplateData | nodes.Macro) for part in parts)
            decoded = any(isinstance(part, nodes.Filter) and part.name == "from_json" for part in parts)
            if written or any((joined and "_" in text) or (decoded and "\\" in text) for text in texts):
                return "keys that are not put together from text", f"one in line {node.lineno}"
    return None


def _joins(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _JOINING_WORDS
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Getattr):
        return node.node.attr in _JOINING_WORDS
    return isinstance(node, _JOINING)


def _sources(every: list[nodes.Node]) -> dict[str, list[nodes.Node]]:
    """What each name may have been given, anywhere in the template; fields of namespaces are names with a dot."""
    found: dict[str, list[nodes.Node]] = {}
    for target, value in _given(every):
        for node in walk(target):
            if isinstance(node, nodes.Name):
                found.setdefault(node.name, []).append(value)
            elif isinstance(node, nodes.NSRef):
                found.setdefault(f".{node.attr}", []).append(value)
    for node in every:
        if isinstance(node, nodes.Keyword):
            found.setdefault(f".{node.key}", []).append(node.value)
            found.setdefault(node.key, []).append(node.value)
        elif isinstance(node, nodes.Macro):
            found.setdefault(node.name, []).append(node)
    return found


def _given(every: list[nodes.Node]) -> Iterator[tuple[nodes.Node, nodes.Node]]:
    """Every name that is given something, with what."""
    macros = {node.name: node.args for node in every if isinstance(node, nodes.Macro)}
    for node in every:
        if isinstance(node, nodes.Assign):
            yield node.target, node.node
        elif isinstance(node, nodes.AssignBlock):
            yield from ((node.target, inner) for inner in node.body)
        elif isinstance(node, nodes.For):
            yield node.target, node.iter
        elif isinstance(node, nodes.With):
            yield from zip(node.targets, node.values, strict=True)
        elif isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
            yield from zip(macros.get(node.node.name, []), node.args, strict=False)


def _feeding(key: nodes.Node, sources: dict[str, list[nodes.Node]]) -> Iterator[nodes.Node]:
    """Every node from which a key's value may come; what gives numbers ends the search."""
    waiting, seen = [key], set[str]()
    while waiting:
        part = waiting.pop()
        if _gives_numbers(part):
            continue
        yield part
        waiting.extend(part.iter_child_nodes())
        name = f".{part.attr}" if isinstance(part, nodes.Getattr) else part.name if isinstance(part, nodes.Name) else ""
        if name and name not in seen:
            seen.add(name)
            waiting.extend(sources.get(name, []))


def _gives_numbers(node: nodes.Node) -> bool:
    if isinstance(node, nodes.Filter):
        return node.name in _NUMBER_FILTERS
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name):
        return node.node.name == "range"
    return isinstance(node, _NUMBERS)
