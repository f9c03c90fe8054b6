"""`/v1/vector_stores`: document sets as collections, and searching in them.

Rules. A store is a document set (`vs_<entry>`) or the key's whole project (`vs_project_<project>`): both are there by
themselves, because the index is made from the catalog and what is in the catalog is in it. So a store is not made,
changed, filled or removed; whoever tries is told where files go instead. A search is exact over what the reader sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field
from starlette.responses import Response

from casemate.catalog import Entry, Project
from casemate.console import faults
from casemate.console.bodies import Body
from casemate.console.desk import Ask, Route
from casemate.console.pages import page_of, whole_list
from casemate.console.routes.asking import own_project
from casemate.console.routes.talk import Marked, Short
from casemate.errors import NotFound
from casemate.factory.filing import Paper

_SCOPES = ("documents", "all-documents")
_SET, _PROJECT = "vs_", "vs_project_"
_PAGES = {"limit": "How many, up to 100.", "order": "asc or desc, by time.", "after": "The last id of the page before."}
_FILTERED = {"kind": "kinds", "language": "languages"}


class Comparison(Body):
    """A condition on an attribute of a passage."""

    type: Literal["eq", "in", "gte", "lte", "ne", "gt", "lt", "nin"]
    key: Short
    value: str | float | bool | Annotated[list[Short], Field(max_length=100)]


class Together(Body):
    """Conditions that must all hold."""

    type: Literal["and", "or"]
    filters: Annotated[list[Comparison], Field(max_length=20)]


class Ranking(Body):
    """How results are ranked; there is one ranker, whatever is named."""

    ranker: Short | None = None
    score_threshold: float = Field(default=0.0, ge=0, le=1)


class SearchBody(Body):
    """A search in a store."""

    query: str | Annotated[list[str], Field(min_length=1, max_length=20)]
    max_num_results: int = Field(default=10, ge=1, le=50)
    filters: Comparison | Together | None = None
    ranking_options: Ranking = Ranking()
    rewrite_query: bool = False
    casemate: Marked = Marked()


async def list_stores(ask: Ask[None]) -> Response:
    """The key's project, then document sets by time."""
    page = page_of(ask.request.query_params, most=100, usual=20)
    own = await ask.do(lambda: _own(ask))
    entries = await ask.do(lambda: list(ask.desk.document_sets(project=own_project(ask))))
    ordered = list(reversed(entries)) if page.ascending else entries
    rows = [_store(entry) for entry in ordered]
    if own is not None:
        inside = await ask.do(lambda: list(ask.desk.document_sets(project=own.id)))
        rows.insert(0, _whole(own, inside))
    ids = [row["id"] for row in rows]
    if page.after and page.after not in ids:
        raise _none(page.after)
    begin = ids.index(page.after) + 1 if page.after else 0
    shown = rows[begin : begin + page.limit]
    marking = ask.joined([*([own.marking] if own else []), *(entry.marking for entry in entries)])
    return ask.json(whole_list(shown, more=len(rows) > begin + page.limit), marking=marking)


async def get_store(ask: Ask[None]) -> Response:
    """One store."""
    found = await ask.do(lambda: _found(ask, ask.path["store_id"]))
    if isinstance(found, Entry):
        return ask.json(_store(found), marking=found.marking)
    inside = await ask.do(lambda: list(ask.desk.document_sets(project=found.id)))
    marking = ask.joined([found.marking, *(entry.marking for entry in inside)])
    return ask.json(_whole(found, inside), marking=marking)


async def store_files(ask: Ask[None]) -> Response:
    """The files of a document set."""
    page = page_of(ask.request.query_params, most=100, usual=20)
    entry = await ask.do(lambda: _set(ask))
    papers = await ask.do(lambda: ask.desk.papers(entry))
    ids = [paper.id for paper in papers]
    if page.after and page.after not in ids:
        raise _none(page.after)
    begin = ids.index(page.after) + 1 if page.after else 0
    shown = [_held(paper) for paper in papers[begin : begin + page.limit]]
    return ask.json(whole_list(shown, more=len(papers) > begin + page.limit), marking=entry.marking)


