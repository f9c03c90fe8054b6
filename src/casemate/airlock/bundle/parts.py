"""Parts: members one after another in plain archives of bounded size, and the list of objects beside them.

Rules. A part is durable before it is recorded, and what is recorded is what a cut sealing goes on from: the parts that
are done, how much of the list goes with them, and how far the next object has come. Where a part ends depends only on
the members. A part that a cut left unfinished is written again.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from casemate.airlock.bundle.lines import LIST, Member, ObjectLine, member_name
from casemate.airlock.bundle.manifest import part_path
from casemate.airlock.bundle.members import Made
from casemate.airlock.bundle.place import sync_folder
from casemate.airlock.bundle.terms import FileFacts
from casemate.airlock.bundle.ustar import BLOCK, END, header, padding, taken
from casemate.store.digest import Digest

_HELD_BYTES = 1 << 20
_FLUSHED_BYTES = 32 << 20


@dataclass(frozen=True)
class Reached:
    """Where a sealing stands after a part: parts done, bytes of the list, objects whole, members of the next one."""

    parts: tuple[FileFacts, ...] = ()
    listed: int = 0
    objects: int = 0
    members: tuple[Member, ...] = ()
    bases: tuple[Digest, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values; `from_json` reads them back."""
        parts = [[part.path, part.size, part.digest.hex] for part in self.parts]
        bases = [base.hex for base in self.bases]
        return {**vars(self), "parts": parts, "members": [list(member) for member in self.members], "bases": bases}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Reached:
        """From what `to_json` gave; KeyError, TypeError or ValueError for anything else."""
        parts = tuple(FileFacts(path, int(size), Digest(digest)) for path, size, digest in raw["parts"])
        members = tuple(Member(*map(int, row)) for row in raw["members"])
        bases = tuple(Digest(base) for base in raw["bases"])
        return cls(parts, int(raw["listed"]), int(raw["objects"]), members, bases)


class PartsWriter:
    """Writes members into parts below `folder` and lines into its list, from where an earlier sealing was cut."""

    def __init__(self, folder: Path, limit: int, reached: Reached, record: Callable[[Reached], None]) -> None:
        self._folder, self._limit, self._record = folder, limit, record
        self._parts, self._objects, self._members = list(reached.parts), reached.objects, list(reached.members)
        self.bases = set(reached.bases)
        self._part: IO[bytes] | None = None
        self._held: list[bytes] = []
        self._at, self._written, self._sum = 0, 0, hashlib.sha256()
        self._undo = ExitStack()
        self._hashing = self._undo.enter_context(ThreadPoolExecutor(1, "bundle-hash"))
        self._summed: Future[None] | None = None
        self._flushing = self._undo.enter_context(ThreadPoolExecutor(1, "bundle-flush"))
        self._flushed: Future[None] | None = None
        (folder / "parts").mkdir(exist_ok=True)
        self._list = self._undo.enter_context((folder / LIST).open("ab"))
        self._list.truncate(reached.listed)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._undo.close()  # before the part: what flushes it holds its descriptor
        finally:
            if self._part is not None:
                self._part.close()

    def add(self, made: Made) -> int:
        """Write a member, and its object's line with the last; the bytes that it took."""
        stored = 0
        if made.member is not None:
            name = member_name(made.wanted.digest, len(self._members), packed=made.member.packed)
            stored = self._write(name, made.member.stored, made.member.plain)
        if made.last:
            extents = made.delta.extents if made.delta else ()
            line = ObjectLine(made.wanted.digest, made.wanted.size, tuple(self._members), made.bases, extents)
            self._list.write(line.to_line())
            self.bases.update(made.bases)
            self._members.clear()
            self._objects += 1
        return stored

    def finish(self) -> Reached:
        """End the last part and make the list durable."""
        self._close_part()
        return self._reached()

    def _write(self, name: str, stored: bytes, plain: int) -> int:
        if self._part is not None and self._at + taken(len(stored)) + len(END) > self._limit:
            self._close_part()
        if self._part is None:
            self._part = self._partial().open("wb", buffering=0)
            self._at, self._written, self._sum = 0, 0, hashlib.sha256()
        self._members.append(Member(len(self._parts) + 1, self._at + BLOCK, len(stored), plain))
        self._held += (header(name, len(stored)), stored, padding(len(stored)))
        self._at += taken(len(stored))
        if self._at - self._written >= _HELD_BYTES:
            self._put(self._part)
        return taken(len(stored))

    def _put(self, part: IO[bytes]) -> None:
        data = b"".join(self._held)
        self._wait()
        self._summed = self._hashing.submit(self._sum.update, data)  # while the next is read
        view = memoryview(data)
        while view:
            view = view[part.write(view) :]
        self._held.clear()
        if self._at // _FLUSHED_BYTES > self._written // _FLUSHED_BYTES and (
            self._flushed is None or self._flushed.done()
        ):
            self._flush_wait()
            self._flushed = self._flushing.submit(os.fdatasync, part.fileno())  # the disk works while we pack
        self._written = self._at

    def _flush_wait(self) -> None:
        if self._flushed is not None:
            self._flushed.result()
            self._flushed = None

    def _wait(self) -> None:
        if self._summed is not None:
            self._summed.result()
            self._summed = None

    def _close_part(self) -> None:
        if self._part is not None:
            self._held.append(END)
            self._at += len(END)
            self._put(self._part)
            self._wait()
            self._flush_wait()
            os.fsync(self._part.fileno())
            self._part.close()
            path = part_path(len(self._parts) + 1)
            self._partial().replace(self._folder / path)
            sync_folder(self._folder / "parts")
            self._parts.append(FileFacts(path, self._at, Digest(self._sum.hexdigest())))
            self._part = None
        self._list.flush()
        os.fsync(self._list.fileno())
        self._record(self._reached())

    def _partial(self) -> Path:
        return self._folder / "parts" / ".partial"

    def _reached(self) -> Reached:
        listed = self._list.tell()
        return Reached(tuple(self._parts), listed, self._objects, tuple(self._members), tuple(sorted(self.bases)))
