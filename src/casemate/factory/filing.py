"""Documents one by one, for programs that know files and collections of files: each document of each set has a name.

Rules. A document is called `file-<entry>-<document>`; a set, as a collection, `vs_<entry>`. A program that is bound to
a project finds nothing outside it, in the words of what does not exist, like what is above its reader. Bytes are
verified as they are read. What is filed is an import like any other: quarantine, inspection, reading, journal.
"""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from casemate.catalog import Entry
from casemate.errors import BadInput, NotFound
from casemate.factory.desk import Desk
from casemate.factory.documents import documents, import_documents
from casemate.modalities import find
from casemate.store import get_manifest
from casemate.store.staging import full_disk_named, staging

KIND = "documents"
_FILE = re.compile(r"file-([a-z2-7]{26})-([0-9a-f]{32})")
_LONGEST_NAME_BYTES = 180
_CHUNK = 1 << 16


@dataclass(frozen=True)
class Paper:
    """One document of a set, as the set's records tell of it, and how many bytes it has."""

    entry: Entry
    facts: dict[str, Any]
    bytes: int

    @property
    def id(self) -> str:
        """Its name."""
        return f"file-{self.entry.id}-{self.facts['id']}"

    @property
    def path(self) -> str:
        """Where it is in its set."""
        return str(self.facts["path"])


def sets(desk: Desk, *, project: str | None) -> Iterator[Entry]:
    """The document sets that were read, newest first; of one project, by its identifier, if it is given."""
    for entry in desk.view.walk(kind=KIND, project=project):
        if "documents" in entry.facts:
            yield entry


def set_called(desk: Desk, entry_id: str, *, project: str | None) -> Entry:
    """The document set with this identifier; NotFound."""
    with desk.act("docs.find", f"documents {entry_id}"):
        return _set(desk, entry_id, project, asked=entry_id)


def papers(desk: Desk, entry: Entry) -> list[Paper]:
    """The documents of a set, in its order."""
    library = find("language").module("library")
    sizes = {file.path: file.size for file in get_manifest(desk.store, entry.digest).files}
    return [
        Paper(entry, facts, sizes.get(f"{library.FILES}/{library.original_of(str(facts['path']))}", 0))
        for facts in documents(desk, entry.id)
    ]


def paper(desk: Desk, file_id: str, *, project: str | None) -> Paper:
    """The document with this name; NotFound."""
    with desk.act("docs.find", file_id[:200]):
        named = _FILE.fullmatch(file_id)
        if named is None:
            raise _none(file_id)
        entry = _set(desk, named[1], project, asked=file_id)
        for one in papers(desk, entry):
            if one.facts["id"] == named[2]:
                return one
        raise _none(file_id)


def _set(desk: Desk, entry_id: str, project: str | None, *, asked: str) -> Entry:
    """The document set with this identifier, in the project with that one, if any."""
    try:
        entry = desk.view.get(entry_id)
        if project is not None:
            desk.view.find(entry.id, project=project)  # by identifier: a namesake's sets are not the project's
    except NotFound:
        raise _none(asked) from None
    if entry.kind != KIND or "documents" not in entry.facts:
        raise _none(asked)
    return entry


def content(desk: Desk, found: Paper) -> Iterator[bytes]:
    """The bytes of the file that a document is in."""
    library = find("language").module("library")
    sought = f"{library.FILES}/{library.original_of(found.path)}"
    file = next(file for file in get_manifest(desk.store, found.entry.digest).files if file.path == sought)
    about = found.entry
    desk.note("docs.get", f"documents {about.project}/{about.name}", about=about, marking=about.marking,
              facts={"document": found.facts["id"]})  # fmt: skip

    def chunks() -> Iterator[bytes]:
        with desk.store.open(file.digest) as stream:
            while data := stream.read(_CHUNK):
                yield data

    return chunks()


def file_away(
    desk: Desk, name: str, source: BinaryIO, *, marking: str, project: str, accept_markings: bool = False
) -> Paper:
    """Take one file in as a document set of its own."""
    called = checked_file_name(name)
    desk.site.shelf.mkdir(mode=0o700, exist_ok=True)
    with (
        full_disk_named(desk.site.shelf),
        staging(desk.site.shelf, ".filed-") as place,
    ):  # not in the quarantine, which sweeps what is not its own
        with (place / called).open("xb") as target:
            shutil.copyfileobj(source, target, _CHUNK)
        row = import_documents(
            desk, place, name=f"{called} {secrets.token_hex(4)}", marking=marking, project=project,
            accept_markings=accept_markings,
        )  # fmt: skip
    return papers(desk, desk.view.get(row["id"]))[0]


def checked_file_name(name: str) -> str:
    """The last part of a file's name as a client gave it."""
    last = name.replace("\\", "/").rpartition("/")[2]
    if not last.isprintable() or not last.strip(". ") or last.startswith(".") or last != last.strip():
        raise BadInput(
            "name of the file", expected="printable characters, none of them a dot to begin with", found=name
        )
    if len(last.encode("utf-8", "replace")) > _LONGEST_NAME_BYTES:
        expected = f"at most {_LONGEST_NAME_BYTES} bytes"
        raise BadInput("name of the file", expected=expected, found=f"{len(last.encode('utf-8', 'replace'))} bytes")
    return last


def _none(text: str) -> NotFound:
    return NotFound(text, expected="a file or a collection that you may read", found="none")
