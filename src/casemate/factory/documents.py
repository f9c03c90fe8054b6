"""Documents: taken in and read into passages, listed, shown at the place that an answer cites; print recognised.

Rules. Quarantine, inspection, reading, store, catalog: whatever is refused leaves nothing but its line in the journal.
What a document says of its own marking may raise the set's, when asked, and never lowers it; unless asked, a document
that says more than was declared refuses the set. A released model that recognised print is a parent of what it read.
No text of a document is in the journal.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from casemate.airlock import Admitted, AdmittedFile, admit, require_clean
from casemate.catalog import Entry, NewEntry
from casemate.errors import BadInput, BadMarking, NotAllowed, NotFound
from casemate.factory import models
from casemate.factory.desk import Desk, Progress
from casemate.factory.inspecting import formats_of, inspected
from casemate.factory.passage import refuse_known_higher
from casemate.factory.reading import entry_row
from casemate.markings import Marking
from casemate.modalities import find
from casemate.store import Digest, Hashed, ManifestFile, get_manifest, put_folder
from casemate.store.staging import full_disk_named, staging

_SET = "document set"
_PLACE = ".page-"


@dataclass(frozen=True)
class Told:
    """How a folder of documents is to be read, and what is done about markings that are written in them."""

    licence: str = ""
    accept_markings: bool = False
    ocr: str = ""


@dataclass(frozen=True)
class Read:
    """A document set that is laid out: its files, facts, marking, and what it was made from."""

    content: Admitted
    facts: dict[str, Any]
    marking: Marking
    parents: tuple[str, ...]


def import_documents(
    desk: Desk, source: Path, *, name: str, marking: str, project: str, licence: str = "",
    accept_markings: bool = False, ocr: str = "", progress: Progress | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Take a folder of documents in and read it; `ocr` names the release that recognises print, else the newest."""
    thing = f"documents {name}"
    with desk.act("docs.import", f"documents {project}/{name}"):
        if not desk.exchange_policy().local_import:
            expected = "a delivery through the airlock ('casemate airlock in'), as the exchange policy says"
            raise NotAllowed(thing, expected=expected, found="an import from this site")
        marked = desk.admitted_marking(marking, thing).join(desk.project_marking(project))
        with admit(source, desk.site.quarantine, progress=progress) as admitted:
            found = inspected(desk, admitted, formats_of("documents", ""), progress=progress)
            require_clean(found.report)
            read = read_set(desk, admitted, marked, thing, Told(licence, accept_markings, ocr), progress=progress)
            folder, files = read.content.folder, read.content.files
            known = {file.path: Hashed.seen(file.digest, (folder / file.path).stat()) for file in files}
            manifest = put_folder(desk.store, folder, move=True, known=known, progress=progress)
        refuse_known_higher(desk, {str(manifest.digest)}, read.marking, thing)
        facts = {**read.facts, **found.facts(), "bytes": manifest.size}
        new = NewEntry("documents", name, project, read.marking, manifest.digest, read.parents, facts)
        return entry_row(desk.catalog.register(new, by=desk.reader, sign=desk.sign))


def read_set(
    desk: Desk, admitted: Admitted, marked: Marking, thing: str, told: Told, *, progress: Progress | None = None
) -> Read:
    """Read clean files of a quarantine, and lay them out as a document set within the same quarantine.

    BadInput where nothing can be read, BadMarking where a document says more than `marked` and that was not accepted.
    """
    model, library = models.in_force(desk, models.OCR, told.ocr), _library()
    area = admitted.folder.parent / _SET
    area.mkdir(mode=0o700)
    files = {file.path: file.digest.hex for file in admitted.files}
    with full_disk_named(area):
        read = library.read(
            admitted.folder, files, area, policy=desk.site.policy, model=model.folder if model else None,
            progress=progress,
        )  # fmt: skip
    if not read.documents:
        first = f"{read.refused[0].path}: {read.refused[0].reason}" if read.refused else "none"
        raise BadInput(thing, expected="at least one document that can be read", found=first)
    used = model if model and any(document.ocr for document in read.documents) else None
    marking = _marking(desk, read, marked, thing, accept=told.accept_markings)
    if used:
        marking = desk.catalog.site.admit_from(marking.join(used.marking), desk.reader, thing=thing)
    content = _laid_out(admitted, area, {refusal.path for refusal in read.refused}, library)
    facts = {**read.facts(), "modality": "language", "licence": told.licence, "files": len(content.files) - 2}
    if used:
        facts["ocr_release"] = used.digest
    return Read(content, facts, marking, (used.entry.id,) if used else ())


