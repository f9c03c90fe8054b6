"""Document sets: the door of `documents`, through which a set is made, checked, looked up and shown.

Rules. Nothing here parses what others wrote: children do. What a set's own records say is read strictly.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.markings import Policy
from casemate.modalities.language.documents import records
from casemate.modalities.language.documents.kinds import INSIDE
from casemate.modalities.language.documents.limits import Limits
from casemate.modalities.language.documents.process import BrokenReaderError, ReadingProcess
from casemate.modalities.language.documents.reading import ReadSet, read_folder
from casemate.modalities.language.documents.source import UnreadableError
from casemate.store.cores import Progress

DOCUMENTS, PASSAGES, FILES = records.DOCUMENTS, records.PASSAGES, records.FILES
DRAWN = frozenset({"pdf", "image"})  # kinds whose pages can be shown


def read(
    folder: Path,
    files: Mapping[str, str],
    into: Path,
    *,
    policy: Policy,
    model: Path | None = None,
    limits: Limits | None = None,
    progress: Progress | None = None,
) -> ReadSet:
    """Read files (path to SHA-256 in hexadecimal) below `folder`, and write the records of a set into `into`."""
    return read_folder(folder, files, into, policy=policy, model=model, limits=limits, progress=progress)


def is_set(paths: Iterable[str]) -> bool:
    """Whether files of these paths are a document set that was read already."""
    return records.is_set(paths)


def check(folder: Path) -> dict[str, Any]:
    """The facts of the document set in a folder, all its records read; BadInput where they do not agree."""
    return records.checked(folder)


def documents(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The documents of a set, from the lines of its `documents.jsonl`."""
    return [asdict(document) for document in records.documents_of(lines)]


def passage(lines: Iterable[bytes], name: str) -> dict[str, Any] | None:
    """One passage of a set, from the lines of its `passages.jsonl`; None where it has none of that name."""
    sought = f'"id":"{name}"'.encode()  # lines are canonical: only the ones that may be it are parsed
    for passage in records.passages_of(line for line in lines if sought in line):
        if passage.id == name:
            return asdict(passage)
    return None


def texts(lines: Iterable[bytes]) -> list[dict[str, Any]]:
    """The passages of a set, in order: document, page and text."""
    keys = ("document", "page", "heading", "text", "language")
    return [{key: getattr(passage, key) for key in keys} for passage in records.passages_of(lines)]


def original_of(path: str) -> str:
    """The file that a document is in: itself, or the mail that it is attached to."""
    return path.partition(INSIDE)[0]


def draw(
    folder: Path, path: str, page: int, boxes: Sequence[Sequence[float]], banner: str, *, limits: Limits | None = None
) -> bytes:
    """A page of a document below `folder` as a PNG, with boxes and a banner on it."""
    file, *inside = path.split(INSIDE)
    wanted = {"page": page, "boxes": [list(box) for box in boxes], "banner": banner}
    try:
        with ReadingProcess(folder, limits or Limits(), None) as process:
            return process.picture({"file": file, "inside": inside, "draw": wanted})
    except (UnreadableError, BrokenReaderError) as why:
        raise BadInput(f"page {page} of {path}", expected="a page that can be shown", found=str(why)) from why
