"""A store in memory: for tests and for what need not survive the process."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from casemate.store.digest import Digest
from casemate.store.objects import missing, verified


class MemoryStore:
    """Objects in a dictionary; safe to use from several threads."""

    def __init__(self) -> None:
        self._objects: dict[Digest, tuple[bytes, float]] = {}
        self._lock = threading.Lock()

    def put(self, stream: BinaryIO) -> Digest:
        """Keep what is left in `stream`."""
        data = stream.read()
        digest = Digest.of_bytes(data)
        with self._lock:
            self._objects[digest] = (data, time.monotonic())
        return digest

    def open(self, digest: Digest) -> BinaryIO:
        """A verified stream of an object."""
        found = self._objects.get(digest)
        if found is None:
            raise missing(digest)
        return verified(io.BytesIO(found[0]), len(found[0]), digest)

    def has(self, digest: Digest) -> bool:
        """Whether there is an object of that name."""
        return digest in self._objects

    def digests(self) -> Iterator[Digest]:
        """The names of all objects."""
        with self._lock:
            names = list(self._objects)
        yield from names

    def delete(self, digest: Digest, *, idle_s: float = 0.0) -> bool:
        """Delete an object unless it was put within the last `idle_s` seconds."""
        with self._lock:
            found = self._objects.get(digest)
            if found is None or time.monotonic() - found[1] < idle_s:
                return False
            del self._objects[digest]
            return True


def open_backend(root: Path | None) -> MemoryStore:  # noqa: ARG001  every backend is opened alike
    """A new, empty store."""
    return MemoryStore()