def _marking(desk: Desk, read: Any, marked: Marking, thing: str, *, accept: bool) -> Marking:
    """The set's marking: what was declared, raised by what is written where that is accepted."""
    above = [(path, marking) for path, marking in read.written if not marking.within(marked)]
    if not above:
        return marked
    if not accept:
        path, written = above[0]
        others = len({path for path, _ in above}) - 1
        more = f" (and {others} more documents)" if others else ""
        expected = f"documents marked within {marked}, or that what is written in them is accepted"
        raise BadMarking(thing, expected=expected, found=f"{written} written in {path}{more}")
    raised = Marking.join_all(marked, (marking for _, marking in above))
    return desk.catalog.site.admit_from(raised, desk.reader, thing=thing)


def _laid_out(admitted: Admitted, area: Path, refused: set[str], library: ModuleType) -> Admitted:
    """The files that were read below `files/`, beside the two records."""
    files = []
    for file in admitted.files:
        if file.path not in refused:
            to = f"{library.FILES}/{file.path}"
            (area / to).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (admitted.folder / file.path).rename(area / to)
            files.append(replace(file, path=to))
    for name in (library.DOCUMENTS, library.PASSAGES):
        path = area / name
        files.append(AdmittedFile(name, path.stat().st_size, Digest.of_file(path)))
    return replace(admitted, folder=area, files=tuple(sorted(files, key=lambda file: file.path)))


def check_set(folder: Path, paths: Iterable[str]) -> dict[str, Any]:
    """The facts of a peer's document set, counted here; none where its documents were not read."""
    library = _library()
    return dict(library.check(folder)) if library.is_set(paths) else {}


def documents(desk: Desk, entry: str) -> list[dict[str, Any]]:
    """The documents of a set: what each is, how it was read, the markings that are written in it."""
    with desk.act("docs.list", f"documents {entry}"):
        found = desk.view.find(entry, kind="documents")
        library = _library()
        with desk.store.open(_file(desk, found, library.DOCUMENTS).digest) as stream:
            return list(library.documents(stream))


def passage(desk: Desk, entry: str, passage_id: str, *, drawn: bool = True) -> dict[str, Any]:
    """A passage with its document and, of a PDF or a picture, its page as a PNG with the place marked on it.

    A page shows the first page that the passage stands on; its banner says the set's marking.
    """
    with desk.act("docs.page", f"documents {entry}"):
        found = desk.view.find(entry, kind="documents")
        library = _library()
        with desk.store.open(_file(desk, found, library.PASSAGES).digest) as stream:
            passage = library.passage(stream, passage_id)
        if passage is None:
            raise NotFound(f"passage {passage_id}", expected=f"a passage of {found.name}", found="none")
        with desk.store.open(_file(desk, found, library.DOCUMENTS).digest) as stream:
            document = next(one for one in library.documents(stream) if one["id"] == passage["document"])
        answer = {
            "entry": found.id, "name": found.name, "marking": str(found.marking),
            "wording": desk.site.policy.wording(found.marking, _language(desk)),
            "passage": passage, "document": document, "png": None,
        }  # fmt: skip
        if drawn and passage["page"] and document["kind"] in library.DRAWN:
            answer["png"] = _drawn(desk, found, answer, library)
        facts = {"passage": passage_id}
        desk.note("docs.page", f"documents {found.name}", about=found, marking=found.marking, facts=facts)
        return answer


