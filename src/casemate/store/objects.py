"""Objects: bytes kept under their digest. The seam that every backend of the store fills, found by listing this folder.

Rules. What is put is whole or absent. What is read is verified: wrong bytes raise DigestMismatch and are never handed
over as the end of a stream. A backend is one file of this folder with a function `open_backend(root)`; it passes the
conformance suite. Encryption at rest by compartment, or a remote store, is a backend (or wraps one) that does not
offer KeepsFiles: everything then goes through `put` and `open`, the only places that see plain bytes.
"""

from __future__ import annotations

import hashlib
import importlib
import io
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol, cast, runtime_checkable

from casemate.errors import BadInput, DigestMismatch, NotFound
from casemate.store.digest import CHUNK_BYTES, Digest

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class ObjectStore(Protocol):
    """Bytes by their digest."""

    def put(self, stream: BinaryIO) -> Digest:
        """Keep what is left in `stream`; a full disk is DiskFull and leaves nothing."""
        ...

    def open(self, digest: Digest) -> BinaryIO:
        """A verified stream of an object; missing is NotFound, wrong bytes are DigestMismatch while reading."""
        ...

    def has(self, digest: Digest) -> bool:
        """Whether there is an object of that name (its bytes are verified when they are read)."""
        ...

    def digests(self) -> Iterator[Digest]:
        """The names of all objects."""
        ...

    def delete(self, digest: Digest, *, idle_s: float = 0.0) -> bool:
        """Delete an object unless it was put within the last `idle_s` seconds; whether it was deleted."""
        ...


@runtime_checkable
class KeepsFiles(Protocol):
    """A store whose objects are plain read-only files of this machine, so that folders need not be copied."""

    def staging(self) -> AbstractContextManager[Path]:
        """A folder for files on their way in; gone at the end, or swept by the next opening if the process died."""
        ...

    def adopt(self, files: Sequence[tuple[Path, Digest]]) -> None:
        """Make finished files objects by rename: durable data first, then the names, then durable names."""
        ...

    def path(self, digest: Digest) -> Path:
        """Where an object is, or would be."""
        ...


class VerifiedReader(io.RawIOBase):
    """Reads `size` bytes of `stream` in order and refuses to reach the end of bytes that are not `digest`."""

    def __init__(self, stream: BinaryIO, size: int, digest: Digest) -> None:
        """Take over `stream`, which is closed with this one."""
        self._stream, self._left, self._digest = stream, size, digest
        self._state = hashlib.sha256()

    def readable(self) -> bool:
        """True: this is for reading, in order, once."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Read a chunk; the last one only if all bytes together are those of the digest."""
        view = memoryview(buffer).cast("B")
        count = self._stream.readinto(view)  # type: ignore[attr-defined]  # every binary stream has it
        self._state.update(view[:count])
        self._left -= count
        at_end = self._left <= 0 or (count == 0 and len(view) > 0)
        if at_end and self._state.hexdigest() != self._digest.hex:
            raise DigestMismatch(f"object {self._digest}", expected=self._digest, found=self._found())
        return cast("int", count)

    def close(self) -> None:
        """Close the stream underneath too."""
        self._stream.close()
        super().close()

    def _found(self) -> Digest:
        while chunk := self._stream.read(CHUNK_BYTES):
            self._state.update(chunk)
        return Digest(self._state.hexdigest())


def verified(stream: BinaryIO, size: int, digest: Digest) -> BinaryIO:
    """A buffered, verified stream of `size` bytes that must be `digest`."""
    return cast("BinaryIO", io.BufferedReader(VerifiedReader(stream, size, digest), CHUNK_BYTES))


def missing(digest: Digest) -> NotFound:
    """The refusal for an object that is not there."""
    return NotFound(f"object {digest}", expected="an object of the store", found="nothing")


def put_bytes(store: ObjectStore, data: bytes) -> Digest:
    """Keep bytes that are in memory."""
    return store.put(io.BytesIO(data))


def get_bytes(store: ObjectStore, digest: Digest) -> bytes:
    """The whole of an object, verified."""
    with store.open(digest) as stream:
        return stream.read()


def store_names() -> list[str]:
    """The backends there are: the modules of this folder that have `open_backend`."""
    found = (file.stem for file in Path(__file__).parent.glob("*.py") if not file.stem.startswith("_"))
    return sorted(name for name in found if hasattr(importlib.import_module(f"casemate.store.{name}"), "open_backend"))


def open_store(name: str, root: Path | None = None) -> ObjectStore:
    """The backend `name`, over `root` where it keeps something on disk."""
    known = store_names()
    if name not in known:
        raise BadInput("store", expected=" or ".join(known), found=repr(name))
    return cast("ObjectStore", importlib.import_module(f"casemate.store.{name}").open_backend(root))
