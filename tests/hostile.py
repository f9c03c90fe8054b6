"""Hostile paths and files for anyone's tests: `from tests import hostile`.

NAMES are legal on POSIX in UTF-8 and must work or be refused whole; BAD_PATHS must never be taken for relative paths;
PLANTS put something into a folder that is no plain file; the rest grows trees and archives past any limit.
"""

from __future__ import annotations

import os
import socket
import zipfile
from collections.abc import Callable
from pathlib import Path

NAMES = (
    "plain",
    "with space",
    " leading and trailing ",
    "it's",
    'say "cheese"',
    "`id`",
    "$(id)",
    "${HOME}",
    "a;b",
    "a&b|c",
    "<tag>",
    "100%s%n",
    "*?[x]",
    "back\\slash",
    "..\\..\\etc",
    "new\nline",
    "carriage\rreturn",
    "tab\there",
    "bell\a",
    "escape\x1b[2Jred",
    "-rf",
    "--help",
    "~root",
    "#comment",
    ".hidden",
    "...",
    "..twice",
    "trailing.",
    "CON",
    "é\u0301 décomposé",
    "caf\u00e9",
    "cafe\u0301",
    "🛰️ scène",
    "right-to-left \u202egnp.exe",
    "zero\u200bwidth",
    "数据",
    "x" * 255,
    "é" * 127,
)
"""Names of one file or folder."""

BAD_PATHS = (
    "",
    ".",
    "..",
    "/",
    "/etc/passwd",
    "../up",
    "a/../../up",
    "a/..",
    "./a",
    "a/./b",
    "a//b",
    "a/",
    "nul\0byte",
    "x" * 256,
    "lone \udcff surrogate",
)
"""Paths that no manifest, bundle or archive may name."""

NOT_UTF8 = os.fsdecode(b"caf\xe9.png")
"""A name that is not UTF-8, as the file system gives it to Python."""


def tree(folder: Path) -> dict[str, bytes]:
    """Fill `folder` with a file for every name, and once more in a folder of that name; contents by relative path."""
    contents = {}
    for name in NAMES:
        for path in (name, f"folders/{name}/{name}"):
            contents[path] = f"content of {path!r}".encode()
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(contents[path])
    return contents


def _link_out(folder: Path) -> None:
    (folder / "planted").symlink_to("/etc/passwd")


def _link_up(folder: Path) -> None:
    (folder / "planted").symlink_to("..")


def _link_nowhere(folder: Path) -> None:
    (folder / "planted").symlink_to("not there")


def _link_to_itself(folder: Path) -> None:
    (folder / "planted").symlink_to("planted")


def _link_to_sister(folder: Path) -> None:
    (folder / "sister").write_bytes(b"sister")
    (folder / "planted").symlink_to("sister")


def _pipe(folder: Path) -> None:
    os.mkfifo(folder / "planted")


def _socket(folder: Path) -> None:
    before = Path.cwd()
    os.chdir(folder)  # the address of a socket is at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as door:
            door.bind("planted")
    finally:
        os.chdir(before)


PLANTS: dict[str, Callable[[Path], None]] = {
    "link out": _link_out,
    "link up": _link_up,
    "link nowhere": _link_nowhere,
    "link to itself": _link_to_itself,
    "link to sister": _link_to_sister,
    "pipe": _pipe,
    "socket": _socket,
}
"""What each puts at `folder / "planted"`."""


def deep(folder: Path, depth: int) -> Path:
    """A file below `depth` folders."""
    for _ in range(depth):
        folder /= "d"
    folder.mkdir(parents=True)
    (folder / "file").write_bytes(b"deep")
    return folder / "file"


def many(folder: Path, count: int) -> None:
    """`count` small files."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        (folder / f"{number:06}").write_bytes(b"%d" % number)


def expanding_zip(file: Path, size: int) -> None:
    """An archive of about a thousandth of the `size` bytes that it expands to."""
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive,
        archive.open("zeros", "w") as out,
    ):
        for _ in range(size // 65536):
            out.write(bytes(65536))


def climbing_zip(file: Path) -> None:
    """An archive whose member would land outside the folder where it is unpacked."""
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("../../climbed", b"outside")
