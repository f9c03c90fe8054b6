"""Objects read back from a bundle's files, each verified; the same whether they are then kept or only checked.

Rules. Members lie in the parts one after another with nothing between, before or after them: every header, padding and
end is computed and compared. An object is done only if its bytes have its digest. Memory is a few members.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import NamedTuple, Protocol

from casemate.airlock.bundle.delivery import Opening, Span
from casemate.airlock.bundle.lines import LIST, Member, ObjectLine
from casemate.airlock.bundle.manifest import BundleManifest, part_path
from casemate.airlock.bundle.packing import unpack
from casemate.airlock.bundle.pipeline import in_order
from casemate.airlock.bundle.terms import MEMBER_BYTES, FileFacts
from casemate.airlock.bundle.ustar import BLOCK, END, header, padding, taken
from casemate.errors import DigestMismatch
from casemate.store.digest import CHUNK_BYTES, Digest

_GROUP_BYTES = 4 << 20
_GROUP_OBJECTS = 256


class Sink(Protocol):
    """Where one object goes: its bytes in order, `done` once they are known to be right, `close` in any case."""

    def write(self, data: bytes | memoryview) -> None:
        """Take the next bytes."""
        ...

    def done(self) -> None:
        """The bytes are the object's."""
        ...

    def close(self) -> None:
        """Nothing more comes."""
        ...


class Opened(NamedTuple):
    """A bundle's parts in order, and how to open an object that it builds on (None: not here, so not checked)."""

    parts: Sequence[Opening]
    base: Callable[[Digest], AbstractContextManager[Span]] | None


class _Piece(NamedTuple):
    """Work for one core; its result belongs to `line`, or is finished with where there is none."""

    work: Callable[[], bytes | memoryview]
    line: ObjectLine | None = None
    last: bool = False


def read_objects(
    opened: Opened, manifest: BundleManifest, lines: Iterable[ObjectLine], sink_for: Callable[[ObjectLine], Sink]
) -> None:
    """Write every object to its sink, small ones on any thread; refuses what does not add up to the manifest."""
    lines = _adding_up(manifest, _laid_out(manifest.parts, opened.parts, lines))
    building: _Object | None = None
    with ThreadPoolExecutor(1, "bundle-hash") as hashing, ExitStack() as last:
        for piece, data in in_order(lambda piece: (piece, piece.work()), _pieces(opened, lines, sink_for)):
            if piece.line is not None:
                if building is None:
                    building = _Object(opened, piece.line, sink_for(piece.line), hashing)
                    last.pop_all()
                    last.callback(building.close)
                building.add(data)
                if piece.last:
                    building.finish()
                    building = None


class _Object:
    """One object while it is put together, and its digest so far."""

    def __init__(self, opened: Opened, line: ObjectLine, sink: Sink, hashing: ThreadPoolExecutor | None = None) -> None:
        self._line, self._sink, self._state, self._hashing = line, sink, hashlib.sha256(), hashing
        self._extents, self._left = iter(line.extents or ((line.size,),)), 0
        self._bases: list[Span] | None = None
        self._open = ExitStack()
        self._open.callback(sink.close)
        if opened.base is not None:
            self._bases = [self._open.enter_context(opened.base(base)) for base in line.bases]

    def close(self) -> None:
        """Let go of what is open."""
        self._open.close()

    def add(self, data: bytes | memoryview) -> None:
        """The next of the bytes that travelled."""
        rest = memoryview(data)
        while rest:
            self._copy_ahead()
            self._out(rest[: self._left])
            took = min(self._left, len(rest))
            rest, self._left = rest[took:], self._left - took

    def finish(self) -> None:
        """Say that the bytes are all there; DigestMismatch if they are not the object's."""
        with self._open:
            self._copy_ahead()
            found = Digest(self._state.hexdigest())
            if found == self._line.digest:
                self._sink.done()
            elif self._bases is not None or not self._line.bases:  # else they are not here to be read
                raise DigestMismatch(f"object {self._line.digest}", expected=self._line.digest, found=found)

    def _copy_ahead(self) -> None:
        """Copy ranges of bases until an extent wants bytes that travelled."""
        while self._left == 0 and (extent := next(self._extents, None)) is not None:
            if len(extent) == 1:
                self._left = extent[0]
            elif self._bases is not None:
                self._copy(self._bases[extent[0]], *extent[1:])

    def _copy(self, base: Span, offset: int, size: int) -> None:
        if offset + size > base.size:
            expected = f"{base.name} of at least {offset + size} bytes"
            raise DigestMismatch(f"object {self._line.digest}", expected=expected, found=f"{base.size} bytes")
        while size > 0 and (data := base.read(min(size, CHUNK_BYTES), offset)):
            self._out(data)
            offset, size = offset + len(data), size - len(data)

    def _out(self, data: bytes | memoryview) -> None:
        if self._hashing is None:
            self._state.update(data)
            self._sink.write(data)
        else:
            summed = self._hashing.submit(self._state.update, data)
            self._sink.write(data)  # while it is digested
            summed.result()


