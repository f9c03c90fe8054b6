"""A digest: the SHA-256 of some bytes, which is their name.

Rules. A digest knows its algorithm: its text is `sha256:` and 64 lower-case hexadecimal digits, nothing else is read.
Bytes are read in a stream, never whole. Only regular files are digested: a link or a pipe is an error, not followed.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from casemate.errors import BadInput
from casemate.store.cores import on_all_cores

CHUNK_BYTES = 1 << 20
_TEXT = re.compile(r"sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, order=True)
class Digest:
    """The SHA-256 of some bytes; `str` gives `sha256:<hex>`, `parse` reads it back."""

    hex: str

    @classmethod
    def parse(cls, text: str) -> Digest:
        """A digest from its text; anything but `sha256:` and 64 lower-case hexadecimal digits is BadInput."""
        found = _TEXT.fullmatch(text)
        if not found:
            raise BadInput("digest", expected="sha256: and 64 lower-case hexadecimal digits", found=repr(text))
        return cls(found[1])

    @classmethod
    def of_bytes(cls, data: bytes) -> Digest:
        """The digest of bytes in memory."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_file(cls, path: Path, *, on_bytes: Callable[[int], None] | None = None) -> Digest:
        """The digest of a regular file, read in a stream; `on_bytes` hears of every chunk read."""
        fd, _ = open_regular(path)
        try:
            return of_descriptor(fd, on_bytes=on_bytes)
        finally:
            os.close(fd)

    def __str__(self) -> str:
        return f"sha256:{self.hex}"


@dataclass(frozen=True)
class Hashed:
    """A digest computed moments ago, with the facts that tell whether the file is still the one that was read."""

    digest: Digest
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def seen(cls, digest: Digest, facts: os.stat_result) -> Hashed:
        """The digest of a file together with its stat."""
        return cls(digest, facts.st_size, facts.st_mtime_ns, facts.st_ino)

    def still(self, facts: os.stat_result) -> bool:
        """Whether `facts` are those of the very file that was digested, untouched."""
        return (facts.st_size, facts.st_mtime_ns, facts.st_ino) == (self.size, self.mtime_ns, self.inode)


def digest_files(
    paths: Iterable[Path], *, on_bytes: Callable[[int], None] | None = None
) -> Iterator[tuple[Path, Digest]]:
    """Digest files on all cores; pairs come in the order in which they finish; `on_bytes` is called from any thread."""
    return on_all_cores(lambda path: Digest.of_file(path, on_bytes=on_bytes), paths)


def open_regular(path: Path | str) -> tuple[int, os.stat_result]:
    """A read-only descriptor of a regular file and its stat; a link, pipe or device is BadInput."""
    # O_NONBLOCK: opening a pipe must not wait for a writer. It changes nothing for a regular file.
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        facts = os.fstat(fd)
    except OSError as why:
        raise BadInput(path, expected="a regular file that can be read", found=os.strerror(why.errno or 0)) from why
    if not stat.S_ISREG(facts.st_mode):
        os.close(fd)
        raise BadInput(path, expected="a regular file", found=kind_of(facts.st_mode))
    return fd, facts


def of_descriptor(fd: int, *, on_bytes: Callable[[int], None] | None = None) -> Digest:
    """The digest of what is left to read in `fd`."""
    state = hashlib.sha256()
    while chunk := os.read(fd, CHUNK_BYTES):
        state.update(chunk)  # releases the interpreter lock, so that threads hash on all cores
        if on_bytes:
            on_bytes(len(chunk))
    return Digest(state.hexdigest())


_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFREG: "a regular file",
}


def kind_of(mode: int) -> str:
    """What a stat mode says that a path is, in words."""
    return _KINDS.get(stat.S_IFMT(mode), "something that is not a file")
