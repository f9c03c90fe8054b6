"""Folders as versions: every file an object, and a manifest that names them.

Rules. Only regular files are taken; links, pipes and devices are BadInput. Empty folders have no name in a manifest and
are not kept. Hashing and copying run on all cores. The manifest becomes an object in the same batch as its files, so a
manifest that is in the store was put with everything that it lists.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from casemate.errors import BadInput, DigestMismatch
from casemate.store.checkout import checkout
from casemate.store.copying import copy_digested
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import Digest, Hashed, kind_of
from casemate.store.manifest import Manifest, ManifestFile, check_path
from casemate.store.objects import KeepsFiles, ObjectStore, get_bytes, put_bytes
from casemate.store.staging import full_disk_named
from casemate.store.upkeep import Damage, collect_garbage, verify_store

__all__ = [
    "Damage",
    "FoundFile",
    "Progress",
    "checkout",
    "collect_garbage",
    "get_bytes",
    "get_manifest",
    "list_files",
    "manifest_of",
    "put_bytes",
    "put_folder",
    "verify_store",
]


@dataclass(frozen=True)
class FoundFile:
    """A regular file below a folder: its relative path, where it is, and its stat."""

    path: str
    file: str
    facts: os.stat_result


def list_files(folder: Path) -> list[FoundFile]:
    """The regular files below `folder`, sorted; anything that is neither file nor folder is BadInput."""
    if not folder.is_dir():
        raise BadInput(folder, expected="a folder", found="a file" if folder.exists() else "nothing")
    return sorted(_walk(str(folder), ""), key=lambda found: found.path)


def manifest_of(folder: Path, *, progress: Progress | None = None) -> Manifest:
    """The manifest of a folder as it is now, digested on all cores; nothing is kept."""
    found = list_files(folder)
    tally = Tally(progress, sum(item.facts.st_size for item in found), "bytes")
    pairs = on_all_cores(lambda item: _digest_in_place(item, None, tally), found)
    return Manifest(tuple(ManifestFile(item.path, item.facts.st_size, digest) for item, digest in pairs))


def put_folder(
    store: ObjectStore,
    folder: Path,
    *,
    move: bool = False,
    known: Mapping[str, Hashed] | None = None,
    progress: Progress | None = None,
) -> Manifest:
    """Keep every file below `folder` and the manifest that lists them; `progress` counts bytes.

    With `move` the files themselves become objects by rename, and `folder` is removed: nothing is copied. `known` holds
    digests computed moments ago, by relative path; each is taken for true only while size, mtime and inode are those
    that were digested (and reads verify anyway), so that nothing is hashed twice.
    """
    found = list_files(folder)
    tally = Tally(progress, sum(item.facts.st_size for item in found), "bytes")
    if isinstance(store, KeepsFiles):
        manifest = _adopt_folder(store, found, known if move else {}, tally, move=move)
    else:
        manifest = _stream_folder(store, found, tally)
    if move:
        _remove_moved(folder, found)
    return manifest


def get_manifest(store: ObjectStore, digest: Digest) -> Manifest:
    """The manifest whose canonical text is the object `digest`."""
    return Manifest.from_json(get_bytes(store, digest), source=f"manifest {digest}")


def _adopt_folder(
    store: KeepsFiles, found: list[FoundFile], known: Mapping[str, Hashed] | None, tally: Tally, *, move: bool
) -> Manifest:
    with store.staging() as place, full_disk_named(place):
        device = place.stat().st_dev

        def bring(numbered: tuple[int, FoundFile]) -> tuple[Path, int, Digest]:
            number, item = numbered
            # A file with other names could be changed through them, one elsewhere cannot be renamed: both are copied.
            if move and item.facts.st_nlink == 1 and item.facts.st_dev == device:
                return Path(item.file), item.facts.st_size, _digest_in_place(item, (known or {}).get(item.path), tally)
            target = place / str(number)
            digest = copy_digested(item.file, target, on_bytes=tally.add)
            return target, target.stat().st_size, digest

        brought = [(item, result) for (_, item), result in on_all_cores(bring, enumerate(found))]
        manifest = Manifest(tuple(ManifestFile(item.path, size, digest) for item, (_, size, digest) in brought))
        text = place / "manifest"
        text.write_bytes(manifest.to_json())
        store.adopt([*((file, digest) for _, (file, _, digest) in brought), (text, manifest.digest)])
    return manifest


def _stream_folder(store: ObjectStore, found: list[FoundFile], tally: Tally) -> Manifest:
    def bring(item: FoundFile) -> Digest:
        with Path(item.file).open("rb") as stream:
            digest = store.put(stream)
            if stream.tell() != item.facts.st_size:
                raise _changed(item)
        tally.add(item.facts.st_size)
        return digest

    pairs = on_all_cores(bring, found)
    manifest = Manifest(tuple(ManifestFile(item.path, item.facts.st_size, digest) for item, digest in pairs))
    put_bytes(store, manifest.to_json())
    return manifest


def _digest_in_place(item: FoundFile, known: Hashed | None, tally: Tally) -> Digest:
    if known is not None and known.still(item.facts):
        tally.add(item.facts.st_size)
        return known.digest
    digest = Digest.of_file(Path(item.file), on_bytes=tally.add)
    if not Hashed.seen(digest, item.facts).still(os.lstat(item.file)):
        raise _changed(item)
    return digest


def _changed(item: FoundFile) -> DigestMismatch:
    return DigestMismatch(item.path, expected="a file that stays the same while it is read", found="it changed")


def _walk(folder: str, prefix: str) -> Iterator[FoundFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = prefix + entry.name
            check_path(path, folder)
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path, path + "/")
                continue
            facts = entry.stat(follow_symlinks=False)
            if not stat.S_ISREG(facts.st_mode):
                raise BadInput(path, expected="files and folders only", found=kind_of(facts.st_mode))
            yield FoundFile(path, entry.path, facts)


def _remove_moved(folder: Path, found: list[FoundFile]) -> None:
    moved = {item.file for item in found}
    for parent, _, names in os.walk(folder, topdown=False):
        for name in names:  # those that were copied, not renamed; what came in meanwhile is nobody's to remove
            if f"{parent}/{name}" in moved:
                Path(parent, name).unlink()
        if not any(Path(parent).iterdir()):
            Path(parent).rmdir()
