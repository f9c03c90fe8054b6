"""Verbs that read: each through `seen_by(reader)`, so that what is above the reader takes no part."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from casemate.catalog import Entry, Lineage
from casemate.errors import BadInput, NameTaken, NotAllowed
from casemate.factory.answer_page import mark_again
from casemate.factory.desk import Desk
from casemate.store import checkout, get_bytes, get_manifest

_SINGLE_FILES = {"policy": "policy.dsse.json", "approval": "approval.dsse.json", "revocation": "revocation.dsse.json"}


def entry_row(entry: Entry) -> dict[str, Any]:
    """An entry as facts for people and machines."""
    return {
        "id": entry.id, "kind": entry.kind, "name": entry.name, "project": entry.project, "marking": str(entry.marking),
        "digest": str(entry.digest), "author": entry.author, "created": entry.created.isoformat(timespec="seconds"),
        "facts": dict(entry.facts),
    }  # fmt: skip


def entries(
    desk: Desk, *, kind: str | None = None, project: str | None = None, text: str | None = None
) -> list[dict[str, Any]]:
    """The entries that this person may read, newest first."""
    return [entry_row(entry) for entry in desk.view.walk(kind=kind, project=project, text=text)]


def show(desk: Desk, text: str) -> dict[str, Any]:
    """Everything about one entry."""
    with desk.act("show", text):
        return entry_row(desk.view.find(text))


def get(desk: Desk, text: str, folder: Path) -> dict[str, Any]:
    """Write an entry's files into a new folder, each byte verified."""
    with desk.act("get", text):
        entry = desk.view.find(text)
        if folder.exists():
            raise NameTaken(folder, expected="a folder that does not exist", found="one that does")
        single = _SINGLE_FILES.get(entry.kind)
        if single:
            data = get_bytes(desk.store, entry.digest)
            folder.mkdir(parents=True)
            (folder / single).write_bytes(data)
        else:
            checkout(desk.store, get_manifest(desk.store, entry.digest), folder)
        if entry.kind == "release":
            _with_model(desk, entry, folder)
        if entry.kind == "answer":
            mark_again(desk, entry, folder)
        desk.note("get", f"{entry.kind} {entry.project}/{entry.name}", about=entry, marking=entry.marking, facts={})
        return {**entry_row(entry), "folder": str(folder)}


def _with_model(desk: Desk, release: Entry, folder: Path) -> None:
    """The released model beside its release, with the OpenSSF signature that any tool of that format can verify."""
    model = desk.view.get(str(release.facts["model"]))
    laid_out = checkout(desk.store, get_manifest(desk.store, model.digest), folder / "model")
    (laid_out / "model.sig").write_bytes((folder / "model.sig").read_bytes())


def lineage(desk: Desk, text: str) -> dict[str, Any]:
    """What an entry was made from and what was made from it, as nodes, edges and a drawing."""
    with desk.act("lineage", text):
        entry = desk.view.find(text)
        graph = desk.view.lineage(entry.id)
        nodes = [{key: value for key, value in entry_row(node).items() if key != "facts"} for node in graph.nodes]
        edges = [{"parent": edge.parent, "child": edge.child} for edge in graph.edges]
        return {"root": entry.id, "nodes": nodes, "edges": edges, "tree": list(_tree(graph, entry.id))}


def _tree(graph: Lineage, root: str) -> Iterator[str]:
    by_id = {node.id: node for node in graph.nodes}
    made_from: dict[str, list[str]] = {}
    became: dict[str, list[str]] = {}
    for edge in graph.edges:
        made_from.setdefault(edge.child, []).append(edge.parent)
        became.setdefault(edge.parent, []).append(edge.child)
    yield _node(by_id[root])
    for title, links in (("made from", made_from), ("became", became)):
        if links.get(root):
            yield f"  {title}"
            yield from _branches(links, by_id, root, "    ", frozenset({root}))


def _branches(
    links: dict[str, list[str]], by_id: dict[str, Entry], of: str, indent: str, above: frozenset[str]
) -> Iterator[str]:
    for other in sorted(links.get(of, []), key=lambda i: (by_id[i].created, i)):
        yield f"{indent}└ {_node(by_id[other])}"
        if other not in above:
            yield from _branches(links, by_id, other, indent + "  ", above | {other})


def _node(entry: Entry) -> str:
    return f"{entry.kind} {entry.name} [{entry.marking}] {entry.id[:10]} {entry.digest.hex[:12]}"


def journal(desk: Desk, *, limit: int = 50) -> list[dict[str, Any]]:
    """The latest acts and refusals that this person may read, the latest last."""
    if not 1 <= limit <= 1000:
        raise BadInput("limit", expected="from 1 to 1000 lines", found=limit)
    lines = desk.view.journal(limit=limit).lines
    return [{**vars(line.act), "signed_by": (line.signature or {}).get("keyid", "")} for line in reversed(lines)]


def journal_head(desk: Desk) -> dict[str, Any]:
    """Where the chain ends, to be kept elsewhere. Officers only: it counts every line."""
    with desk.act("journal.head", "the journal's head"):
        if "officer" not in desk.person.roles:
            found = ", ".join(sorted(desk.person.roles))
            raise NotAllowed("the journal's head", expected="the role officer", found=found)
        return dict(vars(desk.catalog.journal.head()))
