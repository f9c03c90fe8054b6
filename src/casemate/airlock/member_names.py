"""Where a member of an archive may go: a plain relative path, one of its kind.

Rules. A name is held against the same rules as the name of a file that arrives (`walk`), and it is a path below the
archive's own folder: not absolute, without `..`, without backslash or drive. No two members share a place, without
regard to case or to how accents are encoded, and none is both a file and a folder. Pure.
"""

from __future__ import annotations

import re
import unicodedata

from casemate.airlock.archives import BadArchiveError
from casemate.airlock.limits import Limits
from casemate.airlock.walk import LITTER, check_name
from casemate.errors import InspectionRefused

_DRIVE = re.compile(r"[A-Za-z]:")
_MAC_FOLDER = "__MACOSX"


class MemberNames:
    """The names of one archive so far."""

    def __init__(self, limits: Limits | None = None) -> None:
        """Begin with none."""
        self._limits = limits or Limits()
        self._seen: dict[str, tuple[str, bool]] = {}
        self._files: set[str] = set()

    def place(self, path: str) -> str:
        """The path below the archive's folder, or BadArchiveError."""
        parts = path.split("/")
        if path.startswith("/") or "\\" in path or _DRIVE.match(path) or any(part in {"", ".", ".."} for part in parts):
            raise BadArchiveError("plain relative names", f"{path[:200]!a}")
        try:
            size = len(path.encode())
        except UnicodeEncodeError:
            raise BadArchiveError("names in UTF-8", f"{path[:200]!a}") from None
        if len(parts) > self._limits.max_depth or size > self._limits.max_path_chars:
            expected = f"at most {self._limits.max_depth} folders deep and {self._limits.max_path_chars} bytes"
            raise BadArchiveError(expected, f"{path[:200]!a}")
        for part in parts:
            self._check_text(part)
        for i in range(1, len(parts) + 1):
            self._take("/".join(parts[:i]), file=i == len(parts))
        return path

    def _check_text(self, part: str) -> None:
        if len(part.encode()) > 255:
            raise BadArchiveError("names of at most 255 bytes", f"{part[:60]!a}…")
        try:
            check_name(part, part)
        except InspectionRefused as why:
            raise BadArchiveError(why.expected, f"{why.found} in {part[:200]!a}") from why

    def _take(self, path: str, *, file: bool) -> None:
        key = unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())
        other, was_file = self._seen.setdefault(key, (path, file))
        if (other, was_file) != (path, file):
            raise BadArchiveError("names that differ by more than case or encoding", f"{other!a} and {path!a}")
        if file and key in self._files:
            raise BadArchiveError("each name once", f"{path!a} twice")
        if file:
            self._files.add(key)


def is_litter(path: str) -> bool:
    """Whether a member is what file browsers scatter: left behind, and named in the report."""
    return path.rpartition("/")[2] in LITTER or path.startswith(f"{_MAC_FOLDER}/")