async def store_file(ask: Ask[None]) -> Response:
    """One file of a document set."""
    entry = await ask.do(lambda: _set(ask))
    for paper in await ask.do(lambda: ask.desk.papers(entry)):
        if paper.id == ask.path["file_id"]:
            return ask.json(_held(paper), marking=entry.marking)
    raise _none(ask.path["file_id"])


async def search(ask: Ask[SearchBody]) -> Response:
    """The passages of a store that answer a query best."""
    body = ask.body
    if body.rewrite_query:
        raise faults.unsupported("rewrite_query", "ask in your own words", param="rewrite_query")
    text = body.query if isinstance(body.query, str) else " ".join(body.query)
    found = await ask.do(lambda: _found(ask, ask.path["store_id"]))
    sought = _sought(body.filters)
    if isinstance(found, Entry):
        sought["documents"] = [found.id]
    else:
        sought["within"] = found.id
    answer = await ask.do(lambda: ask.desk.search(text, limit=body.max_num_results, **sought))
    rows = [row for row in answer["hits"] if row["confidence"] >= body.ranking_options.score_threshold]
    names = await ask.do(lambda: _names(ask, rows))
    data = [_hit(row, names) for row in rows]
    told = {
        "object": "vector_store.search_results.page", "search_query": [text], "data": data,
        "has_more": False, "next_page": None,
    }  # fmt: skip
    releases = [answer["embedder"]] if answer["embedder"] else []
    return ask.json(told, marking=ask.desk.site.policy.parse(answer["marking"]), releases=releases)


async def refused(_: Ask[None]) -> Response:
    """Refused, whatever is named."""
    raise faults.unsupported(
        "making, changing, filling or removing a vector store",
        "every document set is one by itself; send files to /v1/files, and search vs_<entry> or vs_project_<project>",
    )


def _own(ask: Ask[Any]) -> Project | None:
    """The key's project; None under a ceiling that hides it."""
    try:
        return ask.desk.view.project(ask.guest.key.project)
    except NotFound:
        return None


def _found(ask: Ask[Any], store_id: str) -> Entry | Project:
    project = own_project(ask)
    if store_id.startswith(_PROJECT):
        named = store_id.removeprefix(_PROJECT)
        for one in ask.desk.view.projects():
            if one.id == named and project in {None, one.id}:
                return one
        raise _none(store_id)
    try:
        return ask.desk.document_set(store_id.removeprefix(_SET), project=project)
    except NotFound:
        raise _none(store_id) from None


def _set(ask: Ask[Any]) -> Entry:
    found = _found(ask, ask.path["store_id"])
    if isinstance(found, Entry):
        return found
    raise faults.unsupported("listing the files of a project's store", "use /v1/files")


def _sought(filters: Comparison | Together | None) -> dict[str, Any]:
    """The filters of a search; Fault for a condition that the index has not."""
    if filters is None:
        return {}
    if isinstance(filters, Together):
        if filters.type == "or":
            raise faults.unsupported("'or' in a filter", "use 'in'", param="filters")
        conditions: Sequence[Comparison] = filters.filters
    else:
        conditions = [filters]
    sought: dict[str, Any] = {}
    for condition in conditions:
        name, value = _condition(condition)
        if name in sought:
            raise faults.unsupported(f"two conditions on {condition.key}", "use one", param="filters")
        sought[name] = value
    return sought


def _condition(condition: Comparison) -> tuple[str, Any]:
    key, value = condition.key, condition.value
    if key == "date" and condition.type in {"gte", "lte"} and isinstance(value, str):
        return ("since" if condition.type == "gte" else "until"), value
    if key in {"kind", "language"} and condition.type in {"eq", "in"}:
        values = value if isinstance(value, list) else [value]
        if all(isinstance(one, str) for one in values):
            return _FILTERED[key], values
    raise faults.unsupported(
        "this condition", "filters are kind and language (eq, in) and date (gte, lte)", param="filters"
    )