def _drawn(desk: Desk, entry: Entry, answer: dict[str, Any], library: ModuleType) -> bytes:
    passage, path = answer["passage"], str(answer["document"]["path"])
    original = _file(desk, entry, f"{library.FILES}/{library.original_of(path)}")
    boxes = [box[1:] for box in passage["boxes"] if box[0] == passage["page"]]
    with _place(desk) as place:
        target = place / library.original_of(path).rpartition("/")[2]
        _lay(desk, original, target)
        inner = path.removeprefix(library.original_of(path))
        return bytes(library.draw(place, target.name + inner, passage["page"], boxes, answer["wording"]))


def read_text(
    desk: Desk, file: Path, *, marking: str, ocr: str = "", progress: Progress | None = None
) -> dict[str, Any]:
    """The text of one document, of which nothing is kept; print is recognised by the release `ocr`, or the newest."""
    thing = f"file {file.name}"
    with desk.act("ocr", thing):
        marked = desk.admitted_marking(marking, thing)
        library, model = _library(), models.in_force(desk, models.OCR, ocr)
        if model:
            marked = desk.catalog.site.admit_from(marked.join(model.marking), desk.reader, thing=thing)
        with admit(file, desk.site.quarantine) as admitted:
            require_clean(inspected(desk, admitted, formats_of("documents", "")).report)
            area = admitted.folder.parent / _SET
            area.mkdir(mode=0o700)
            files = {one.path: one.digest.hex for one in admitted.files}
            read = library.read(
                admitted.folder, files, area, policy=desk.site.policy, model=model.folder if model else None,
                progress=progress,
            )  # fmt: skip
            if not read.documents:
                refusal = read.refused[0]
                raise BadInput(thing, expected="a document that can be read", found=refusal.reason)
            with (area / library.PASSAGES).open("rb") as stream:
                texts = library.texts(stream)
        answer = _text(read, texts, marked, model.digest if model else "")
        facts = {key: answer[key] for key in ("pages", "ocr_pages", "characters", "release")}
        desk.catalog.journal.append(desk.reader, "ocr", thing, marking=marked, facts=facts, sign=desk.sign)
        return answer


def _text(read: Any, texts: Sequence[dict[str, Any]], marking: Marking, release: str) -> dict[str, Any]:
    notes = [f"{one.path}: {note}" for one in read.documents for note in one.notes]
    notes += [f"{refusal.path}: {refusal.reason}" for refusal in read.refused]
    return {
        "text": "\n\n".join(one["text"] for one in texts), "marking": str(marking),
        "suggested_marking": str(read.suggested), "release": release, "notes": notes,
        "pages": sum(one.pages for one in read.documents), "ocr_pages": sum(one.ocr for one in read.documents),
        "characters": sum(one.characters for one in read.documents),
        "language": read.documents[0].language, "passages": list(texts),
    }  # fmt: skip


def _library() -> ModuleType:
    return find("language").module("library")


def _language(desk: Desk) -> str:
    return "fr" if desk.site.policy.name == "fr" else "en"


def _file(desk: Desk, entry: Entry, path: str) -> ManifestFile:
    """A file of a document set; BadInput where the set was never read."""
    for file in get_manifest(desk.store, entry.digest).files:
        if file.path == path:
            return file
    raise BadInput(f"documents {entry.name}", expected=f"a set that was read, with {path}", found="none")


def _place(desk: Desk) -> Any:
    desk.site.shelf.mkdir(mode=0o700, exist_ok=True)
    return staging(desk.site.shelf, _PLACE)


def _lay(desk: Desk, file: ManifestFile, target: Path) -> None:
    """The bytes of a file, verified as they are read, where a child may read them."""
    with (
        desk.store.open(file.digest) as stream,
        os.fdopen(os.open(target, os.O_WRONLY | os.O_CREAT, 0o400), "wb") as out,
    ):
        while data := stream.read(1 << 20):
            out.write(data)
