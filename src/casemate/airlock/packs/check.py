"""Whether a folder is exactly what a list says, on the closed side.

Rules. Exactly the list's files, their sizes and digests, and nothing else: an extra file, an empty folder, a link is a
refusal that names it. Links are not followed. The list is the one that the officer signed; the one in the folder is a
copy to read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from casemate.airlock.packs.content import HEAD_BYTES, check_content
from casemate.airlock.packs.pack import Pack
from casemate.errors import BadInput, DigestMismatch, NotTrusted
from casemate.store.cores import Progress, Tally, on_all_cores
from casemate.store.digest import kind_of, of_descriptor, open_regular
from casemate.store.manifest import Manifest, ManifestFile


def check(folder: Path, pack: Pack, *, progress: Progress | None = None) -> Manifest:
    """The manifest of `folder` if it is exactly the pack; NotTrusted or DigestMismatch naming the file at fault."""
    manifest = check_exactly(folder, pack.manifest, progress=progress)
    for file in pack.files:
        with (folder / file.path).open("rb") as stream:
            check_content(stream.read(HEAD_BYTES), file.path, file.format)
    return manifest


def check_exactly(folder: Path, manifest: Manifest, *, progress: Progress | None = None) -> Manifest:
    """The manifest, if it is that of `folder`, file by file and nothing else."""
    expected = {file.path: file for file in manifest.files}
    if not folder.is_dir() or folder.is_symlink():
        raise BadInput(folder, expected="a folder", found="a link or no folder")
    found = set(_walk(folder, "", {"/".join(p.split("/")[:n]) for p in expected for n in range(1, p.count("/") + 1)}))
    for path in sorted(found - expected.keys()):
        raise NotTrusted(path, expected="no such file", found="a file that the list does not have")
    for path in sorted(expected.keys() - found):
        raise NotTrusted(path, expected="a file", found="none")
    tally = Tally(progress, manifest.size, "bytes")
    for _ in on_all_cores(lambda file: _check_file(folder, file, tally), manifest.files):
        pass
    return manifest


def _walk(folder: Path, prefix: str, folders: set[str]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            path = prefix + entry.name
            mode = entry.stat(follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                if path not in folders:
                    raise NotTrusted(path, expected="no such folder", found="a folder that the list does not have")
                yield from _walk(Path(entry.path), path + "/", folders)
            elif stat.S_ISREG(mode):
                yield path
            else:
                raise NotTrusted(path, expected="files and folders only", found=kind_of(mode))


def _check_file(folder: Path, file: ManifestFile, tally: Tally) -> None:
    fd, facts = open_regular(folder / file.path)
    try:
        if facts.st_size != file.size:
            raise DigestMismatch(file.path, expected=f"{file.size} bytes", found=f"{facts.st_size} bytes")
        actual = of_descriptor(fd, on_bytes=tally.add)
    finally:
        os.close(fd)
    if actual != file.digest:
        raise DigestMismatch(file.path, expected=file.digest, found=actual)