def _names(ask: Ask[Any], rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    """The paths of the documents that were found, by the names of their files."""
    names: dict[str, str] = {}
    for entry_id in dict.fromkeys(row["passage"].partition(":")[0] for row in rows):
        entry = ask.desk.view.get(entry_id)
        names |= {paper.id: paper.path for paper in ask.desk.papers(entry)}
    return names


def _hit(row: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    file_id = f"file-{row['passage'].partition(':')[0]}-{row['document']}"
    keys = ("passage", "marking", "project", "title", "heading", "page", "kind", "language", "date", "rank")
    attributes = {key: row[key] if isinstance(row[key], int) else str(row[key])[:512] for key in keys}
    return {
        "file_id": file_id, "filename": names.get(file_id, row["title"]), "score": row["confidence"],
        "attributes": attributes, "content": [{"type": "text", "text": row["text"]}],
    }  # fmt: skip


def _store(entry: Entry) -> dict[str, Any]:
    said = {"marking": str(entry.marking), "project": entry.project, "entry": entry.id}
    return _collection(f"{_SET}{entry.id}", entry.name, int(entry.created.timestamp()), [entry], said)


def _whole(project: Project, inside: Sequence[Entry]) -> dict[str, Any]:
    said = {"marking": str(project.marking), "project": project.name}
    return _collection(f"{_PROJECT}{project.id}", project.name, int(project.created.timestamp()), inside, said)


def _collection(
    store_id: str, name: str, created: int, inside: Sequence[Entry], said: dict[str, str]
) -> dict[str, Any]:
    count = sum(int(entry.facts["documents"]) for entry in inside)
    return {
        "id": store_id, "object": "vector_store", "created_at": created, "name": name, "status": "completed",
        "usage_bytes": sum(int(entry.facts.get("bytes", 0)) for entry in inside), "last_active_at": None,
        "file_counts": {"in_progress": 0, "completed": count, "failed": 0, "cancelled": 0, "total": count},
        "metadata": {}, "casemate": said,
    }  # fmt: skip


def _held(paper: Paper) -> dict[str, Any]:
    return {
        "id": paper.id, "object": "vector_store.file", "usage_bytes": paper.bytes, "status": "completed",
        "created_at": int(paper.entry.created.timestamp()), "vector_store_id": f"{_SET}{paper.entry.id}",
        "last_error": None, "attributes": {"filename": paper.path[:512], "kind": str(paper.facts["kind"])},
    }  # fmt: skip


def _none(text: str) -> NotFound:
    return NotFound(text, expected="a file or a collection that you may read", found="none")


_BASE = "/v1/vector_stores"
_REFUSED = (
    ("POST", _BASE), ("POST", _BASE + "/{store_id}"), ("DELETE", _BASE + "/{store_id}"),
    ("POST", _BASE + "/{store_id}/files"), ("DELETE", _BASE + "/{store_id}/files/{file_id}"),
    ("POST", _BASE + "/{store_id}/files/{file_id}"), ("POST", _BASE + "/{store_id}/file_batches"),
)  # fmt: skip
ROUTES = (
    Route("GET", _BASE, list_stores, "Document sets as collections", _SCOPES, query=_PAGES),
    Route("GET", _BASE + "/{store_id}", get_store, "One of them", _SCOPES),
    Route("GET", _BASE + "/{store_id}/files", store_files, "The files of a document set", _SCOPES, query=_PAGES),
    Route("GET", _BASE + "/{store_id}/files/{file_id}", store_file, "One of them", _SCOPES),
    Route("POST", _BASE + "/{store_id}/search", search, "Search in a collection", _SCOPES, SearchBody),
    *(Route(method, path, refused, "Refused: collections are document sets", _SCOPES) for method, path in _REFUSED),
)
