"""Objects made into members, on all cores and in order: small ones by the handful, big ones a block at a time.

Rules. What comes out depends only on the objects and not on the number of cores or on where a cut sealing goes on, so
that it can go on. Every object is verified against its digest before its last member is handed over; a delta is taken
only of a file whose digest was computed over the very bytes compared.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from casemate.airlock.bundle.chunks import Base
from casemate.airlock.bundle.closure import Wanted
from casemate.airlock.bundle.delta import Delta, delta_of
from casemate.airlock.bundle.packing import Packed, pack
from casemate.airlock.bundle.pipeline import in_order
from casemate.airlock.bundle.terms import MEMBER_BYTES
from casemate.errors import DigestMismatch
from casemate.store.copying import write_digested
from casemate.store.digest import CHUNK_BYTES, Digest, open_regular
from casemate.store.objects import KeepsFiles, ObjectStore

_GROUP_BYTES = 4 << 20
_GROUP_OBJECTS = 256


class _Shop(NamedTuple):
    store: ObjectStore
    scratch: Path
    largest: int


class Made(NamedTuple):
    """A member of an object (None for an empty object); `delta` and `bases` come with the last."""

    wanted: Wanted
    member: Packed | None
    last: bool
    delta: Delta | None = None
    bases: tuple[Digest, ...] = ()


def members_of(
    store: ObjectStore, wanted: Iterable[Wanted], scratch: Path, *, skipped: int = 0, largest: int = MEMBER_BYTES
) -> Iterator[Made]:
    """The members of objects in order, less the first `skipped` ones of the first object."""
    for made in in_order(lambda job: job(), _jobs(_Shop(store, scratch, largest), wanted, skipped)):
        yield from made


def _jobs(shop: _Shop, wanted: Iterable[Wanted], skipped: int) -> Iterator[Callable[[], list[Made]]]:
    group: list[Wanted] = []
    size = 0
    for item in wanted:
        if item.size > shop.largest or item.bases or skipped:
            if group:
                yield partial(_small, shop.store, group)
                group, size = [], 0
            yield from _big(shop, item, skipped)
            skipped = 0
            continue
        group.append(item)
        size += item.size
        if size >= _GROUP_BYTES or len(group) >= _GROUP_OBJECTS:
            yield partial(_small, shop.store, group)
            group, size = [], 0
    if group:
        yield partial(_small, shop.store, group)


def _small(store: ObjectStore, group: Sequence[Wanted]) -> list[Made]:
    made = []
    for item in group:
        with store.open(item.digest) as stream:
            data = stream.read(item.size + 1)
        _refuse_other_size(item, len(data))
        made.append(Made(item, pack(data) if data else None, last=True))
    return made


def _big(shop: _Shop, item: Wanted, skipped: int) -> Iterator[Callable[[], list[Made]]]:
    if item.bases:
        with _delta(shop.store, item, shop.scratch) as (fd, found, bases):
            if found is not None:
                yield from _blocks(item, _literals(fd, found, shop.largest), found.literal, skipped, found, bases)
                return
    with shop.store.open(item.digest) as stream:
        yield from _blocks(item, iter(lambda: stream.read(shop.largest), b""), item.size, skipped)


def _blocks(
    item: Wanted,
    blocks: Iterator[bytes],
    size: int,
    skipped: int,
    delta: Delta | None = None,
    bases: tuple[Digest, ...] = (),
) -> Iterator[Callable[[], list[Made]]]:
    done, number = 0, 0
    for number, block in enumerate(blocks, start=1):
        done += len(block)
        if number > skipped:
            yield partial(_block, item, block, done >= size, delta, bases)
    if done != size:
        _refuse_other_size(item, done)
    if number == 0:
        yield lambda: [Made(item, None, last=True, delta=delta, bases=bases)]


def _block(item: Wanted, block: bytes, last: bool, delta: Delta | None, bases: tuple[Digest, ...]) -> list[Made]:
    return [Made(item, pack(block), last, delta if last else None, bases)]


@contextmanager
def _delta(store: ObjectStore, item: Wanted, scratch: Path) -> Iterator[tuple[int, Delta | None, tuple[Digest, ...]]]:
    """The file of an object, opened, and what of it the bases hold."""
    with as_file(store, item.digest, scratch / "target") as file:
        bases: list[Base] = []
        for digest in item.bases:
            with as_file(store, digest, scratch / f"base-{len(bases)}", keep=True) as path:
                bases.append(Base(path, path.stat().st_size))
        found = delta_of(file, item.digest, bases)
        fd, _ = open_regular(file)
        try:
            yield fd, *_dense(found, item.bases)
        finally:
            os.close(fd)
            for base in bases:
                if base.file.parent == scratch:
                    base.file.unlink()


def _dense(found: Delta | None, bases: tuple[Digest, ...]) -> tuple[Delta | None, tuple[Digest, ...]]:
    """The delta with only the bases that it uses."""
    if found is None:
        return None, ()
    used = sorted({row[0] for row in found.extents if len(row) == 3})
    extents = tuple((used.index(row[0]), *row[1:]) if len(row) == 3 else row for row in found.extents)
    return Delta(extents, found.literals), tuple(bases[number] for number in used)


def _literals(fd: int, delta: Delta, largest: int) -> Iterator[bytes]:
    """The bytes that must travel, in blocks of the size of a member."""
    block = bytearray()
    for start, size in delta.literals:
        at = start
        while at < start + size:
            data = os.pread(fd, min(start + size - at, largest - len(block)), at)
            if not data:
                return  # cut since it was compared: the caller counts the bytes
            block += data
            at += len(data)
            if len(block) == largest:
                yield bytes(block)
                block.clear()
    if block:
        yield bytes(block)


@contextmanager
def as_file(store: ObjectStore, digest: Digest, scratch: Path, *, keep: bool = False) -> Iterator[Path]:
    """An object as a file: the store's own where it keeps files, else a verified copy at `scratch`."""
    if isinstance(store, KeepsFiles):
        yield store.path(digest)
        return
    scratch.parent.mkdir(parents=True, exist_ok=True)
    scratch.unlink(missing_ok=True)
    with store.open(digest) as stream, scratch.open("xb") as copy:
        write_digested(lambda: stream.read(CHUNK_BYTES), copy.fileno())
    try:
        yield scratch
    finally:
        if not keep:
            scratch.unlink(missing_ok=True)


def _refuse_other_size(item: Wanted, found: int) -> None:
    if found != item.size:
        raise DigestMismatch(f"object {item.digest}", expected=f"{item.size} bytes", found=f"{found} or more")
