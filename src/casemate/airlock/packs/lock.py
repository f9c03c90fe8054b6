"""What is locked: the lines of a requirements file with hashes that count for one Python on one platform.

Rules. Every line is one exact version with its digests; anything else (an option, an address, a range) is an error that
names the line, so that nothing comes in beside the lock. What the project pins exactly and the lock leaves out (torch:
two builds, one version, two digests) is named by the project's own dependencies.
"""

from __future__ import annotations

import platform as this_platform
import re
import sysconfig
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from casemate.airlock.packs.download import Target
from casemate.errors import BadInput

_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True)
class Locked:
    """One version of one package and the SHA-256 of every file that may be it."""

    name: str
    version: str
    digests: frozenset[str]

    @property
    def line(self) -> str:
        """The line for pip."""
        return " ".join([f"{self.name}=={self.version}", *(f"--hash=sha256:{d}" for d in sorted(self.digests))])


@dataclass(frozen=True)
class Project:
    """What a pyproject.toml says that matters here."""

    name: str
    version: str
    dependencies: tuple[Requirement, ...]


def read_lock(text: str, environment: dict[str, str], *, source: str = "lock") -> tuple[Locked, ...]:
    """The locked packages that count in `environment` (see `markers`), sorted by name."""
    locked: dict[str, Locked] = {}
    for line in re.sub(r"\\\n", " ", text).splitlines():
        stated = line.partition("#")[0].strip()
        if not stated:
            continue
        item = _read_line(stated, environment, source)
        if item is not None and locked.setdefault(item.name, item) != item:
            raise BadInput(f"{source} {item.name}", expected="one version", found="two")
    return tuple(locked[name] for name in sorted(locked))


def read_project(folder: Path) -> Project:
    """The project in `folder`; BadInput unless its pyproject.toml has a name, a version and readable dependencies."""
    file = folder / "pyproject.toml"
    try:
        stated = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
        dependencies = tuple(Requirement(line) for line in stated.get("dependencies", []))
        return Project(canonicalize_name(stated["name"]), stated["version"], dependencies)
    except (OSError, tomllib.TOMLDecodeError, KeyError, TypeError, InvalidRequirement) as why:
        expected = "a pyproject.toml with name, version and dependencies"
        raise BadInput(file, expected=expected, found=f"{type(why).__name__} {why}") from why


def unlocked_pins(project: Project, locked: tuple[Locked, ...]) -> tuple[str, ...]:
    """What the project pins exactly and the lock leaves out; BadInput for what it neither pins nor locks."""
    names = {item.name for item in locked}
    left_out = [need for need in project.dependencies if canonicalize_name(need.name) not in names]
    for need in left_out:
        if exact_version(need) is None:
            raise BadInput(
                f"{project.name} dependency {need}", expected="an exact version, or a line in the lock", found="neither"
            )
    return tuple(f"{canonicalize_name(need.name)}=={exact_version(need)}" for need in left_out)


def exact_version(need: Requirement) -> str | None:
    """The one version that a requirement allows, if it allows one."""
    only = list(need.specifier)
    return only[0].version if len(only) == 1 and only[0].operator == "==" and "*" not in only[0].version else None


def markers(target: Target | None) -> dict[str, str]:
    """The environment in which markers are read: this Python's, or that of a target (CPython on Linux)."""
    here = {key: str(value) for key, value in default_environment().items()}
    if target is None:
        return here
    if not re.fullmatch(r"3\.[0-9]{1,2}", target.python, re.ASCII) or not target.platforms:
        found = f"{target.python} {' '.join(target.platforms)}"
        raise BadInput("target", expected='a Python such as "3.12" and at least one platform', found=found)
    machine = re.sub(r"^(manylinux_\d+_\d+|manylinux\d+|musllinux_\d+_\d+|linux)_", "", target.platforms[0])
    linux = {"os_name": "posix", "sys_platform": "linux", "platform_system": "Linux", "platform_machine": machine}
    python = {"python_version": target.python, "python_full_version": f"{target.python}.0"}
    cpython = {"implementation_name": "cpython", "platform_python_implementation": "CPython"}
    return {**here, **linux, **python, **cpython, "implementation_version": f"{target.python}.0"}


def named(target: Target | None) -> tuple[str, str]:
    """The Python and the platform, for people: ("3.11", "linux-x86_64")."""
    if target is None:
        return ".".join(this_platform.python_version_tuple()[:2]), sysconfig.get_platform()
    return target.python, target.platforms[0]


def _read_line(stated: str, environment: dict[str, str], source: str) -> Locked | None:
    text, digests = _HASH.sub("", stated).strip(), frozenset(_HASH.findall(stated))
    thing = f"{source} line {text[:80]}"
    try:
        need = Requirement(text)
    except InvalidRequirement as why:
        raise BadInput(thing, expected="name==version and hashes", found=str(why).splitlines()[0]) from why
    version = exact_version(need)
    if version is None or need.url or need.extras:
        raise BadInput(thing, expected="name==version", found=text)
    if need.marker is not None and not need.marker.evaluate(environment):
        return None
    if not digests:
        raise BadInput(thing, expected="at least one --hash=sha256:…", found="none")
    return Locked(canonicalize_name(need.name), version, digests)