def _pieces(opened: Opened, lines: Iterable[ObjectLine], sink_for: Callable[[ObjectLine], Sink]) -> Iterator[_Piece]:
    group: list[ObjectLine] = []
    size = 0
    for line in lines:
        if line.size > MEMBER_BYTES or line.extents:
            yield from _big(opened, line)
            continue
        group.append(line)
        size += line.size
        if size >= _GROUP_BYTES or len(group) >= _GROUP_OBJECTS:
            yield _Piece(partial(_small, opened, group, sink_for))
            group, size = [], 0
    if group:
        yield _Piece(partial(_small, opened, group, sink_for))


def _big(opened: Opened, line: ObjectLine) -> Iterator[_Piece]:
    for number, (member, name) in enumerate(line.names(), start=1):
        yield _Piece(partial(_alone, opened, member, name), line, number == len(line.members))
    if not line.members:
        yield _Piece(bytes, line, last=True)


def _alone(opened: Opened, member: Member, name: str) -> bytes | memoryview:
    with opened.parts[member.part - 1]() as part:
        return _plain(part, member, name)


def _small(opened: Opened, group: Sequence[ObjectLine], sink_for: Callable[[ObjectLine], Sink]) -> bytes:
    with ExitStack() as open_:
        parts: dict[int, Span] = {}
        for line in group:
            building = _Object(opened, line, sink_for(line))
            open_.callback(building.close)
            for member, name in line.names():
                if member.part not in parts:
                    parts[member.part] = open_.enter_context(opened.parts[member.part - 1]())
                building.add(_plain(parts[member.part], member, name))
            building.finish()
    return b""


def _plain(part: Span, member: Member, name: str) -> bytes | memoryview:
    """The plain bytes of a member, whose header and padding must be what they must be."""
    data = memoryview(part.read(taken(member.stored), member.at - BLOCK))
    end = BLOCK + member.stored
    if data[:BLOCK] != header(name, member.stored) or data[end:] != padding(member.stored):
        raise DigestMismatch(f"{part.name} at byte {member.at}", expected=f"member {name}", found="something else")
    return unpack(data[BLOCK:end], member.plain, f"{part.name} member {name}")


def _laid_out(
    parts: Sequence[FileFacts], openings: Sequence[Opening], lines: Iterable[ObjectLine]
) -> Iterator[ObjectLine]:
    """The lines, whose members must fill the parts from the first byte to the last."""
    number, at = 0, 0
    for line in lines:
        for member in line.members:
            if member.part == number + 1:
                _end_part(parts, openings, number, at)
                number, at = member.part, 0
            if number > len(parts) or (member.part, member.at) != (number, at + BLOCK):
                expected = f"a member in part {number} at byte {at + BLOCK}, of {len(parts)} parts"
                found = f"part {member.part}, byte {member.at}"
                raise DigestMismatch(f"{LIST}: object {line.digest}", expected=expected, found=found)
            at += taken(member.stored)
        yield line
    _end_part(parts, openings, number, at)
    if number != len(parts):
        raise DigestMismatch(part_path(number + 1), expected="members that objects are made of", found="none listed")


def _end_part(parts: Sequence[FileFacts], openings: Sequence[Opening], number: int, at: int) -> None:
    if number == 0:
        return
    facts = parts[number - 1]
    with openings[number - 1]() as part:
        if facts.size != at + len(END) or part.read(len(END), at) != END:
            raise DigestMismatch(facts.path, expected=f"its end at byte {at}", found=f"{facts.size} bytes")


def _adding_up(manifest: BundleManifest, lines: Iterable[ObjectLine]) -> Iterator[ObjectLine]:
    count, size, bases = 0, 0, set[Digest]()
    for line in lines:
        count, size = count + 1, size + line.size
        bases.update(line.bases)
        if count > manifest.count or size > manifest.size:
            expected = f"at most {manifest.count} objects of {manifest.size} bytes in all"
            raise DigestMismatch(f"{LIST}: object {line.digest}", expected=expected, found=f"{count} of {size} bytes")
        yield line
    if (count, size, bases) != (manifest.count, manifest.size, set(manifest.bases)):
        expected = f"{manifest.count} objects of {manifest.size} bytes on {len(manifest.bases)} bases"
        raise DigestMismatch(LIST, expected=expected, found=f"{count}, {size} and {len(bases)}")
