"""The head of a shard: which segments are in force, what they hold of which entries, and what of them is no more.

Rules. A head is one JSON file, `head.json`, replaced whole by rename: a reader gets the generation before or the one
after, never a mix. Folders and files that it names are never changed; those that it does not name are nobody's and are
swept by the next writer. Writers hold `lock` alone, and the kernel lets go of it when they die, kill -9 included.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from casemate.errors import BadInput, Unavailable
from casemate.serving.retrieval.fields import FORMAT
from casemate.store.copying import settle
from casemate.store.digest import open_regular

HEAD = "head.json"
LOCK = "lock"
VECTORS = "vectors"
_HEAD_BYTES_MAX = 64 << 20
_OURS = re.compile(r"segment-[0-9]{8}-[0-9]+|dead-[0-9]{8}-[0-9]+\.npy|head\.json\.new")
_Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ListedEntry(_Strict):
    """A document set that is in the shard: digest, project, how many passages, and why there are none if it is bad."""

    digest: str
    project: str
    passages: _Count
    unreadable: str = ""


class ListedSegment(_Strict):
    """A segment in force: its folder's name, its rows, and the file that lists the dead ones ("": none)."""

    name: Annotated[str, Field(pattern=r"^segment-[0-9]{8}-[0-9]+$")]
    rows: _Count
    dead: Annotated[str, Field(pattern=r"^(dead-[0-9]{8}-[0-9]+\.npy)?$")] = ""
    dead_rows: _Count = 0


class Head(_Strict):
    """A generation; `embedded` lists for each embedder the entries of which it has all vectors."""

    format: str = FORMAT
    generation: _Count = 0
    entries: dict[str, ListedEntry] = Field(default_factory=dict)
    segments: tuple[ListedSegment, ...] = ()
    embedded: dict[str, tuple[str, ...]] = Field(default_factory=dict)

    @property
    def passages(self) -> int:
        """Passages that are there."""
        return sum(entry.passages for entry in self.entries.values())


def read_head(folder: Path) -> Head:
    """The generation in force; one of nothing where none was ever written, or one of another format."""
    file = folder / HEAD
    if not os.path.lexists(file):
        return Head()
    fd, facts = open_regular(file)
    with os.fdopen(fd, "rb") as stream:
        if facts.st_size > _HEAD_BYTES_MAX:
            raise BadInput(file, expected=f"at most {_HEAD_BYTES_MAX} bytes", found=f"{facts.st_size} bytes")
        text = stream.read()
    try:
        # Lists of JSON are read into tuples here, which strictness would refuse in Python but not in JSON.
        head = Head.model_validate_json(text)
    except ValidationError as why:
        first = why.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "the text"
        raise BadInput(file, expected="the head of a shard", found=f"{where}: {first['msg']}") from why
    return head if head.format == FORMAT else Head(generation=head.generation)


def write_head(folder: Path, new: Head) -> None:
    """Put `new` in force, once all that it names would survive a loss of power."""
    named = [folder / s.dead for s in new.segments if s.dead]
    named += [file for s in new.segments for file in sorted((folder / s.name).iterdir())]
    settle(named, folder)
    beside = folder / f"{HEAD}.new"
    beside.write_text(new.model_dump_json(indent=1) + "\n", encoding="utf-8")
    settle([beside], folder)
    beside.rename(folder / HEAD)
    settle([folder], folder)


def sweep(folder: Path, kept: Head) -> None:
    """Remove what an earlier writer left and what `kept` does not name; only names that this module gives."""
    names = {s.name for s in kept.segments} | {s.dead for s in kept.segments}
    for found in sorted(folder.iterdir()):
        if not _OURS.fullmatch(found.name) or found.name in names:
            continue
        if found.is_dir() and not found.is_symlink():
            shutil.rmtree(found)
        else:
            found.unlink(missing_ok=True)


@contextmanager
def writing(folder: Path, *, wait: bool) -> Iterator[Head]:
    """The generation in force, with nobody else writing until the end; Unavailable where somebody is (unless `wait`).

    A head that cannot be read counts as one of nothing: an index is made again from the catalog.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fd = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as why:
            raise Unavailable(folder, expected="nobody who writes this shard", found="somebody who does") from why
        head = _before(folder)
        sweep(folder, head)
        yield head
    finally:
        os.close(fd)


def _before(folder: Path) -> Head:
    try:
        return read_head(folder)
    except BadInput:
        numbers = [int(found.name.split("-")[1][:8]) for found in folder.iterdir() if _numbered(found.name)]
        return Head(generation=max(numbers, default=0))


def _numbered(name: str) -> bool:
    return _OURS.fullmatch(name) is not None and "-" in name
