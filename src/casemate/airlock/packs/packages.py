"""What a wheel says of itself: name, version, licence, what it needs. Read, never run.

Rules. The metadata must agree with the wheel's name. A licence is an SPDX identifier or expression where the wheel
gives one, else the words that it uses. What is needed is followed from the project on: a wheelhouse in which something
is missing, or of another version, is refused by name, on the connected side and not at the site.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from packaging.metadata import RawMetadata, parse_email
from packaging.requirements import Requirement
from packaging.utils import InvalidWheelFilename, canonicalize_name, parse_wheel_filename
from packaging.version import Version

from casemate.airlock.packs.wheel import open_wheel
from casemate.errors import BadInput, NotFound
from casemate.store.digest import Digest

_MAX_METADATA_BYTES = 4 << 20
_SHORT_LICENCE_CHARACTERS = 64
_CLASSIFIED = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "MIT No Attribution License (MIT-0)": "MIT-0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "ISC License (ISCL)": "ISC",
    "The Unlicense (Unlicense)": "Unlicense",
}


@dataclass(frozen=True)
class Package:
    """A wheel: its file, its digest, and what its metadata says."""

    name: str
    version: str
    filename: str
    size: int
    digest: Digest
    licence: str | None
    needs: tuple[str, ...]

    @property
    def line(self) -> str:
        """Its line in requirements.txt."""
        return f"{self.name}=={self.version} \\\n    --hash=sha256:{self.digest.hex}"


def read_package(wheel: Path) -> Package:
    """What a wheel says; BadInput if it is no wheel, or says another name or version than its file's."""
    thing = f"wheel {wheel.name}"
    try:
        name, version, *_ = parse_wheel_filename(wheel.name)
    except InvalidWheelFilename as why:
        raise BadInput(thing, expected="the name of a wheel", found=why) from why
    with open_wheel(wheel) as archive:
        raw, _ = parse_email(_metadata(archive, thing))
    if canonicalize_name(raw.get("name", "")) != name or raw.get("version") != str(version):
        found = f"{raw.get('name')} {raw.get('version')}"
        raise BadInput(f"{thing} METADATA", expected=f"{name} {version}", found=found)
    needs = tuple(raw.get("requires_dist", []))
    return Package(name, str(version), wheel.name, wheel.stat().st_size, Digest.of_file(wheel), licence_of(raw), needs)


def licence_of(raw: RawMetadata) -> str | None:
    """A package's licence: its expression, its short word, or its classifiers, in that order."""
    if expression := raw.get("license_expression"):
        return expression
    stated = [c.rpartition(" :: ")[2] for c in raw.get("classifiers", []) if c.startswith("License :: ")]
    known = [_CLASSIFIED[words] for words in stated if words in _CLASSIFIED]
    if known:
        return " OR ".join(sorted(set(known)))
    word = " ".join(raw.get("license", "").split())
    if word and len(word) <= _SHORT_LICENCE_CHARACTERS:
        return word
    return stated[0] if stated else None


def dependencies(root: str, packages: Iterable[Package], environment: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """What each package reached from `root` needs directly, by name; NotFound or BadInput for what is not there."""
    there = {package.name: package for package in packages}
    reached: dict[str, set[str]] = {}
    todo: list[tuple[str, str]] = [(root, "")]
    seen = set(todo)
    while todo:
        name, extra = todo.pop()
        for line in there[name].needs:
            need = Requirement(line)
            if need.marker is not None and not need.marker.evaluate({**environment, "extra": extra}):
                continue
            found = _found(need, there, name)
            reached.setdefault(name, set()).add(found.name)
            fresh = {(found.name, part) for part in ("", *need.extras)} - seen
            seen |= fresh
            todo += sorted(fresh)
        reached.setdefault(name, set())
    return {name: tuple(sorted(needed)) for name, needed in sorted(reached.items())}


def _found(need: Requirement, there: Mapping[str, Package], by: str) -> Package:
    name = canonicalize_name(need.name)
    if name not in there:
        raise NotFound(f"wheel of {name}", expected=f"{need}, which {by} needs", found="none")
    if not need.specifier.contains(Version(there[name].version), prereleases=True):
        raise BadInput(f"wheel of {name}", expected=f"{need}, which {by} needs", found=there[name].version)
    return there[name]


def _metadata(archive: zipfile.ZipFile, thing: str) -> bytes:
    names = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
    if len(names) != 1:
        raise BadInput(thing, expected="one METADATA", found=len(names))
    with archive.open(names[0]) as stream:
        return stream.read(_MAX_METADATA_BYTES)
