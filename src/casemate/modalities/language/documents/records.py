"""The records of a document set: `documents.jsonl` and `passages.jsonl`, what is written and what may be read.

Rules. Canonical lines: JSON with sorted keys and without spaces, UTF-8, one record a line. A record with other fields,
other types or an identifier that is not its own is BadInput with its line. The two files and `files/` agree, or the set
is refused: every passage is of a document, in order, and every document is a file of the set or attached to one.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from casemate.errors import BadInput
from casemate.modalities.language.documents.kinds import INSIDE

DOCUMENTS, PASSAGES, FILES = "documents.jsonl", "passages.jsonl", "files"
_DOCUMENT_ID, _DATE = re.compile(r"[0-9a-f]{32}"), re.compile(r"(\d{4}-\d{2}-\d{2})?")
_PASSAGE_ID = re.compile(r"([0-9a-f]{32})-(\d{5,})")
_MOST_LINE_BYTES = 1 << 20


@dataclass(frozen=True)
class Passage:
    """A line of `passages.jsonl`; boxes are [page, x0, y0, x1, y1] in points from the top left."""

    id: str
    document: str
    number: int
    title: str
    heading: str
    text: str
    language: str
    page: int
    boxes: tuple[tuple[float, ...], ...]
    kind: str
    date: str


@dataclass(frozen=True)
class Document:
    """A line of `documents.jsonl`; `ocr` counts pages read by recognition, `group` names the first that is near."""

    id: str
    path: str
    digest: str
    kind: str
    title: str
    language: str
    date: str
    pages: int
    characters: int
    passages: int
    ocr: int
    group: str
    written_markings: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class Tally:
    """The facts of a document set, added up record by record."""

    counts: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, document: Document) -> None:
        """One more document."""
        self.counts += Counter(
            documents=1, passages=document.passages, pages=document.pages, ocr_pages=document.ocr,
            characters=document.characters, duplicates=int(document.group != document.id),
            unread_pages=sum(note.endswith("not read: no OCR model") for note in document.notes),
        )  # fmt: skip
        self.languages[document.language or "unknown"] += 1
        self.kinds[document.kind] += 1

    def facts(self) -> dict[str, Any]:
        """What an entry says."""
        names = ("documents", "passages", "pages", "ocr_pages", "unread_pages", "characters", "duplicates")
        return {
            **{name: self.counts[name] for name in names},
            "languages": dict(sorted(self.languages.items())),
            "kinds": dict(sorted(self.kinds.items())),
        }


def line(record: Passage | Document) -> bytes:
    """A record as its canonical line."""
    return json.dumps(asdict(record), ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def documents_of(lines: Iterable[bytes], *, thing: str = DOCUMENTS) -> Iterator[Document]:
    """The documents in the lines of a `documents.jsonl`."""
    for number, text in enumerate(lines, 1):
        raw, where = _record(text, f"{thing}, line {number}", Document), f"{thing}, line {number}"
        written, notes = raw["written_markings"], raw["notes"]
        if not all(isinstance(one, dict) and one.keys() == {"text", "marking", "page"} for one in written):
            raise BadInput(where, expected="written markings", found="something else")
        document = Document(**{**raw, "written_markings": tuple(written), "notes": tuple(map(str, notes))})
        _require(where, bool(_DOCUMENT_ID.fullmatch(document.id)), "32 hexadecimal digits", document.id)
        _require(where, document.digest.removeprefix("sha256:").startswith(document.id), "its digest", document.digest)
        _require(where, bool(_DATE.fullmatch(document.date)), "a date as YYYY-MM-DD", document.date)
        yield document


def passages_of(lines: Iterable[bytes], *, thing: str = PASSAGES) -> Iterator[Passage]:
    """The passages in the lines of a `passages.jsonl`."""
    for number, text in enumerate(lines, 1):
        where = f"{thing}, line {number}"
        raw = _record(text, where, Passage)
        passage = Passage(**{**raw, "boxes": _boxes(raw["boxes"], where)})
        named = _PASSAGE_ID.fullmatch(passage.id)
        good = named is not None and named[1] == passage.document and int(named[2]) == passage.number
        _require(where, good, "an identifier of its document and number", passage.id)
        yield passage


def passage_id(document: str, number: int) -> str:
    """The name of a passage within its set."""
    return f"{document}-{number:05d}"


def checked(folder: Path) -> dict[str, Any]:
    """The facts of a document set that lies in a folder, every record read; BadInput where it is not one."""
    expected: dict[str, int] = {}
    tally = Tally()
    with _opened(folder / DOCUMENTS) as stream:
        for document in documents_of(stream):
            _require(DOCUMENTS, document.id not in expected, "each document once", document.path)
            original = folder / FILES / document.path
            holder = original if original.is_file() else folder / FILES / document.path.partition(INSIDE)[0]
            within = holder.resolve().is_relative_to((folder / FILES).resolve())
            _require(DOCUMENTS, within and holder.is_file(), "a file of the set", document.path)
            expected[document.id] = document.passages
            tally.add(document)
    _require(DOCUMENTS, bool(expected), "at least one document", "none")
    found: Counter[str] = Counter()
    with _opened(folder / PASSAGES) as stream:
        for passage in passages_of(stream):
            found[passage.document] += 1
            _require(PASSAGES, passage.document in expected, "a document of the set", passage.id)
            _require(PASSAGES, passage.number == found[passage.document], "each passage in its place", passage.id)
    for name, count in expected.items():
        _require(PASSAGES, found[name] == count, f"{count} passages of {name}", str(found[name]))
    return tally.facts()


def is_set(paths: Iterable[str]) -> bool:
    """Whether a folder with these files is a document set that was read already."""
    names = set(paths)
    below = all(path in {DOCUMENTS, PASSAGES} or path.startswith(f"{FILES}/") for path in names)
    return below and {DOCUMENTS, PASSAGES} <= names


def _opened(file: Path) -> Any:
    if not file.is_file():
        raise BadInput(file.name, expected="a file of the document set", found="none")
    return file.open("rb")


def _record(text: bytes, where: str, shape: type[Passage | Document]) -> dict[str, Any]:
    if len(text) > _MOST_LINE_BYTES:
        raise BadInput(where, expected=f"at most {_MOST_LINE_BYTES} bytes", found=len(text))
    try:
        raw = json.loads(text)
    except ValueError as why:
        raise BadInput(where, expected="JSON", found=type(why).__name__) from why
    fields = shape.__dataclass_fields__
    if not isinstance(raw, dict) or raw.keys() != fields.keys():
        raise BadInput(where, expected=f"the fields {', '.join(sorted(fields))}", found="others")
    for name, fact in fields.items():
        kind = {"str": str, "int": int}.get(str(fact.type), list)
        if type(raw[name]) is not kind or (kind is int and raw[name] < 0):
            raise BadInput(where, expected=f"{name} as {kind.__name__}", found=type(raw[name]).__name__)
    return raw


def _boxes(said: Sequence[Any], where: str) -> tuple[tuple[float, ...], ...]:
    good = all(
        isinstance(box, list) and len(box) == 5 and all(type(n) in {int, float} for n in box) and type(box[0]) is int
        for box in said
    )
    _require(where, good, "boxes of a page and four edges", "something else")
    return tuple(tuple(box) for box in said)


def _require(thing: str, good: bool, expected: str, found: str) -> None:
    if not good:
        raise BadInput(thing, expected=expected, found=found)
