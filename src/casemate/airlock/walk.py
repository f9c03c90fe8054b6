"""What a source holds, found without following anything.

Rules. Every folder is opened relative to its parent's descriptor and never through a link, so that a path that is
swapped while it is read cannot lead elsewhere. Only regular files and folders pass. A name is UTF-8 without control or
direction characters, and differs from its neighbours by more than case or accents' encoding, so that it stays one file
on every file system. Limits are checked before a single byte is copied.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from casemate.airlock.limits import Limits
from casemate.errors import BadInput, InspectionRefused

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# Left behind and named in the report: what file browsers scatter, and nobody means to import.
LITTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_DIRECTION = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_SMALL_BYTES = 1 << 20


@dataclass(frozen=True)
class Found:
    """A regular file seen in the source; `identity` and `modified_ns` tell whether it is still the same when read."""

    path: str
    size: int
    identity: tuple[int, int]
    modified_ns: int
    links: int


@dataclass(frozen=True)
class Source:
    """What a source holds: files by path, folders (parents first) and what is left behind."""

    files: tuple[Found, ...]
    folders: tuple[str, ...]
    dropped: tuple[str, ...]

    @property
    def size(self) -> int:
        """Bytes in all."""
        return sum(file.size for file in self.files)


def open_source(source: Path) -> int:
    """A descriptor of the folder or file that the user named; a link is refused even here."""
    if source.is_symlink():
        raise InspectionRefused(source, expected="a file or folder", found=f"a link to {source.readlink()}")
    if not (source.is_dir() or source.is_file()):
        found = _kind(source.stat().st_mode) if source.exists() else "nothing"
        raise BadInput(source, expected="a file or folder", found=found)
    return os.open(source, _OPEN)


def open_below(folder_fd: int, path: str, *, directory: bool) -> int:
    """Open `path` below `folder_fd`, name by name, following nothing."""
    flags = _OPEN | (os.O_DIRECTORY if directory else 0)
    names = path.split("/") if path else []
    here = os.dup(folder_fd)
    try:
        for i, name in enumerate(names):
            last = i == len(names) - 1
            below = os.open(name, flags if last else _OPEN | os.O_DIRECTORY, dir_fd=here)
            os.close(here)
            here = below
    except OSError as why:
        os.close(here)
        raise InspectionRefused(shown(path), expected="what was listed a moment ago", found=why.strerror) from why
    return here


def look(source: Path, source_fd: int, limits: Limits) -> Source:
    """List a source and hold it against the limits."""
    status = os.fstat(source_fd)
    if stat.S_ISREG(status.st_mode):
        check_name(source.name, source.name)
        found = Source((_file(source.name, status, limits),), (), ())
    else:
        found = _look_into(source_fd, limits)
    if not found.files:
        raise BadInput(source, expected="at least one file", found="none")
    if not limits.links_from_outside:
        _check_links(found.files)
    return found


def check_name(name: str, path: str) -> None:
    """Refuse a name that is not text, or that could pass for another."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise InspectionRefused(shown(path), expected="a name in UTF-8", found="other bytes") from None
    for c in name:
        if unicodedata.category(c) in {"Cc", "Zl", "Zp"} or c in _DIRECTION:
            raise InspectionRefused(
                shown(path), expected="a name without control or direction characters", found=f"U+{ord(c):04X}"
            )


def shown(path: str) -> str:
    """A path as an error may print it: bytes that are not UTF-8 as backslash, x and two digits."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def _look_into(source_fd: int, limits: Limits) -> Source:
    files: list[Found] = []
    folders: list[str] = []
    dropped: list[str] = []
    total = 0
    for path, status in _entries(source_fd, "", 1, limits):
        if stat.S_ISDIR(status.st_mode):
            folders.append(path)
        elif path.rpartition("/")[2] in LITTER and stat.S_ISREG(status.st_mode):
            dropped.append(path)
        else:
            files.append(_file(path, status, limits))
            total += status.st_size
        if len(files) + len(folders) > limits.max_files:
            raise InspectionRefused(shown(path), expected=f"at most {limits.max_files} files", found="more")
        if total > limits.max_bytes:
            raise InspectionRefused(shown(path), expected=f"at most {limits.max_bytes} bytes in all", found="more")
    return Source(tuple(sorted(files, key=lambda f: f.path)), tuple(folders), tuple(sorted(dropped)))


def _entries(folder_fd: int, folder: str, depth: int, limits: Limits) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder_fd) as listing:
        entries = sorted(((e.name, e.stat(follow_symlinks=False)) for e in listing), key=lambda e: e[0])
    seen: dict[str, str] = {}
    for name, status in entries:
        path = f"{folder}/{name}" if folder else name
        _check_entry(name, path, depth, seen, limits)
        yield path, status
        if stat.S_ISDIR(status.st_mode):
            below = open_below(folder_fd, name, directory=True)
            try:
                yield from _entries(below, path, depth + 1, limits)
            finally:
                os.close(below)


def _check_entry(name: str, path: str, depth: int, seen: dict[str, str], limits: Limits) -> None:
    check_name(name, path)
    if depth > limits.max_depth:
        raise InspectionRefused(shown(path), expected=f"at most {limits.max_depth} folders deep", found=depth)
    if len(path) > limits.max_path_chars:
        expected = f"a path of at most {limits.max_path_chars} characters"
        raise InspectionRefused(shown(path), expected=expected, found=len(path))
    key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    other = seen.setdefault(key, name)
    if other != name:
        expected = "a name that differs from its neighbours by more than case or encoding"
        raise InspectionRefused(shown(path), expected=expected, found=ascii(other))


def _file(path: str, status: os.stat_result, limits: Limits) -> Found:
    if not stat.S_ISREG(status.st_mode):
        raise InspectionRefused(shown(path), expected="a file or folder", found=_kind(status.st_mode))
    if status.st_size > limits.max_file_bytes:
        raise InspectionRefused(shown(path), expected=f"at most {limits.max_file_bytes} bytes", found=status.st_size)
    on_disk = status.st_blocks * 512
    if status.st_size > _SMALL_BYTES and on_disk * limits.max_expansion < status.st_size:
        expected = f"at least 1/{limits.max_expansion} of its {status.st_size} bytes on disk"
        raise InspectionRefused(shown(path), expected=expected, found=f"{on_disk} bytes, a sparse file")
    return Found(path, status.st_size, (status.st_dev, status.st_ino), status.st_mtime_ns, status.st_nlink)


def _check_links(files: tuple[Found, ...]) -> None:
    inside = Counter(file.identity for file in files)
    for file in files:
        if file.links > inside[file.identity]:
            found = f"{file.links} links, {inside[file.identity]} of them here"
            raise InspectionRefused(shown(file.path), expected="a file that no other folder shares", found=found)


def _kind(mode: int) -> str:
    kinds = {
        stat.S_IFLNK: "a link",
        stat.S_IFIFO: "a named pipe",
        stat.S_IFSOCK: "a socket",
        stat.S_IFBLK: "a block device",
        stat.S_IFCHR: "a character device",
    }
    return kinds.get(stat.S_IFMT(mode), "something else")
