"""Checking: every byte of a bundle held against its signature, and nothing written.

Rules. The signature first, then every file's digest, then every object's: headers, paddings and ends included. All
volumes are looked at together; one twice, one missing or one of another bundle is refused, and the order is nobody's
concern. What is wrong is named by file. There is no option to check less.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import datetime
from functools import partial
from pathlib import Path

from casemate.airlock.bundle.bases import base_opener, require_bases
from casemate.airlock.bundle.delivery import Delivery, Opening, open_delivery, read_head
from casemate.airlock.bundle.head import verify_head
from casemate.airlock.bundle.lines import LIST, bounded_lines, read_lines
from casemate.airlock.bundle.manifest import BundleManifest
from casemate.airlock.bundle.reading import Opened, read_objects
from casemate.airlock.bundle.receive import refuse_other
from casemate.airlock.bundle.terms import FileFacts
from casemate.airlock.limits import Limits
from casemate.errors import BadInput, InspectionRefused, NotFound
from casemate.signing.trust import Trust
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import CHUNK_BYTES, Digest
from casemate.store.objects import ObjectStore


def check(
    sources: Path | Sequence[Path],
    trust: Trust,
    now: datetime,
    store: ObjectStore | None = None,
    progress: Progress | None = None,
    limits: Limits | None = None,
) -> BundleManifest:
    """The manifest of a bundle, given whole (a folder, an archive, or all its volumes), once all of it was verified.

    Objects that build on what the destination has are verified to their digest if `store` is given, and without it as
    far as they travelled.
    """
    listed = [sources] if isinstance(sources, Path) else list(sources)
    if not listed:
        raise BadInput("bundle", expected="a folder, an archive or volumes", found="none")
    head = read_head(listed[0])
    verify_head(head, trust, now)
    with ExitStack() as opened:
        deliveries = [opened.enter_context(open_delivery(one, head, limits or Limits())) for one in listed]
        files = _all_files(deliveries)
        _check_digests(head.manifest, files, progress)
        _check_objects(head.manifest, files, store)
    return head.manifest


def _all_files(deliveries: Sequence[Delivery]) -> dict[str, Opening]:
    """Every file of the bundle, each from one source."""
    found: dict[str, Opening] = {}
    for delivery in deliveries:
        if delivery.missing:
            raise NotFound(delivery.missing[0], expected=f"a file in {delivery.name}", found="nothing")
        for file in delivery.files:
            if file.path in found:
                raise InspectionRefused(f"{delivery.name}: {file.path}", expected="each file once", found="it again")
            found[file.path] = partial(delivery.open, file.path)
    for file in deliveries[0].head.manifest.files():
        if file.path not in found:
            raise NotFound(file.path, expected="a file in one of the volumes", found=f"{len(deliveries)} without it")
    return found


def _check_digests(manifest: BundleManifest, files: Mapping[str, Opening], progress: Progress | None) -> None:
    listed = list(manifest.files())
    tally = Tally(progress, sum(file.size for file in listed), "bytes")

    def digest(file: FileFacts) -> None:
        state, at = hashlib.sha256(), 0
        with files[file.path]() as span:
            while data := span.read(CHUNK_BYTES, at):
                state.update(data)
                at += len(data)
                tally.add(len(data))
            refuse_other(span.name, file, at, Digest(state.hexdigest()))

    for _ in on_all_cores(digest, listed):
        pass


def _check_objects(manifest: BundleManifest, files: Mapping[str, Opening], store: ObjectStore | None) -> None:
    parts = [files[part.path] for part in manifest.parts]
    if store is not None:
        with files[LIST]() as span:
            require_bases(store, manifest, read_lines(bounded_lines(span.stream().readline)))
    opener = None if store is None else base_opener(store, None)
    with files[LIST]() as span:
        lines = read_lines(bounded_lines(span.stream().readline))
        read_objects(Opened(parts, opener), manifest, lines, lambda _: _Nowhere())


class _Nowhere:
    """A sink that keeps nothing."""

    def write(self, data: bytes | memoryview) -> None:
        pass

    def done(self) -> None:
        pass

    def close(self) -> None:
        pass
