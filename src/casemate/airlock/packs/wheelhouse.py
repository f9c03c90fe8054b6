"""Casemate itself, for a site without Internet: every locked wheel, hashes, a bill of materials and an installer.

Rules. What the lock names must have one of the lock's digests. What the project pins and the lock leaves out (torch) is
hashed as it was fetched: its digest is known from here on, and vouched for by whoever signs `software.json`. The whole
tree of needs must be there, so that nothing is missed at the site. Fetched wheels wait beside the folder, which appears
by one rename; same input, same `software.json`.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import datetime
from importlib import resources
from pathlib import Path

from packaging.utils import parse_wheel_filename
from packaging.version import Version

from casemate.airlock.packs.build import appear, require_nothing, write_synced
from casemate.airlock.packs.download import Download, Order, Target, pip_download, run_pip
from casemate.airlock.packs.lock import Locked, markers, named, read_lock, read_project, unlocked_pins
from casemate.airlock.packs.packages import Package, dependencies, read_package
from casemate.airlock.packs.sbom import bill_of_materials
from casemate.airlock.packs.software import INSTALLER_FILE, REQUIREMENTS_FILE, SBOM_FILE, SOFTWARE_FILE, Software
from casemate.errors import DigestMismatch, NotFound, Unavailable
from casemate.store.cores import Progress, Tally
from casemate.store.digest import Digest
from casemate.store.manifest import ManifestFile
from casemate.store.staging import full_disk_named, staging, sweep

_PREFIX = ".software-"


def wheels(
    into: Path,
    *,
    lock: Path,
    project: Path,
    made: datetime,
    target: Target | None = None,
    download: Download = pip_download,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Software:
    """Make the folder `into`, which must not exist, of all that installs `project` with `lock`.

    `target` is another Python and platform than these; `made` is the time in the bill of materials; fetched wheels wait
    in `cache`, which is kept, or beside `into`. `progress` counts wheels.
    """
    require_nothing(into)
    into.parent.mkdir(parents=True, exist_ok=True)
    beside = cache or into.with_name(f".{into.name}.wheels")
    kept = beside / "-".join(named(target))  # one folder a target: a digest of the lock may be another Python's wheel
    kept.mkdir(parents=True, exist_ok=True)
    sweep(into.parent, _PREFIX)
    sweep(kept, _PREFIX)
    about, environment = read_project(project), markers(target)
    locked = read_lock(lock.read_text(encoding="utf-8"), environment, source=lock.name)
    files = [
        *_locked_wheels(locked, kept, target, download),
        *_pinned_wheels(unlocked_pins(about, locked), locked, kept, target, download),
    ]
    with staging(into.parent, _PREFIX) as place, full_disk_named(into.parent):
        folder = place / "software"
        folder.mkdir()
        files.append(own_wheel(project, place))
        packages = _lay_down(files, folder, progress)
        software = _write_lists(about.name, packages, environment, folder, named(target), made)
        appear(folder, into)
    if cache is None:
        shutil.rmtree(beside)
    return software


def own_wheel(project: Path, place: Path) -> Path:
    """The project's own wheel, built here by the backend that is installed: nothing is fetched."""
    with tempfile.TemporaryDirectory(dir=place) as out:
        arguments = ["wheel", "--no-deps", "--no-build-isolation", "--no-index", "--wheel-dir", out, str(project)]
        run_pip(arguments, thing=f"wheel of {project}")
        built = list(Path(out).glob("*.whl"))
        if len(built) != 1:
            raise Unavailable(f"wheel of {project}", expected="one wheel", found=len(built))
        return built[0].rename(place / built[0].name)


def installer(version: str, python: str) -> bytes:
    """The installer's text for one version and one Python; both are words without quotes."""
    text = resources.files(__package__).joinpath("installer.sh").read_text(encoding="utf-8")
    return text.replace("@VERSION@", version).replace("@PYTHON@", python).encode()


def _locked_wheels(locked: tuple[Locked, ...], kept: Path, target: Target | None, download: Download) -> list[Path]:
    """The file of every locked package; fetched only if one is not there."""
    if not all(_find(item, kept) for item in locked):
        with full_disk_named(kept):
            download(Order(tuple(item.line for item in locked), target=target), kept)
    files = []
    for item in locked:
        found = _find(item, kept)
        if found is None:
            raise _no_wheel(item, kept)
        files.append(found)
    return files


def _find(item: Locked, folder: Path) -> Path | None:
    return next((file for file in _named_like(item, folder) if Digest.of_file(file).hex in item.digests), None)


def _no_wheel(item: Locked, folder: Path) -> NotFound | DigestMismatch:
    others = _named_like(item, folder)
    if others:
        expected = f"one of the {len(item.digests)} digests in the lock"
        return DigestMismatch(others[0].name, expected=expected, found=Digest.of_file(others[0]))
    return NotFound(f"wheel of {item.name}", expected=f"{item.name} {item.version}", found="none")


def _named_like(item: Locked, folder: Path) -> list[Path]:
    wanted = item.name, Version(item.version)
    return [file for file in sorted(folder.glob("*.whl")) if parse_wheel_filename(file.name)[:2] == wanted]


def _pinned_wheels(
    pins: tuple[str, ...], locked: tuple[Locked, ...], kept: Path, target: Target | None, download: Download
) -> list[Path]:
    """What is pinned without a digest, and what it needs beside the lock; its folder appears whole."""
    files: list[Path] = []
    for pin in pins:
        folder = kept / pin
        if not folder.is_dir():
            constraints = tuple(f"{item.name}=={item.version}" for item in locked)
            with staging(kept, _PREFIX) as place, full_disk_named(kept):
                fetched = place / "fetched"
                fetched.mkdir()
                download(Order((pin,), hashed=False, constraints=constraints, target=target), fetched)
                fetched.rename(folder)
        names = {item.name for item in locked}
        files += [file for file in sorted(folder.glob("*.whl")) if read_package(file).name not in names]
    return files


def _lay_down(files: list[Path], folder: Path, progress: Progress | None) -> list[Package]:
    tally = Tally(progress, len(files), "wheels")
    packages = []
    for file in sorted(files):
        with file.open("rb") as stream:
            write_synced(folder / file.name, iter(lambda: stream.read(1 << 20), b""))
        packages.append(read_package(folder / file.name))
        tally.add(1)
    return sorted(packages, key=lambda package: package.name)


def _write_lists(
    root: str,
    packages: list[Package],
    environment: dict[str, str],
    folder: Path,
    where: tuple[str, str],
    made: datetime,
) -> Software:
    python, platform = where
    own = next(package for package in packages if package.name == root)
    needs = dependencies(root, packages, environment)
    about = f"# {root} {own.version}: exactly these wheels, Python {python}, {platform}\n"
    texts = {
        REQUIREMENTS_FILE: (about + "\n".join(package.line for package in packages) + "\n").encode(),
        SBOM_FILE: bill_of_materials(own, packages, needs, made=made),
        INSTALLER_FILE: installer(own.version, python),
    }
    listed = [ManifestFile(package.filename, package.size, package.digest) for package in packages]
    for name, data in texts.items():
        write_synced(folder / name, [data])
        listed.append(ManifestFile(name, len(data), Digest.of_bytes(data)))
    (folder / INSTALLER_FILE).chmod(0o755)
    software = Software(root, own.version, python, platform, tuple(sorted(listed)))
    write_synced(folder / SOFTWARE_FILE, [software.to_json()])
    return software
