"""Which objects a bundle must hold: all that its entries need, less what the destination has acknowledged.

Rules. Each object once, sorted by digest; memory is 40 bytes an object, whatever the files' names. A version's list of
files is read in a stream and not as a whole. Only big files are asked for what they could be a change of.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from json import loads
from typing import Any, cast

import numpy as np

from casemate.airlock.bundle.terms import Carried
from casemate.errors import BadInput
from casemate.store.digest import CHUNK_BYTES, Digest
from casemate.store.manifest import FORMAT, PREFIX
from casemate.store.objects import KeepsFiles, ObjectStore, missing

LEAST_DELTA_BYTES = 1 << 20
BASES_MAX = 4
_RECORD = np.dtype([("digest", "S32"), ("size", ">u8")])
_FILE = re.compile(rb'  \{\n   "path": (".*"),\n   "sha256": "([0-9a-f]{64})",\n   "size": (\d+)\n  \},?\n')
_LINES = 5
_HEAD, _EMPTY, _TAIL = PREFIX + b"\n", PREFIX + b"],\n", f' "format": "{FORMAT}"\n}}\n'.encode()

Bases = Callable[[Carried, str, Digest], Sequence[Digest]]


@dataclass(frozen=True)
class Wanted:
    """An object that must travel, and the objects at the destination that it may be a change of."""

    digest: Digest
    size: int
    bases: tuple[Digest, ...] = ()


class Closure:
    """The objects that must travel, sorted by digest."""

    def __init__(self, records: np.ndarray[Any, Any], bases: dict[bytes, tuple[Digest, ...]]) -> None:
        self._records, self._bases = records, bases

    def __len__(self) -> int:
        return len(self._records)

    @property
    def size(self) -> int:
        """Bytes in all."""
        return int(self._records["size"].sum(dtype=np.uint64))

    def since(self, first: int) -> Iterator[Wanted]:
        """The objects from the one with index `first` on."""
        for place in range(first, len(self)):
            record = self._records[place]
            name = _name(record["digest"])
            yield Wanted(Digest(name.hex()), int(record["size"]), self._bases.get(name, ()))

    def fingerprint(self) -> str:
        """The SHA-256 (hex) of all that decides how these objects are laid out in parts."""
        state = hashlib.sha256(self._records.tobytes())
        for name in sorted(self._bases):
            state.update(name + b"".join(bytes.fromhex(base.hex) for base in self._bases[name]))
        return state.hexdigest()


def closure(
    store: ObjectStore, entries: Iterable[Carried], acknowledged: Iterator[Digest], bases: Bases | None = None
) -> Closure:
    """What `entries` need and the sorted `acknowledged` does not hold; NotFound for an object that is not there."""
    gathered, asked = bytearray(), dict[bytes, tuple[Digest, ...]]()
    for entry in entries:
        for path, digest, size in needed(store, entry):
            gathered += bytes.fromhex(digest.hex) + size.to_bytes(8, "big")
            if bases is not None and size >= LEAST_DELTA_BYTES:
                found = tuple(dict.fromkeys(base for base in bases(entry, path, digest) if base != digest))[:BASES_MAX]
                known = asked.get(bytes.fromhex(digest.hex), ())
                asked[bytes.fromhex(digest.hex)] = known or tuple(base for base in found if store.has(base))
    records = np.unique(np.frombuffer(bytes(gathered), _RECORD))
    if len(np.unique(records["digest"])) != len(records):
        raise BadInput("objects of the entries", expected="one size for each digest", found="two")
    kept = records[_not_among(records, acknowledged)]
    names = {_name(name) for name in kept["digest"]} if asked else set()
    return Closure(kept, {name: found for name, found in asked.items() if found and name in names})


def needed(store: ObjectStore, entry: Carried) -> Iterator[tuple[str, Digest, int]]:
    """Path (empty for what has none), digest and size of every object of an entry."""
    for digest in (entry.digest, *entry.also):
        yield "", digest, _size(store, digest)
    if entry.shape == "manifest":
        yield from _files(store, entry.digest)


def _files(store: ObjectStore, digest: Digest) -> Iterator[tuple[str, Digest, int]]:
    """The files of a canonical manifest, read in a stream; `Manifest.from_json` reads the same at once."""
    thing = f"manifest {digest}"
    with store.open(digest) as stream:
        head = stream.readline() + stream.readline()
        lines = [stream.readline() for _ in range(_LINES)]
        while head == _HEAD and (found := _FILE.fullmatch(b"".join(lines))):
            yield str(loads(found[1])), Digest(found[2].decode()), int(found[3])
            lines = [stream.readline() for _ in range(_LINES)]
        if head + b"".join(lines) not in {_HEAD + b" ],\n" + _TAIL, _EMPTY + _TAIL}:
            raise BadInput(thing, expected=f"a manifest in format {FORMAT}", found="something else")
        while stream.read(CHUNK_BYTES):
            pass  # to its end, where its digest is verified


def _size(store: ObjectStore, digest: Digest) -> int:
    if isinstance(store, KeepsFiles):
        try:
            return os.stat(store.path(digest)).st_size  # noqa: PTH116  there may be millions
        except FileNotFoundError as why:
            raise missing(digest) from why
    with store.open(digest) as stream:
        return sum(len(chunk) for chunk in iter(lambda: stream.read(CHUNK_BYTES), b""))


def _not_among(records: np.ndarray[Any, Any], acknowledged: Iterator[Digest]) -> np.ndarray[Any, Any]:
    """Which records are not among a sorted stream of digests."""
    kept = np.ones(len(records), bool)
    last, there = "", next(acknowledged, None)
    for place, raw in enumerate(records["digest"]):
        name = _name(raw).hex()
        while there is not None and there.hex < name:
            last = _after(last, there)
            there = next(acknowledged, None)
        if there is None:
            break
        kept[place] = there.hex != name
    return kept


def _after(last: str, there: Digest) -> str:
    if there.hex <= last:
        raise BadInput("acknowledged digests", expected=f"a digest after {last}", found=there.hex)
    return there.hex


def _name(raw: object) -> bytes:
    """32 bytes again: numpy drops zeros at the end of its fixed-size bytes."""
    return cast("bytes", raw).ljust(32, b"\0")
