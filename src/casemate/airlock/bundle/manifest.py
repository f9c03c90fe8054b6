"""The manifest of a bundle: what travels, in which files, for whom; its SHA-256 is the bundle's name.

Rules. Canonical JSON, and nothing else is read. It names every file of the bundle but itself, its envelope and
SHA256SUMS, which follow from it. Every path follows from the format, so a manifest cannot name a place of its choosing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import Field

from casemate.airlock.bundle.lines import LIST
from casemate.airlock.bundle.terms import Carried, FileFacts, Label
from casemate.errors import BadInput
from casemate.signing.canonical import Door, dump, load
from casemate.signing.envelope import Envelope
from casemate.signing.statement import PAYLOAD_TYPE, Statement, read_instant
from casemate.store.digest import Digest

FORMAT: Literal["casemate-bundle/1"] = "casemate-bundle/1"
MANIFEST, ENVELOPE, SUMS = "manifest.json", "manifest.dsse.json", "SHA256SUMS"
HEX = r"^[0-9a-f]{64}\z"
_DIGEST = r"^sha256:[0-9a-f]{64}\z"
_STATEMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,90}\.dsse\.json", re.ASCII)
_STATEMENTS = "statements/"
_MAX_BYTES = 64 << 20
_STATEMENT_BYTES_MAX = 16 << 20


@dataclass(frozen=True)
class SignedFile:
    """A signed statement that travels, and what kind it is: its predicate type, or its payload type."""

    file: FileFacts
    kind: str

    @property
    def name(self) -> str:
        """Its name, without the folder."""
        return self.file.path.removeprefix(_STATEMENTS)


@dataclass(frozen=True)
class BundleManifest:
    """What a bundle holds. `count` objects of `size` bytes in all; `bases` are objects that the destination has."""

    label: Label
    entries: tuple[Carried, ...]
    listed: FileFacts
    count: int
    size: int
    bases: tuple[Digest, ...]
    parts: tuple[FileFacts, ...]
    statements: tuple[SignedFile, ...] = ()

    def to_json(self) -> bytes:
        """Canonical JSON; `from_json` reads it back."""
        objects = {
            "bases": [str(base) for base in self.bases],
            "bytes": self.size,
            "count": self.count,
            "list": _file_json(self.listed),
        }
        return dump(
            {
                "format": FORMAT,
                **vars(self.label),
                "entries": [_entry_json(entry) for entry in self.entries],
                "objects": objects,
                "parts": [_file_json(part) for part in self.parts],
                "statements": [{**_file_json(item.file), "kind": item.kind} for item in self.statements],
            }
        )

    @classmethod
    def from_json(cls, data: bytes, *, thing: str = MANIFEST) -> BundleManifest:
        """A manifest from canonical JSON; BadInput naming `thing` and its field for anything else."""
        raw = _ManifestJson.enter(load(data, thing, max_bytes=_MAX_BYTES), thing)
        found = raw.manifest()
        _check(found, thing)
        return found

    @cached_property
    def digest(self) -> Digest:
        """The name of the bundle: the digest of its manifest."""
        return Digest.of_bytes(self.to_json())

    @property
    def sent(self) -> int:
        """The bytes of its parts: what travels for the objects, beside their list."""
        return sum(part.size for part in self.parts)

    def files(self) -> Iterator[FileFacts]:
        """The files of its objects, which volumes share out: the list and the parts."""
        yield self.listed
        yield from self.parts


def sums_of(files: list[FileFacts]) -> bytes:
    """The text of a SHA256SUMS over `files`."""
    return "".join(f"{file.digest.hex}  {file.path}\n" for file in sorted(files)).encode()


def part_path(number: int) -> str:
    """The path of a part; the first is number 1."""
    return f"parts/{number:06d}.tar"


def statement_path(name: str) -> str:
    """The path of a statement; BadInput for a name that is not plain."""
    if not _STATEMENT.fullmatch(name):
        raise BadInput(f"statement {name!a}", expected="letters, digits, . _ - and .dsse.json at its end", found=name)
    return _STATEMENTS + name


def kind_of_statement(data: bytes, thing: str) -> str:
    """The predicate type of a signed statement, or the payload type of another envelope; BadInput if it is neither."""
    envelope = Envelope.from_json(data, thing=thing)
    if envelope.payload_type == PAYLOAD_TYPE:
        return Statement.from_json(envelope.payload, thing=thing).predicate_type
    return envelope.payload_type


def _check(found: BundleManifest, thing: str) -> None:
    read_instant(found.label.created, f"{thing} created")
    if found.listed.path != LIST:
        raise BadInput(f"{thing} objects.list", expected=LIST, found=found.listed.path)
    for number, part in enumerate(found.parts, start=1):
        if part.path != part_path(number):
            raise BadInput(f"{thing} parts", expected=part_path(number), found=part.path)
    names = [item.file.path for item in found.statements]
    if names != sorted({statement_path(item.name) for item in found.statements}):
        raise BadInput(f"{thing} statements", expected="each plain name once, sorted", found=", ".join(names)[:200])
    if list(found.bases) != sorted(set(found.bases)):
        raise BadInput(f"{thing} objects.bases", expected="each base once, sorted", found="another order")


def _file_json(file: FileFacts) -> dict[str, Any]:
    return {"path": file.path, "size": file.size, "sha256": file.digest.hex}


def _entry_json(entry: Carried) -> dict[str, Any]:
    texts = {"digest": str(entry.digest), "also": [str(digest) for digest in entry.also]}
    return {**vars(entry), **texts, "facts": dict(entry.facts), "parents": list(entry.parents)}


class _FileJson(Door):
    path: str = Field(max_length=200)
    size: int = Field(ge=0)
    sha256: str = Field(pattern=HEX)

    def facts(self) -> FileFacts:
        return FileFacts(self.path, self.size, Digest(self.sha256))


class _StatementJson(_FileJson):
    size: int = Field(ge=0, le=_STATEMENT_BYTES_MAX)
    kind: str = Field(min_length=1, max_length=256)


class _EntryJson(Door):
    id: str = Field(min_length=1, max_length=256)
    kind: str = Field(min_length=1, max_length=64)
    name: str = Field(min_length=1, max_length=1024)
    project: str = Field(min_length=1, max_length=1024)
    marking: str = Field(min_length=1, max_length=4096)
    digest: str = Field(pattern=_DIGEST)
    shape: Literal["manifest", "single"]
    author: str = Field(min_length=1, max_length=256)
    created: str = Field(max_length=64)
    facts: Mapping[str, Any]
    parents: list[str]
    licence: str = Field(max_length=4096)
    also: list[str]

    def carried(self) -> Carried:
        also = tuple(Digest.parse(digest) for digest in self.also)
        facts = {**vars(self), "digest": Digest.parse(self.digest), "also": also, "parents": tuple(self.parents)}
        return Carried(**facts)


class _ObjectsJson(Door):
    bases: list[str]
    bytes: int = Field(ge=0)
    count: int = Field(ge=0)
    list: _FileJson


class _ManifestJson(Door):
    format: Literal["casemate-bundle/1"]
    source: str = Field(min_length=1, max_length=256)
    destination: str = Field(min_length=1, max_length=256)
    marking: str = Field(min_length=1, max_length=4096)
    sequence: int = Field(ge=1)
    previous: str = Field(pattern=r"^([0-9a-f]{64})?\z")
    created: str
    entries: list[_EntryJson]
    objects: _ObjectsJson
    parts: list[_FileJson]
    statements: list[_StatementJson]

    def manifest(self) -> BundleManifest:
        label = Label(self.source, self.destination, self.marking, self.sequence, self.previous, self.created)
        return BundleManifest(
            label=label,
            entries=tuple(entry.carried() for entry in self.entries),
            listed=self.objects.list.facts(),
            count=self.objects.count,
            size=self.objects.bytes,
            bases=tuple(Digest.parse(base) for base in self.objects.bases),
            parts=tuple(part.facts() for part in self.parts),
            statements=tuple(SignedFile(item.facts(), item.kind) for item in self.statements),
        )
