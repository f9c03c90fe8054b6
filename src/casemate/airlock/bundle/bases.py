"""The objects that a bundle builds on, where it arrives: they must be there before anything is rebuilt."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from casemate.airlock.bundle.delivery import Span
from casemate.airlock.bundle.lines import ObjectLine
from casemate.airlock.bundle.manifest import BundleManifest
from casemate.airlock.bundle.members import as_file
from casemate.errors import NotFound
from casemate.store.digest import Digest, open_regular
from casemate.store.objects import ObjectStore


def require_bases(store: ObjectStore, manifest: BundleManifest, lines: Iterable[ObjectLine]) -> None:
    """NotFound naming the first object that builds on what is not there, and that."""
    missing = {base for base in manifest.bases if not store.has(base)}
    if missing:
        named = ((line, base) for line in lines for base in line.bases if base in missing)
        line, base = next(named, (None, min(missing)))
        thing = f"object {line.digest}" if line else f"bundle {manifest.digest}"
        raise NotFound(thing, expected=f"base {base} to be in the store", found="nothing")


def base_opener(store: ObjectStore, scratch: Path | None) -> Callable[[Digest], AbstractContextManager[Span]]:
    """Opens an object for reading anywhere in it; where the store keeps no files, as a verified copy in `scratch`."""

    @contextmanager
    def opened(base: Digest) -> Iterator[Span]:
        with TemporaryDirectory(dir=scratch) as own, as_file(store, base, Path(own) / "base") as file:
            fd, facts = open_regular(file)
            try:
                yield Span(fd, 0, facts.st_size, f"base {base}")
            finally:
                os.close(fd)

    return opened
