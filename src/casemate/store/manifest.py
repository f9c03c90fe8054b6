"""A manifest: the files of a version, each with its size and digest; the manifest's own digest is the version's name.

Rules. The text is canonical (sorted, one space of indentation, ASCII, newline at the end), and only canonical text is
read: parse∘print and print∘parse are both the identity, so a version has one name. Paths are relative, in POSIX form,
without "..", and no file is also a folder. ASCII, so that a hostile name shown by `cat` cannot drive a terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring_ascii
from typing import Any

from casemate.errors import BadInput
from casemate.store.digest import Digest

FORMAT = "casemate-manifest/1"
PREFIX = b'{\n "files": ['
_PATH_BYTES_MAX = 4095
_NAME_BYTES_MAX = 255


@dataclass(frozen=True, order=True)
class ManifestFile:
    """One file of a version; `path` is relative, in POSIX form."""

    path: str
    size: int
    digest: Digest


@dataclass(frozen=True)
class Manifest:
    """The files of a version, sorted by path."""

    files: tuple[ManifestFile, ...]

    def __post_init__(self) -> None:
        """Sort the files and refuse what could not be checked out as it is written."""
        object.__setattr__(self, "files", tuple(sorted(self.files, key=lambda file: file.path)))
        _refuse_clashes(self.files)

    def to_json(self) -> bytes:
        """The canonical text; the same as `json.dumps(…, indent=1, sort_keys=True)` and far quicker for many files."""
        lines = ",\n".join(
            f'  {{\n   "path": {encode_basestring_ascii(file.path)},\n'
            f'   "sha256": "{file.digest.hex}",\n   "size": {file.size}\n  }}'
            for file in self.files
        )
        listed = f"[\n{lines}\n ]" if lines else "[]"
        return f'{{\n "files": {listed},\n "format": "{FORMAT}"\n}}\n'.encode("ascii")

    @classmethod
    def from_json(cls, data: bytes, *, source: str = "manifest") -> Manifest:
        """Read canonical text; unknown keys, duplicates, "..", absolute paths are BadInput that names `source`."""
        raw = _loads(data, source)
        if set(raw) != {"files", "format"} or raw["format"] != FORMAT or not isinstance(raw["files"], list):
            raise BadInput(source, expected=f"format {FORMAT} and a list of files", found=_keys(raw))
        manifest = cls(tuple(_read_file(item, source) for item in raw["files"]))
        if manifest.to_json() != data:
            raise BadInput(source, expected="canonical text (sorted, each key once)", found="the same facts otherwise")
        return manifest

    @cached_property
    def digest(self) -> Digest:
        """The name of this version: the digest of its canonical text."""
        return Digest.of_bytes(self.to_json())

    @property
    def size(self) -> int:
        """The bytes of all files together."""
        return sum(file.size for file in self.files)

    def differences(self, other: Manifest) -> list[str]:
        """What `other` has otherwise, file by file, as sentences; empty when both are the same version."""
        mine, theirs = ({file.path: file for file in manifest.files} for manifest in (self, other))
        found = []
        for path in sorted(mine.keys() | theirs.keys()):
            name = encode_basestring_ascii(path)
            if path not in theirs:
                found.append(f"{name} is missing")
            elif path not in mine:
                found.append(f"{name} was added")
            elif mine[path] != theirs[path]:
                found.append(f"{name}: expected {_facts(mine[path])}, found {_facts(theirs[path])}")
        return found


def check_path(path: str, source: str) -> None:
    """Refuse a path that is not relative, in POSIX form, in UTF-8, within what file systems take."""
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError as why:
        raise BadInput(source, expected="paths in UTF-8", found=ascii(path)) from why
    parts = path.split("/")
    if "\0" in path or any(part in {"", ".", ".."} for part in parts):
        raise BadInput(source, expected='relative paths without empty parts, "." or ".."', found=ascii(path))
    if len(encoded) > _PATH_BYTES_MAX or any(len(part.encode("utf-8")) > _NAME_BYTES_MAX for part in parts):
        raise BadInput(source, expected=f"names of at most {_NAME_BYTES_MAX} bytes", found=ascii(path))


def _refuse_clashes(files: Iterable[ManifestFile]) -> None:
    paths: set[str] = set()
    folders: set[str] = set()
    for file in files:
        check_path(file.path, "manifest")
        if file.path in paths:
            raise BadInput("manifest", expected="each path once", found=f"{file.path!a} twice")
        paths.add(file.path)
        parent = file.path.rpartition("/")[0]
        while parent and parent not in folders:
            folders.add(parent)
            parent = parent.rpartition("/")[0]
    for path in sorted(paths & folders):
        raise BadInput("manifest", expected="each path to be a file or a folder", found=f"{path!a} as both")


def _loads(data: bytes, source: str) -> dict[str, Any]:
    try:
        raw = json.loads(data.decode("ascii"))
    except (ValueError, RecursionError) as why:
        raise BadInput(source, expected="a manifest in JSON", found=why) from why
    if not isinstance(raw, dict):
        raise BadInput(source, expected="a JSON object", found=type(raw).__name__)
    return raw


def _read_file(item: Any, source: str) -> ManifestFile:
    match item:
        case {"path": str(path), "sha256": str(digest), "size": int(size), **rest} if not rest:
            if isinstance(size, bool) or size < 0:
                raise BadInput(source, expected=f"a size for {path!a}", found=size)
            return ManifestFile(path, size, Digest.parse(f"sha256:{digest}"))
        case _:
            raise BadInput(source, expected="files with path, sha256 and size", found=_keys(item))


def _keys(item: Any) -> str:
    return ", ".join(f"{key}={item[key]!r:.60}" for key in sorted(item)) if isinstance(item, Mapping) else repr(item)


def _facts(file: ManifestFile) -> str:
    return f"{file.size} bytes {file.digest}"
