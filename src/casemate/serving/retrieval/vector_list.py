"""The list of a shard's vectors: which files are in force, how large they are and what their digests are.

Rules. A list is one JSON file, `vectors.json`, replaced whole by rename: a reader gets the generation before or the one
after, never a mix. Files that it names are never changed; files that it does not name are nobody's and are swept by the
next writer. Names begin with the generation that they were written for, so that none is used twice. Writers hold `lock`
alone, and the kernel lets go of it when they die, kill -9 included.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput, Unavailable
from casemate.serving.retrieval.sketches import BITS, DIM_MAX
from casemate.store.copying import settle
from casemate.store.digest import open_regular

LIST = "vectors.json"
LOCK = "lock"
FORMAT = "casemate-vectors/1"
_LIST_BYTES_MAX = 16 << 20
_OURS = re.compile(r"([0-9]{8})-[0-9]{1,4}\.[a-z]{1,16}\.npy|vectors\.json\.new")


@dataclass(frozen=True)
class ListedFile:
    """One file in force."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class ListedSegment:
    """Vectors that were written together: sorted by key; rows listed in `dead` are no more."""

    rows: int
    key_bytes: int
    keys: ListedFile
    vectors: ListedFile
    sketches: ListedFile
    dead_rows: int = 0
    dead: ListedFile | None = None

    def files(self) -> tuple[ListedFile, ...]:
        """Its files."""
        return (self.keys, self.vectors, self.sketches, *((self.dead,) if self.dead else ()))


@dataclass(frozen=True)
class VectorList:
    """A generation; `dim` is 0 and there are no segments where nothing was ever written."""

    generation: int = 0
    dim: int = 0
    segments: tuple[ListedSegment, ...] = field(default=())


_Count = Annotated[int, Field(ge=0)]


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    name: Annotated[str, Field(pattern=r"^[0-9]{8}-[0-9]{1,4}\.[a-z]{1,16}\.npy$")]
    size: _Count
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

    def read(self) -> ListedFile:
        return ListedFile(self.name, self.size, self.sha256)


class _Segment(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    rows: Annotated[int, Field(ge=1)]
    key_bytes: Annotated[int, Field(ge=1)]
    keys: _File
    vectors: _File
    sketches: _File
    dead_rows: _Count
    dead: _File | None

    def read(self) -> ListedSegment:
        files = (self.keys.read(), self.vectors.read(), self.sketches.read())
        return ListedSegment(self.rows, self.key_bytes, *files, self.dead_rows, self.dead.read() if self.dead else None)


class _List(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    format: str
    bits: int
    generation: Annotated[int, Field(ge=1)]
    dim: Annotated[int, Field(ge=1, le=DIM_MAX)]
    segments: list[_Segment]


def read_list(folder: Path) -> VectorList:
    """The generation in force; one of nothing where no list was ever written."""
    file = folder / LIST
    if not os.path.lexists(file):
        return VectorList()
    fd, facts = open_regular(file)
    with os.fdopen(fd, "rb") as stream:
        if facts.st_size > _LIST_BYTES_MAX:
            raise BadInput(file, expected=f"at most {_LIST_BYTES_MAX} bytes", found=f"{facts.st_size} bytes")
        text = stream.read()
    try:
        read = _List.model_validate_json(text)
    except ValidationError as why:
        first = why.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the text"
        raise BadInput(file, expected="a list of vectors", found=f"{where}: {first['msg']}") from why
    if (read.format, read.bits) != (FORMAT, BITS):
        raise BadInput(file, expected=f"{FORMAT} of {BITS} bits", found=f"{read.format} of {read.bits} bits")
    return VectorList(read.generation, read.dim, tuple(segment.read() for segment in read.segments))


def write_list(folder: Path, new: VectorList) -> None:
    """Put `new` in force, once all that it names would survive a loss of power."""
    names = {file.name for segment in new.segments for file in segment.files()}
    settle([folder / name for name in sorted(names)], folder)
    beside = folder / f"{LIST}.new"
    beside.write_bytes(_printed(new))
    settle([beside], folder)
    beside.rename(folder / LIST)
    settle([folder], folder)


def _printed(listed: VectorList) -> bytes:
    def shown(file: ListedFile) -> dict[str, object]:
        return {"name": file.name, "sha256": file.sha256, "size": file.size}

    segments = [
        {
            "dead": shown(segment.dead) if segment.dead else None,
            "dead_rows": segment.dead_rows,
            "key_bytes": segment.key_bytes,
            "keys": shown(segment.keys),
            "rows": segment.rows,
            "sketches": shown(segment.sketches),
            "vectors": shown(segment.vectors),
        }
        for segment in listed.segments
    ]
    facts = {"bits": BITS, "dim": listed.dim, "format": FORMAT, "generation": listed.generation, "segments": segments}
    return (json.dumps(facts, indent=1, sort_keys=True) + "\n").encode("ascii")


def sweep(folder: Path, kept: VectorList) -> None:
    """Remove what an earlier writer left and what `kept` does not name; only names that this module gives."""
    names = {file.name for segment in kept.segments for file in segment.files()}
    for found in sorted(folder.iterdir()):
        if _OURS.fullmatch(found.name) and found.name not in names:
            found.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path, *, afresh: bool = False) -> Iterator[VectorList]:
    """The generation in force, with nobody else writing until the end; Unavailable where somebody is.

    A list that cannot be read is BadInput, but where all is written `afresh`: it then counts as one of nothing.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as why:
            raise Unavailable(folder, expected="nobody who writes these vectors", found="somebody who does") from why
        yield _before(folder, afresh=afresh)
    finally:
        os.close(fd)


def _before(folder: Path, *, afresh: bool) -> VectorList:
    """The generation in force, its folder swept; for a damaged list one of nothing, as late as any name."""
    try:
        listed = read_list(folder)
    except BadInput:
        if not afresh:
            raise
        names = [_OURS.fullmatch(found.name) for found in folder.iterdir()]
        return VectorList(max([int(name[1]) for name in names if name and name[1]], default=0))
    sweep(folder, listed)
    return listed
