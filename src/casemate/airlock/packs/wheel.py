"""Files taken out of a wheel, which is a ZIP archive that nobody runs, imports or unpacks whole.

Rules. A wheel with a name outside itself, or with one name twice, is refused, whichever file is wanted. Bytes come in
small pieces, so that the reader stops where the list's size is passed: what expands without end costs one piece. Only
the two ways of packing that give such pieces are read; encrypted members and links are refused.
"""

from __future__ import annotations

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from casemate.errors import BadInput
from casemate.store.digest import kind_of
from casemate.store.manifest import check_path

PIECE_BYTES = 1 << 20
_MAX_MEMBERS = 200_000
_XZ_MEMORY_BYTES = 256 << 20
_READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@contextmanager
def open_wheel(path: Path) -> Iterator[zipfile.ZipFile]:
    """A wheel whose table of contents is sound; BadInput naming its file otherwise."""
    thing = f"wheel {path.name}"
    with reading(thing), zipfile.ZipFile(path) as archive:
        names = [member.filename for member in archive.infolist()]
        if len(names) > _MAX_MEMBERS:
            raise BadInput(thing, expected=f"at most {_MAX_MEMBERS} files", found=len(names))
        seen: set[str] = set()
        for name in names:
            check_path(name.removesuffix("/"), thing)
            if name in seen:
                raise BadInput(thing, expected="each name once", found=f"{name!a} twice")
            seen.add(name)
        yield archive


def pieces(archive: zipfile.ZipFile, inside: str, thing: str) -> Iterator[bytes]:
    """The bytes of one member, piece by piece; BadInput if it is missing, a link, encrypted or packed otherwise."""
    try:
        member = archive.getinfo(inside)
    except KeyError as why:
        raise BadInput(thing, expected=f"a file {inside}", found="none") from why
    mode = member.external_attr >> 16
    if stat.S_IFMT(mode) not in {0, stat.S_IFREG}:
        raise BadInput(f"{thing} {inside}", expected="a regular file", found=kind_of(mode))
    if member.flag_bits & 1 or member.compress_type not in _READABLE:
        found = "encrypted" if member.flag_bits & 1 else f"method {member.compress_type}"
        raise BadInput(f"{thing} {inside}", expected="stored or deflated", found=found)
    with reading(f"{thing} {inside}"), archive.open(member) as stream:
        while piece := stream.read(PIECE_BYTES):
            yield piece


def unpacked_xz(packed: Iterator[bytes], thing: str) -> Iterator[bytes]:
    """What an xz stream holds, piece by piece; BadInput unless it is one whole stream and nothing more."""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
    with reading(thing):
        for piece in packed:
            if decoder.eof:
                raise BadInput(thing, expected="one xz stream", found="more after its end")
            data = decoder.decompress(piece, PIECE_BYTES)
            while data:
                yield data
                data = b"" if decoder.needs_input or decoder.eof else decoder.decompress(b"", PIECE_BYTES)
    if not decoder.eof or decoder.unused_data:
        raise BadInput(thing, expected="one xz stream", found="more after its end" if decoder.eof else "a part of one")


@contextmanager
def reading(thing: str) -> Iterator[None]:
    """Say BadInput, naming `thing`, where an archive cannot be read."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError) as why:
        raise BadInput(thing, expected="a whole archive", found=why) from why
