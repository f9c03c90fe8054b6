"""`/v1/files`: documents, one by one; a file that is sent becomes a document set at the marking that it declares.

Rules. A file without a declared marking is refused: nothing enters unmarked. It goes through quarantine and inspection
before the answer, which is why it may take a while. What is in the catalog stays: a file is neither changed nor removed
over this API.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, BinaryIO

from starlette.datastructures import UploadFile
from starlette.responses import Response, StreamingResponse

from casemate.console import faults
from casemate.console.desk import Ask, Route
from casemate.console.faults import Fault
from casemate.console.pages import Page, page_of, whole_list
from casemate.console.routes.asking import own_project
from casemate.factory.filing import Paper

_DOCUMENTS = ("documents", "all-documents")
_PURPOSES = frozenset({"assistants", "user_data"})
_PAGES = {
    "limit": "How many, up to 10000.",
    "order": "asc or desc, by time.",
    "after": "The last id of the page before.",
}


async def upload(ask: Ask[None]) -> Response:
    """Take a file in."""
    async with ask.form(most_fields=16) as form:
        file, purpose = form.get("file"), form.get("purpose")
        if not isinstance(file, UploadFile):
            raise Fault(400, "invalid_value", "The field 'file' must be a file.", param="file")
        if purpose not in _PURPOSES:
            raise faults.unsupported("a purpose other than assistants or user_data", "say one of them", param="purpose")
        known = {"file", "purpose", "marking", "accept_markings"}
        if unknown := sorted(set(form) - known):
            raise faults.unsupported(f"the field {unknown[0][:60]!r}", "leave it out", param=unknown[0][:60])
        marking = ask.declared(form.get("marking") or None, "file")
        if marking is None:
            message = "A file needs its marking: the field 'marking', or the header X-Casemate-Marking."
            raise Fault(400, "marking_required", message, param="marking")
        accept = form.get("accept_markings") == "true"
        project, source, name = ask.guest.key.project, file.file, file.filename or ""
        kept = await ask.heavy(lambda: _filed(ask, name, source, marking, project, accept=accept))
    return ask.json(_file(kept), marking=kept.entry.marking)


def _filed(ask: Ask[None], name: str, source: BinaryIO, marking: str, project: str, *, accept: bool) -> Paper:
    return ask.desk.file_away(name, source, marking=marking, project=project, accept_markings=accept)


async def list_files(ask: Ask[None]) -> Response:
    """The files that the key may read."""
    page = page_of(ask.request.query_params, most=10_000, usual=1000)
    if ask.request.query_params.get("purpose", "assistants") != "assistants":
        found: list[Paper] = []
        more = False
    else:
        found, more = await ask.do(lambda: _listed(ask, page))
    answer = whole_list([_file(paper) for paper in found], more=more)
    return ask.json(answer, marking=ask.joined(paper.entry.marking for paper in found))


def _listed(ask: Ask[None], page: Page) -> tuple[list[Paper], bool]:
    """A page of documents: sets by time, the documents of each in its order."""
    desk, project = ask.desk, own_project(ask)
    begin = desk.paper(page.after, project=project) if page.after else None
    entries = list(desk.document_sets(project=project))
    if page.ascending:
        entries.reverse()
    if begin is not None:
        entries = entries[[entry.id for entry in entries].index(begin.entry.id) :]

    def every() -> Iterator[Paper]:
        for entry in entries:
            yield from desk.papers(entry)

    found: list[Paper] = []
    passed = begin is None
    for paper in every():
        if passed:
            found.append(paper)
        elif begin is not None and paper.id == begin.id:
            passed = True
        if len(found) > page.limit:
            break
    return found[: page.limit], len(found) > page.limit


async def get_file(ask: Ask[None]) -> Response:
    """One file."""
    found = await ask.do(lambda: ask.desk.paper(ask.path["file_id"], project=own_project(ask)))
    return ask.json(_file(found), marking=found.entry.marking)


async def file_content(ask: Ask[None]) -> Response:
    """The bytes of a file."""
    found = await ask.do(lambda: ask.desk.paper(ask.path["file_id"], project=own_project(ask)))
    chunks = await ask.do(lambda: ask.desk.paper_content(found))
    headers = ask.headers(found.entry.marking) | {"Content-Disposition": "attachment"}
    return StreamingResponse(chunks, media_type="application/octet-stream", headers=headers)


async def delete_file(_: Ask[None]) -> Response:
    """Refused, whatever is named."""
    raise faults.unsupported("removing a file", "what is in the catalog stays; an officer raises or withdraws it")


def _file(paper: Paper) -> dict[str, Any]:
    entry, facts = paper.entry, paper.facts
    return {
        "id": paper.id, "object": "file", "bytes": paper.bytes, "created_at": int(entry.created.timestamp()),
        "filename": paper.path, "purpose": "assistants", "status": "processed",
        "casemate": {
            "entry": entry.id, "document": facts["id"], "marking": str(entry.marking), "project": entry.project,
            "kind": facts["kind"], "title": facts["title"], "language": facts["language"], "date": facts["date"],
            "pages": facts["pages"], "passages": facts["passages"], "vector_store": f"vs_{entry.id}",
        },
    }  # fmt: skip


_FORM = {
    "file": "The document.",
    "purpose": "assistants or user_data.",
    "marking": "Its marking; required, here or in the header X-Casemate-Marking.",
    "accept_markings": "true: what is written in it may raise its marking.",
}
ROUTES = (
    Route("POST", "/v1/files", upload, "Take a document in, at its marking", ("upload",), form=_FORM),
    Route("GET", "/v1/files", list_files, "The documents that may be read", _DOCUMENTS, query=_PAGES),
    Route("GET", "/v1/files/{file_id}", get_file, "One of them", _DOCUMENTS),
    Route("GET", "/v1/files/{file_id}/content", file_content, "Its bytes", _DOCUMENTS),
    Route("DELETE", "/v1/files/{file_id}", delete_file, "Refused: what is in the catalog stays", _DOCUMENTS),
)
